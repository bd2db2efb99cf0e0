"""exploding_gradient: a rise out of range, a start out of range, and neither."""

from __future__ import annotations

import numpy as np

from losswatch_server.monitor.points import Context
from monitor.curves import alarms, conditions, falling, points, watch

CLASSES = Context(loss_name="cross_entropy", num_classes=10)


def noisy(level: np.ndarray, seed: int = 0) -> list[float]:
    return (level * np.exp(0.2 * np.random.default_rng(seed).normal(size=len(level)))).tolist()


def test_a_norm_a_hundred_times_its_median_is_reported() -> None:
    norms = noisy(np.concatenate([np.ones(200), np.full(40, 120.0)]))
    assert "exploding_gradient" in conditions(watch(points(falling(240), grad_norm=norms)))


def test_one_large_norm_is_not() -> None:
    norms = noisy(np.ones(240))
    norms[200] = 500.0
    assert conditions(watch(points(falling(240), grad_norm=norms))) == []


def test_a_norm_that_rises_tenfold_while_learning_begins_is_normal() -> None:
    norms = noisy(np.geomspace(0.2, 2.0, 300))
    assert conditions(watch(points(falling(300), grad_norm=norms))) == []


def test_first_losses_far_above_chance_mean_weights_that_are_too_large() -> None:
    losses = falling(100, start=60.0, floor=20.0)
    assert "exploding_gradient" in conditions(watch(points(losses, grad_norm=noisy(np.full(100, 40.0))), CLASSES))


def test_a_start_that_settles_at_once_does_not() -> None:
    losses = [5.7, 4.9, 4.1, 3.4, 2.7, 2.0, 1.5, 1.2, *falling(60, start=1.0)]
    context = Context(loss_name="binary_cross_entropy")
    assert conditions(watch(points(losses, grad_norm=noisy(np.ones(68))), context)) == []


def test_one_first_loss_does_not_say_that_a_loss_is_in_another_unit() -> None:
    losses = [900.0, 400.0, 250.0, 120.0, 70.0, 60.0, 50.0, 40.0, *falling(60, start=30.0, floor=5.0)]
    found = alarms(watch(points(losses, grad_norm=[100.0] * len(losses)), CLASSES))
    assert [f.condition for f in found] == ["exploding_gradient"]
    in_another_unit = [1000.0 * loss for loss in falling(68)]
    assert conditions(watch(points(in_another_unit, grad_norm=[100.0] * 68), CLASSES)) == []
