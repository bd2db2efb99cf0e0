"""oscillation: swings without progress; noise, progress and single humps are not."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context
from monitor.curves import conditions, falling, flat, points, watch

PLAN = Context(loss_name="mse", total_steps=400)


def test_a_loss_that_alternates_is_reported() -> None:
    rng = np.random.default_rng(0)
    losses = 1.0 + 0.3 * (-1.0) ** np.arange(300) + 0.02 * rng.normal(size=300)
    assert "oscillation" in conditions(watch(points(losses.tolist()), PLAN))


def test_a_loss_that_repeats_every_twenty_points_is_reported_with_its_period() -> None:
    rng = np.random.default_rng(0)
    losses = np.exp(0.5 * np.sin(2 * np.pi * np.arange(300) / 20) + 0.05 * rng.normal(size=300))
    monitor = watch(points(losses.tolist()), PLAN)
    finding = next(f for f in monitor.findings() if f.condition == "oscillation")
    assert finding.evidence["period"] == pytest.approx(20, abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_white_noise_does_not_swing(seed: int, noise: float) -> None:
    assert "oscillation" not in conditions(watch(points(falling(400, noise=noise, seed=seed)), PLAN))
    assert "oscillation" not in conditions(watch(points(flat(400, noise=noise, seed=seed)), PLAN))


def test_descent_at_the_edge_of_stability_oscillates_and_learns() -> None:
    losses = np.array(falling(400, noise=0.0, floor=0.01)) * (1 + 0.3 * (-1.0) ** np.arange(400))
    assert "oscillation" not in conditions(watch(points(losses.tolist()), PLAN))
