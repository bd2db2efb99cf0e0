"""The other side of few false alarms: on the same kinds of noise a fault of known size is found, and found in time."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.null_models import FAMILIES, SPREAD, null_run
from losswatch_server.monitor.monitor import Monitor

POINTS, ONSET = 600, 400


def watched(run: LabelledRun) -> dict[str, int]:
    """Condition -> the step at which it was first said, warnings and worse."""
    monitor = Monitor("calibration")
    monitor.see_context(run.context)
    for point in run.points:
        monitor.see(point)
    opened: dict[str, int] = {}
    for finding in monitor.findings():
        if finding.severity.rank:
            opened.setdefault(finding.condition.value, finding.opened_step)
    return opened


def with_loss(run: LabelledRun, change: np.ndarray) -> LabelledRun:
    """The run with something added to its losses."""
    points = tuple(p._replace(loss=(p.loss or 0.0) + float(c)) for p, c in zip(run.points, change, strict=True))
    return LabelledRun(id=run.id, points=points, context=run.context, label=run.label)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_exponential_growth_is_found_before_it_is_a_hundred_times_the_noise(family: str) -> None:
    since = np.maximum(np.arange(POINTS) - ONSET, 0)
    growth = SPREAD * np.expm1(since / 25)
    opened = watched(with_loss(null_run(family, "learning", POINTS, 1), growth))
    assert "diverging" in opened
    assert ONSET <= opened["diverging"] <= ONSET + 25 * np.log(100), opened


@pytest.mark.parametrize("family", FAMILIES)
def test_a_jump_of_sixty_deviations_is_found_at_its_step(family: str) -> None:
    jump = np.zeros(POINTS)
    jump[ONSET] = 60 * SPREAD
    opened = watched(with_loss(null_run(family, "learning", POINTS, 2), jump))
    assert opened.get("loss_spike") == ONSET, opened


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_that_never_moves_is_found(family: str) -> None:
    opened = watched(null_run(family, "flat", POINTS, 3))
    assert "not_learning" in opened or "plateau" in opened, opened
