"""vanishing_gradient: layers that cannot learn, and total norms that collapse."""

from __future__ import annotations

import numpy as np

from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, falling, flat, points, watch

CLASSES = Context(loss_name="cross_entropy", num_classes=10, total_steps=400)


def layered(losses: list[float], norms: list[float]) -> list[Point]:
    layers = {f"layer{i}": norm for i, norm in enumerate(norms)}
    return [Point(i, loss, 0.3, layers=layers) for i, loss in enumerate(losses)]


def test_a_first_layer_a_million_times_below_the_last_cannot_learn() -> None:
    found = alarms(watch(layered(flat(200), [1e-9, 1e-6, 1e-3, 0.3]), CLASSES))
    assert Condition.VANISHING_GRADIENT in [f.condition for f in found]
    assert found[0].evidence["ratio"] < 1e-8


def test_dead_layers_are_counted() -> None:
    found = alarms(watch(layered(flat(200), [0.0, 0.0, 0.1]), CLASSES))
    assert found[0].evidence["layers_dead"] == 2
    assert found[0].evidence["dead_from_start"] == 2


def test_layers_far_apart_in_a_run_that_learns_are_its_own_affair() -> None:
    assert conditions(watch(layered(falling(200), [1e-9, 1e-6, 1e-3, 0.3]), CLASSES)) == []


def test_a_total_norm_that_collapses_while_the_loss_is_high_is_reported() -> None:
    norms = np.geomspace(1.0, 1e-7, 200).tolist()
    assert "vanishing_gradient" in conditions(watch(points(flat(200), grad_norm=norms), CLASSES))


def test_a_norm_that_falls_with_the_loss_is_convergence() -> None:
    losses = np.geomspace(2.3, 1e-9, 400).tolist()
    assert conditions(watch(points(losses, grad_norm=np.sqrt(losses).tolist()), CLASSES)) == []


def test_a_gradient_that_became_zero_is_gone_since_that_step() -> None:
    for died in (0, 120, 1):
        norms = [0.4] * died + [0.0] * (200 - died)
        found = alarms(watch(points(flat(200), grad_norm=norms), CLASSES))
        assert (Condition.VANISHING_GRADIENT, died) in [(f.condition, f.onset_step) for f in found]


def test_a_gradient_that_became_zero_before_what_is_remembered_is_gone_since_about_then() -> None:
    died, count = 3000, 9000
    context = CLASSES.merged(Context(total_steps=count))
    found = alarms(watch(points(flat(count), grad_norm=[0.4] * died + [0.0] * (count - died)), context))
    (gone,) = [f for f in found if f.condition is Condition.VANISHING_GRADIENT]
    assert abs(gone.onset_step - died) <= 0.02 * count


def test_layers_that_died_are_dead_since_that_step_and_layers_dead_at_first_since_the_start() -> None:
    losses = flat(200)
    for died in (0, 80, 121):
        norms = [{"first": 0.2 if i < died else 0.0, "last": 0.3} for i in range(200)]
        stream = [Point(i, losses[i], 0.3, layers=layers) for i, layers in enumerate(norms)]
        found = alarms(watch(stream, CLASSES))
        (gone,) = [f for f in found if f.condition is Condition.VANISHING_GRADIENT]
        assert abs(gone.onset_step - died) <= 1
