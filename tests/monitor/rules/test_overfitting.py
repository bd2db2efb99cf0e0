"""overfitting: the validation loss turns while the training loss falls on."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, points, watch


def epochs(n: int, turn: int | None, *, noise: float = 0.01, seed: int = 0) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(seed)
    train = np.exp(-np.arange(n) / (n / 4))
    validation = 0.3 + 0.7 * np.exp(-np.arange(n) / (n / 6))
    if turn is not None:
        validation = validation + 0.03 * np.maximum(0, np.arange(n) - turn)
    return train.tolist(), (validation + noise * rng.normal(size=n)).tolist()


def test_the_best_step_is_named() -> None:
    train, validation = epochs(40, turn=15)
    found = alarms(watch(points(train, validation_loss=validation)))
    assert [f.condition for f in found] == [Condition.OVERFITTING]
    assert 10 <= found[0].evidence["best_step"] <= 20
    assert abs(found[0].onset_step - found[0].evidence["best_step"]) <= 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("noise", [0.005, 0.05])
def test_a_noisy_validation_loss_that_levels_off_is_not_overfitting(seed: int, noise: float) -> None:
    train, validation = epochs(30, turn=None, noise=noise, seed=seed)
    assert conditions(watch(points(train, validation_loss=validation))) == []


@pytest.mark.parametrize("validation", [[0.60, 0.48, 0.53, 0.58, 0.63, 0.69], [0.60, 0.48, 0.50, 0.56, 0.63, 0.77]])
def test_a_few_unbroken_epochs_up_by_a_sixth_are_enough_in_a_short_log(validation: list[float]) -> None:
    train = [0.7, 0.5, 0.35, 0.22, 0.12, 0.05, 0.03][: len(validation)]
    assert conditions(watch(points(train, validation_loss=validation))) == ["overfitting"]
    assert conditions(watch(points(train[:-1], validation_loss=validation[:-1]))) == []


def test_four_in_order_are_said_where_the_training_loss_fell_meanwhile_and_not_where_it_crept() -> None:
    """The reproduction of a beginner's text classifier: 0.49 to 0.77 in four epochs, ever steeper."""
    validation = [0.572, 0.491, 0.514, 0.564, 0.644, 0.771]
    fell, crept = [0.679, 0.467, 0.350, 0.279, 0.220, 0.164], [0.679, 0.467, 0.450, 0.425, 0.405, 0.384]
    assert conditions(watch(points(fell, validation_loss=validation))) == ["overfitting"]
    assert conditions(watch(points(crept, validation_loss=validation))) == []


def evaluated(rise: float, fall: float, evaluations: int = 7) -> list[Point]:
    """A training loss at every hundredth step that falls by ``fall``, evaluated at every thousandth, where the first is
    the best and the rest rises by ``rise``, both in all."""
    n = 10 * evaluations
    level = np.linspace(0.0, 1.0, n - 9)
    train = np.r_[np.ones(10), 1.0 - fall * level[1:]] * np.exp(0.1 * np.random.default_rng(0).normal(size=n))
    validation: list[float | None] = [None] * n
    validation[9::10] = (0.55 * np.linspace(1.0, 1.0 + rise, evaluations)).tolist()
    logged = points(train.tolist(), first=1, validation_loss=validation)
    return [point._replace(step=100 * point.step) for point in logged]


@pytest.mark.parametrize(
    ("rise", "fall", "evaluations", "said"),
    [(0.5, 0.8, 7, True), (1.4, 0.9, 10, True), (0.5, 0.8, 6, False), (0.15, 0.8, 7, False), (0.5, 0.3, 7, False)],
)
def test_evaluations_of_which_the_first_is_the_best_overfit_where_the_rest_rises_and_the_training_loss_halves(
    rise: float, fall: float, evaluations: int, said: bool
) -> None:
    """By the step as well as by the epoch: a fine-tune learns by heart from its first evaluation on."""
    assert conditions(watch(evaluated(rise, fall, evaluations))) == (["overfitting"] if said else [])


def test_a_curriculum_that_begins_narrow_does_not_overfit() -> None:
    """What is learned of the first classes alone makes all others worse than nothing learned; then they come."""
    train = [*np.geomspace(2.3, 0.03, 240), *np.geomspace(1.4, 0.1, 360)]
    validation: list[float | None] = [None] * 600
    validation[9::10] = [*np.linspace(2.32, 5.2, 24), *np.geomspace(1.3, 0.2, 36)]
    assert "overfitting" not in conditions(watch(points(train, validation_loss=validation), Context(total_steps=600)))


def test_few_evaluations_are_told_as_they_were_sent() -> None:
    train, validation = [0.7, 0.5, 0.35, 0.22, 0.12, 0.05], [0.48, 0.51, 0.56, 0.63, 0.74, 0.86]
    found = alarms(watch(points(train, first=1, validation_loss=validation)))[0]
    assert (found.evidence["best_step"], found.evidence["best_validation"]) == (1, 0.48)
    assert (found.evidence["validation_now"], round(found.evidence["rise"], 6)) == (0.86, 0.38)


def test_a_validation_loss_that_rises_with_the_training_loss_is_something_else() -> None:
    _, validation = epochs(40, turn=15)
    train = [1 + 0.01 * i for i in range(40)]
    assert "overfitting" not in conditions(watch(points(train, validation_loss=validation)))
