"""Whoever asks is told what may be wrong; whoever is watched is not woken by it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.suspicions import LEAST_PROBABILITY, MOST
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import Assessment, diagnose
from losswatch_server.monitor.vocabulary import Condition, LoopAction, Status

RNG = np.random.default_rng
_LEVELS = (
    (84, 2), (83, 1), (82, 1), (81, 2), (80, 1), (79, 2), (78, 1), (77, 2), (76, 1), (75, 2), (74, 2), (73, 2), (72, 1),
    (71, 2), (70, 3), (69, 2), (68, 2), (67, 3), (66, 3), (65, 3), (64, 4), (63, 4), (62, 4), (61, 6), (60, 7), (59, 9),
    (58, 16), (57, 3),
)  # fmt: skip
LINEAR_KERAS = [level / 1e4 for level, times in _LEVELS for _ in range(times)]
"""A network without activations on its way to the best linear fit, 0.0057, as Keras prints it: (loss, epochs)."""


def asked(losses: list[float], context: Context | None = None, *, first: int = 1, every: int = 1) -> Assessment:
    points = [Point(first + every * i, loss=loss) for i, loss in enumerate(losses)]
    return diagnose(points, context or Context(), asked=True)


def test_a_floor_after_a_third_of_the_way_is_named_with_what_more_steps_would_bring() -> None:
    report = asked(LINEAR_KERAS, Context(step_unit="epoch", total_steps=10_000))
    assert report.status is Status.HEALTHY
    assert report.headline.startswith(
        "Nothing is wrong beyond doubt. It levels off at 0.0057, with a third of the start"
    )
    assert "more of the same steps will gain" in report.headline
    first = report.suspicions[0]
    assert first.condition is Condition.PLATEAU
    assert "missing_nonlinearity" in [cause.cause for cause in first.causes]
    assert not any("learning_rate" in advice.action for advice in first.advice)


def test_a_suspicion_changes_neither_status_nor_action_nor_findings() -> None:
    points = [Point(1 + i, loss=loss) for i, loss in enumerate(LINEAR_KERAS)]
    watched, questioned = diagnose(points, Context()), diagnose(points, Context(), asked=True)
    assert questioned.suspicions
    assert watched.suspicions == ()
    assert watched.headline.startswith("Healthy")
    assert (watched.status, watched.action, watched.findings) == (
        questioned.status,
        questioned.action,
        questioned.findings,
    )
    assert questioned.action is LoopAction.CONTINUE


def test_a_loss_that_goes_on_falling_below_zero_is_suspected_of_a_wrong_sign() -> None:
    falls = [-2.3 - 0.002 * i**2 for i in range(300)]
    first = asked(falls).suspicions[0]
    assert (first.condition, first.causes[0].cause) == (Condition.DIVERGING, "wrong_loss_function")
    assert asked(falls, Context(loss_name="gaussian_nll")).suspicions == ()
    levels_off = [1.4 - 60 * (1 - math.exp(-i / 30)) for i in range(300)]
    assert Condition.DIVERGING not in {s.condition for s in asked(levels_off).suspicions}


def test_a_cross_entropy_below_zero_is_told_to_be_none() -> None:
    report = asked([-0.1 - 0.01 * i for i in range(30)], Context(loss_name="cross_entropy", num_classes=10))
    said = {s.summary: s.causes[0].cause for s in report.suspicions}
    open_now = [str(f.condition) for f in report.findings if f.is_open and f.severity.rank]
    assert open_now or "wrong_loss_function" in said.values()


def test_gradients_that_add_up_are_suspected_where_the_loss_falls_all_the_same() -> None:
    rng = RNG(3)
    losses = [0.3 + 2.0 * math.exp(-i / 40) for i in range(200)]
    summed = [0.3 * (i + 1) * math.exp(0.3 * rng.normal() / (1 + i / 10)) for i in range(200)]
    points = [Point(1 + i, loss=loss, grad_norm=summed[i]) for i, loss in enumerate(losses)]
    first = diagnose(points, Context(), asked=True).suspicions[0]
    assert (first.condition, first.causes[0].cause) == (Condition.EXPLODING_GRADIENT, "gradients_accumulating")
    steady = [Point(1 + i, loss=loss, grad_norm=math.exp(0.3 * rng.normal())) for i, loss in enumerate(losses)]
    assert Condition.EXPLODING_GRADIENT not in {s.condition for s in diagnose(steady, Context(), asked=True).suspicions}


def test_what_is_more_likely_than_not_is_told_rather_than_that_the_loss_has_settled() -> None:
    losses = [3.8e5 + 5.7e7 * 0.75**i for i in range(60)]
    report = asked(losses, Context(step_unit="epoch", loss_name="mse"))
    assert [str(f.condition) for f in report.findings if f.is_open] == ["converged"]
    assert report.headline.startswith("Nothing is wrong beyond doubt. The first loss is")


def test_a_run_that_falls_as_it_should_is_suspected_of_nothing() -> None:
    losses = [2.3 * math.exp(-i / 30) + 0.001 * RNG(0).random() for i in range(60)]
    report = asked(losses)
    assert report.suspicions == ()
    assert report.headline.startswith("Healthy")


def test_an_excerpt_is_not_suspected_of_a_slow_start() -> None:
    losses = (0.4 + 0.001 * np.exp(-np.arange(60) / 9) + 0.0004 * RNG(1).normal(size=60)).tolist()
    report = asked(losses, first=50_000)
    assert not {s.condition for s in report.suspicions} & {Condition.NOT_LEARNING, Condition.SLOW_CONVERGENCE}
    assert all("of the start" not in s.summary for s in report.suspicions)
    rates = [a.value for s in report.suspicions for a in s.advice if "learning_rate" in a.action]
    assert all(isinstance(value, float) and value < 1 for value in rates), "a higher rate on the word of an excerpt"


def test_a_run_with_an_open_finding_is_told_of_that_alone() -> None:
    report = asked([2.0**i for i in range(1, 30)])
    assert report.status is Status.CRITICAL
    assert report.suspicions == ()


def test_a_game_is_suspected_of_nothing() -> None:
    assert asked(LINEAR_KERAS, Context(objective="none")).suspicions == ()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_at_most_three_likely_ones_are_told_each_condition_once(seed: int) -> None:
    rng = RNG(seed)
    losses = np.abs(np.cumsum(rng.normal(0, 0.2, int(rng.integers(5, 200)))) + 3).tolist()
    report = asked(losses)
    told = [s.condition for s in report.suspicions]
    assert len(told) == len(set(told)) <= MOST
    assert all(LEAST_PROBABILITY <= s.probability <= 1 for s in report.suspicions)
    assert [s.probability for s in report.suspicions] == sorted(
        (s.probability for s in report.suspicions), reverse=True
    )


def test_a_validation_loss_whose_best_is_its_last_has_not_risen() -> None:
    points = [Point(1 + i, loss=0.8 * 0.9**i, validation_loss=0.9 * 0.9**i) for i in range(12)]
    assert diagnose(points, Context(), asked=True).suspicions == ()


def test_a_small_rise_of_the_validation_loss_is_not_likely_enough_to_be_told() -> None:
    """None of 95 such runs of the develop half was overfitting."""
    held = [0.9 * 0.9**i for i in range(12)] + [0.29, 0.3, 0.31]
    points = [Point(1 + i, loss=0.8 * 0.9**i, validation_loss=v) for i, v in enumerate(held)]
    assert Condition.OVERFITTING not in {s.condition for s in diagnose(points, Context(), asked=True).suspicions}


@pytest.mark.parametrize(("floor", "suspected"), [(0.4, True), (0.55, False)])
def test_a_validation_loss_that_rose_is_suspected_where_the_training_loss_left_it_behind(
    floor: float, suspected: bool
) -> None:
    """Of 22 such runs of the develop half 7 were overfitting, of 78 with the training loss near it none."""
    held = [*np.linspace(1.2, 0.8, 10), 0.95, 0.9, 1.0, 0.94, 1.02, 0.97]
    losses = np.linspace(1.2, floor, len(held)) + 0.01 * RNG(1).normal(size=len(held))
    points = [Point(1 + i, loss=loss, validation_loss=v) for i, (loss, v) in enumerate(zip(losses, held, strict=True))]
    report = diagnose(points, Context(), asked=True)
    told = [*report.findings, *report.suspicions]
    assert (Condition.OVERFITTING in {one.condition for one in told}) is suspected


@pytest.mark.parametrize(
    ("name", "start", "end", "suspected"),
    [
        ("mse", 300.0, 0.8, True),
        ("mse", 40.0, 0.8, True),
        ("mse", 20.0, 0.8, False),
        ("mse", 300.0, 2.5, True),
        ("mse", 300.0, 4.0, False),
        ("mse", 300.0, 0.07, True),
        ("mse", 300.0, 0.03, False),
        ("cross_entropy", 300.0, 0.8, False),
    ],
)
def test_a_squared_error_that_began_far_above_what_its_targets_can_give_is_suspected(
    name: str, start: float, end: float, suspected: bool
) -> None:
    losses = end * (1 + 0.1 * RNG(0).normal(size=300)) + start * np.exp(-np.arange(300) / 4)
    report = asked(losses.tolist(), Context(loss_name=name))
    said = [s for s in report.suspicions if s.summary.startswith("The loss began at")]
    assert bool(said) is suspected
    assert all(s.condition is Condition.EXPLODING_GRADIENT and s.causes and s.advice for s in said)


def test_a_rise_within_the_printed_digits_is_none() -> None:
    rest = [0.0004, 0.0003, 0.0005, 0.0004, 0.0005, 0.0005]
    validation = [*(0.08 * 0.8**i + 0.0004 for i in range(40)), *rest]
    rounded = [round(loss, 4) for loss in validation]
    points = [Point(i, loss=0.1 * 0.85**i + 0.001, validation_loss=loss) for i, loss in enumerate(rounded)]
    report = diagnose(points, Context(step_unit="epoch"), asked=True)
    assert Condition.OVERFITTING not in [suspicion.condition for suspicion in report.suspicions]


def test_a_short_log_that_falls_to_its_end_does_not_level_off() -> None:
    falls = [0.42, 0.13, 0.092, 0.125, 0.171, 0.094, 0.080, 0.066, 0.052, 0.047, 0.037]
    assert Condition.PLATEAU not in [suspicion.condition for suspicion in asked(falls).suspicions]


def test_of_a_schedule_that_ended_the_highest_rate_is_raised_and_quoted() -> None:
    rates = (5e-5 * np.linspace(1, 1e-4, 60)).tolist()
    losses = (0.96 + 0.01 * RNG(0).normal(size=60)).tolist()
    points = [Point(i, loss, learning_rate=rate) for i, (loss, rate) in enumerate(zip(losses, rates, strict=True))]
    report = diagnose(points, Context(optimizer="adam", step_unit="epoch", loss_name="mse"), asked=True)
    told = [*report.findings, *report.suspicions]
    raised = [each for one in told for each in one.advice if each.action == "set_learning_rate"]
    assert raised
    assert raised[0].current == pytest.approx(5e-5)
    assert raised[0].value is not None
    assert raised[0].value > 2e-4
    assert "highest learning rate" in raised[0].summary


def test_a_loss_that_rests_while_the_answers_get_better_is_not_suspected_of_learning_nothing() -> None:
    losses = (0.9 + 0.01 * RNG(0).normal(size=240)).tolist()
    for gain, suspected in ((0.6, False), (0.0, True)):
        answers = 0.2 + gain * np.arange(240) / 240 + 0.01 * RNG(1).normal(size=240)
        points = [Point(i, loss, metrics={"accuracy": float(answers[i])}) for i, loss in enumerate(losses)]
        told = diagnose(points, Context(), asked=True)
        named = {item.condition for item in (*told.suspicions, *told.findings)}
        assert (Condition.NOT_LEARNING in named) is suspected
