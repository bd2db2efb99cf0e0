"""not_learning, plateau, slow_convergence and converged: four ways not to fall, and the healthy ones beside them."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, falling, flat, points, watch

CLASSES = Context(loss_name="cross_entropy", num_classes=10, total_steps=400)


def test_a_loss_at_chance_level_is_not_learning_by_the_middle_of_the_plan() -> None:
    found = alarms(watch(points(flat(250)), CLASSES))
    assert [f.condition for f in found] == [Condition.NOT_LEARNING]
    assert found[0].opened_step <= 210
    assert found[0].onset_step == 0


def test_a_loss_that_is_the_same_number_every_time_is_called_after_eight_points() -> None:
    found = alarms(watch(points([7.9712] * 12)))
    assert [(f.condition, f.opened_step) for f in found] == [(Condition.NOT_LEARNING, 7)]


@pytest.mark.parametrize(("value", "said"), [(0.0001, False), (0.003, False), (0.0034, True), (0.7, True)])
def test_a_loss_at_the_last_digit_that_was_printed_is_not_known_to_be_the_same_number(value: float, said: bool) -> None:
    """What is printed as 0.0001 may fall by two thirds meanwhile."""
    logged = points([value] * 40, first=830)
    assert conditions(watch(logged)) == (["not_learning"] if said else [])


def test_a_rounded_loss_that_a_warm_up_does_not_move_at_first_is_given_time() -> None:
    moving = np.round(np.log(2) - np.concatenate([np.zeros(12), np.linspace(0, 0.2, 188)]), 3).tolist()
    assert conditions(watch(points(moving))) == []
    at_last = alarms(watch(points([0.693] * 60)))
    assert [(f.condition, f.opened_step) for f in at_last] == [(Condition.NOT_LEARNING, 39)]


def test_a_saddle_is_given_time_while_its_gradient_norm_rises() -> None:
    norms = np.geomspace(0.05, 1.0, 250).tolist()
    assert conditions(watch(points(flat(250), grad_norm=norms), CLASSES)) == []


def test_a_warm_up_is_given_time() -> None:
    context = Context(loss_name="cross_entropy", num_classes=10, total_steps=400, warmup_steps=150)
    assert conditions(watch(points(flat(250)), context)) == []


def test_fine_tuning_starts_flat_at_a_good_level() -> None:
    assert conditions(watch(points(flat(400, level=0.1, noise=0.01)), CLASSES)) == []


def test_plain_descent_that_ignores_what_its_gradient_promises_is_called_early() -> None:
    context = Context(loss_name="mse", optimizer="sgd", learning_rate=0.1, total_steps=2000)
    found = alarms(watch(points(flat(120, level=1.0), grad_norm=[3.0] * 120), context))
    assert [f.condition for f in found] == [Condition.NOT_LEARNING]
    assert found[0].opened_step < 60
    assert found[0].evidence["unmoved_by_gradient"]


def test_a_floor_after_a_third_of_the_way_is_a_plateau() -> None:
    losses = falling(100, start=0.0084, floor=0.0056, noise=0.0)
    rounded = [round(loss, 4) for loss in losses]
    found = alarms(watch(points(rounded), Context(loss_name="mse", step_unit="epoch")))
    assert [f.condition for f in found] == [Condition.PLATEAU]


def test_a_power_law_that_still_falls_is_no_plateau() -> None:
    rng = np.random.default_rng(0)
    losses = 2 + 3 * np.arange(1, 12001) ** -0.4 + 0.05 * rng.normal(size=12000)
    assert conditions(watch(points(losses.tolist()))) == []


def test_a_mean_squared_error_that_scatters_like_label_noise_has_arrived() -> None:
    rng = np.random.default_rng(1)
    noise = np.array([(rng.normal(size=64) ** 2).mean() for _ in range(600)])
    losses = (noise + 0.8 * np.exp(-np.arange(600) / 20)).tolist()
    context = Context(loss_name="mse", batch_size=64, total_steps=600)
    assert conditions(watch(points(losses), context)) == []


def test_a_steady_fall_that_would_take_ten_times_the_plan_is_too_slow() -> None:
    rng = np.random.default_rng(0)
    losses = (2.3 - 0.0002 * np.arange(400) + 0.01 * rng.normal(size=400)).tolist()
    assert set(conditions(watch(points(losses), CLASSES))) <= {"slow_convergence", "not_learning"}
    assert conditions(watch(points(losses), CLASSES))


@pytest.mark.parametrize("seed", range(5))
def test_a_loss_that_arrives_is_converged_and_nothing_else(seed: int) -> None:
    monitor = watch(
        points([*falling(300, floor=0.1, seed=seed), *flat(500, level=0.105, noise=0.003, seed=seed)]), CLASSES
    )
    assert conditions(monitor) == []
    assert "converged" in [str(f.condition) for f in monitor.findings() if f.is_open]


def test_a_loss_that_shrinks_by_the_same_factor_again_and_again_has_not_converged() -> None:
    for pace, settled in ((0.83, False), (0.999, True)):
        losses = [0.3 * 0.83**i for i in range(40)]
        losses += [losses[-1] * pace**i for i in range(1, 41)]
        monitor = watch(points(losses))
        assert ("converged" in [str(f.condition) for f in monitor.findings() if f.is_open]) is settled


@pytest.mark.parametrize("gain", [0.0, 0.4])
def test_a_loss_that_rises_while_all_answers_stay_wrong_is_not_learning(gain: float) -> None:
    """Raw outputs given to a loss that expects probabilities: it wanders upwards. In order for seven epochs it would
    diverge, if no answer came right meanwhile."""
    losses = [6.1, 7.1, 7.3, 7.9, 8.5, 9.0, 9.2, 8.0, 7.5, 7.9, 7.8, 8.0]
    if not gain:
        losses[2:4] = 7.9, 7.3
    right = [0.08 + gain * i / 12 + 0.002 * (i % 3) for i in range(12)]
    stream = [Point(i + 1, loss, metrics={"accuracy": right[i]}) for i, loss in enumerate(losses)]
    report = assess(watch(stream, Context(step_unit="epoch", total_steps=12)))
    assert [str(f.condition) for f in report.findings if f.is_open] == ([] if gain else ["not_learning"])
    if not gain:
        assert not [a for f in report.findings for a in f.advice if a.action.endswith("rate") and a.value == 10]


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([1.609, 1.61, 1.609, 1.609] * 6, "1.609 in 24 points, which would be chance level for 5 classes"),
        ([0.6931] * 24, "exactly 0.6931 in all 24 points, which would be chance level for 2 classes: nothing"),
        ([1.634, 1.635, 1.634, 1.634] * 6, "1.634 in 24 points."),
    ],
)
def test_a_loss_that_rests_at_the_chance_level_of_some_classes_is_told_so(losses: list[float], words: str) -> None:
    report = assess(watch([Point(500 * (i + 1), loss) for i, loss in enumerate(losses)]))
    assert report.findings[0].condition is Condition.NOT_LEARNING
    assert words in report.headline


BY_THE_EPOCH = Context(step_unit="epoch", total_steps=50)


@pytest.mark.parametrize("context", [BY_THE_EPOCH, BY_THE_EPOCH.merged(Context(loss_name="ce", num_classes=10))])
def test_eight_epochs_at_chance_level_to_the_printed_digits_are_not_learning(context: Context) -> None:
    stuck = [2.3026, 2.3026, 2.3025, 2.3026, 2.3026, 2.3027, 2.3026, 2.3026]
    assert conditions(watch(points(stuck, 1), context)) == ["not_learning"]
    assert conditions(watch(points(stuck[:7], 1), context)) == []
    assert conditions(watch(points([*stuck[:7], 2.3036], 1), context)) == []
    assert conditions(watch(points(stuck, 1), Context(total_steps=50))) == []
    assert conditions(watch(points(stuck, 1), context.merged(Context(warmup_steps=5)))) == []
    assert conditions(watch(points(stuck, 1), context.merged(Context(loss_name="mse")))) == []


def test_a_loss_of_another_kind_is_not_held_against_chance_levels() -> None:
    report = assess(watch(points([0.6931] * 24), Context(loss_name="mse")))
    assert "chance" not in report.headline


def test_a_game_is_judged_for_finiteness_alone() -> None:
    context = Context(objective="none", total_steps=200)
    assert conditions(watch(points(flat(200)), context)) == []
    assert conditions(watch([*points(flat(20)), Point(20, float("nan"))], context)) == ["non_finite"]


def test_a_log_from_the_middle_that_wanders_has_not_fallen_back() -> None:
    rng = np.random.default_rng(3)
    up_and_down = 0.5 + 0.2 * np.concatenate([np.linspace(1, 0, 150), np.linspace(0, 1, 100), np.ones(250)])
    losses = (up_and_down + 0.01 * rng.normal(size=500)).tolist()
    assert Condition.PLATEAU in conditions(watch(points(losses)))
    assert Condition.PLATEAU not in conditions(watch(points(losses, 7000)))


def test_a_curriculum_that_gets_harder_early_in_the_plan_has_not_fallen_back() -> None:
    levels = [*np.linspace(1.5, 0.2, 8), *np.linspace(0.9, 0.8, 6), *np.linspace(0.7, 0.1, 26)]
    context = Context(loss_name="cross_entropy", step_unit="epoch", total_steps=40)
    assert Condition.PLATEAU not in conditions(watch(points(levels, 1), context))


@pytest.mark.parametrize("at", [180, 300])
@pytest.mark.parametrize("seed", range(3))
def test_a_spike_of_three_epochs_is_neither_a_lost_level_nor_a_divergence(seed: int, at: int) -> None:
    losses = 1e7 * (0.5 + np.exp(-np.arange(400) / 100)) * (1 + 0.03 * np.random.default_rng(seed).normal(size=400))
    losses[at : at + 3] = [1.6e9, 9e8, 3e8]
    assert conditions(watch(points(losses.tolist()), Context(step_unit="epoch"))) == ["loss_spike"]
