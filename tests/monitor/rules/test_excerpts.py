"""A log that begins in the middle of its run is judged by what it shows: its first values are no start."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, points, watch

NOISE = np.random.default_rng(0).normal(size=400)
MIDDLE = 20_000
"""The first step of an excerpt."""


def said(losses: np.ndarray, first: int, context: Context | None = None, **series: list[float]) -> set[str]:
    """The conditions of all alarms of a log that begins at that step."""
    return {str(f.condition) for f in alarms(watch(points(losses.tolist(), first, **series), context))}


def test_a_norm_that_comes_back_a_little_is_out_of_range_only_against_the_norms_of_the_start() -> None:
    calm = 1.0 + 0.01 * NOISE
    norms = (np.concatenate([np.full(300, 1e-3), np.full(100, 0.1)]) * np.exp(0.2 * NOISE)).tolist()
    assert "exploding_gradient" in said(calm, 0, grad_norm=norms)
    assert "exploding_gradient" not in said(calm, MIDDLE, grad_norm=norms)
    harmed = np.concatenate([calm[:300], np.linspace(1.0, 1.3, 100) * calm[300:]])
    assert "exploding_gradient" in said(harmed, MIDDLE, grad_norm=norms)


@pytest.mark.parametrize(
    ("context", "first", "expected"),
    [
        (Context(), 0, True),
        (Context(), MIDDLE, False),
        (Context(baseline_loss=2.0), MIDDLE, True),
        (Context(baseline_loss=200.0), MIDDLE, False),
    ],
    ids=["from the start", "an excerpt", "an excerpt near its baseline", "an excerpt far below its baseline"],
)
def test_a_period_of_an_excerpt_is_said_where_the_level_is_known_to_matter(
    context: Context, first: int, expected: bool
) -> None:
    wave = np.exp(0.5 * np.sin(2 * np.pi * np.arange(400) / 20) + 0.25 * NOISE)
    found = {
        f.evidence["rule"]
        for f in watch(points(wave.tolist(), first), context).findings()
        if f.condition is Condition.OSCILLATION
    }
    assert ("period" in found) is expected


def test_a_period_beyond_doubt_is_said_of_an_excerpt_too() -> None:
    assert "oscillation" in said(np.exp(0.5 * np.sin(2 * np.pi * np.arange(400) / 20) + 0.02 * NOISE), MIDDLE)


def jump(start: float) -> np.ndarray:
    """From there to 1, where it rests; then up by 7 % for a while."""
    down = np.geomspace(start, 1.0, 60)
    return np.concatenate([down, 1 + 0.0005 * NOISE[:200], np.full(5, 1.07), 1 + 0.0005 * NOISE[:6]])


def test_a_jump_undoes_no_share_of_a_progress_that_an_excerpt_does_not_show() -> None:
    small = jump(1.1)
    assert "loss_spike" in said(small, 0)
    assert "loss_spike" not in said(small, MIDDLE)
    assert "loss_spike" in said(small, MIDDLE, Context(baseline_loss=1.1))
    assert "loss_spike" not in said(small, MIDDLE, Context(baseline_loss=2.0))
    assert "loss_spike" in said(np.concatenate([small[:260], np.full(5, 1.5), small[-6:]]), MIDDLE)
