"""The report: one status, one action, one headline."""

from __future__ import annotations

import math

import numpy as np
import pytest

from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import LEAST_POINTS, assess, diagnose
from losswatch_server.monitor.vocabulary import LoopAction, Status
from monitor.curves import falling, flat, growing, points, watch

CLASSES = Context(loss_name="cross_entropy", num_classes=10, total_steps=200)


def test_a_run_without_points_waits() -> None:
    report = assess(watch([]))
    assert (report.status, report.action, report.step) == (Status.WAITING, LoopAction.CONTINUE, None)
    assert "0 points" in report.headline


def test_a_run_waits_until_something_can_be_said_of_it() -> None:
    assert assess(watch(points(falling(LEAST_POINTS - 1)))).status is Status.WAITING
    assert assess(watch(points(falling(LEAST_POINTS)))).status is Status.HEALTHY


def test_a_healthy_run_is_told_where_it_came_from_and_where_it_is() -> None:
    report = assess(watch(points([2.0, 1.8, 1.5, 1.3, 1.2, 1.0])))
    assert report.headline == "Healthy: the loss went from 2 to 1 in 6 points."


def test_a_healthy_run_is_reminded_of_the_trouble_that_it_got_over() -> None:
    losses = [2.41, 2.2, 2.05, 1.98, 9.4, 1.9, 1.85, 1.8, 1.75, 1.7]
    report = assess(watch([Point(20 * (i + 1), loss) for i, loss in enumerate(losses)]))
    assert report.headline == "Healthy: the loss went from 2.41 to 1.7 in 10 points; loss spike at step 100 is over."


def test_a_loss_that_is_where_it_was_is_not_said_to_have_gone_anywhere() -> None:
    report = assess(watch(points([6.9078, 6.9079, 6.908, 6.9078, 6.9079, 6.9078], 1), Context(step_unit="epoch")))
    assert report.headline == (
        "Nothing is wrong beyond doubt, but the loss has not fallen in 6 points: 6.908 (judged from step 11 on)."
    )


@pytest.mark.parametrize(
    "losses", [[1.44, 2.97, 0.4, 41.2, 25.0], [1.0, 1.1, 0.9, 1.0, 1.2, 1.3, 1.2, 1.4, 1.5, 1.4, 1.7]]
)
def test_a_loss_that_is_above_its_start_is_not_called_healthy(losses: list[float]) -> None:
    head = assess(watch(points(losses))).headline
    assert not head.startswith("Healthy")
    assert "it has risen" in head


def test_a_run_that_posts_no_loss_is_told_so() -> None:
    report = assess(watch([Point(i, grad_norm=1.0) for i in range(10)]))
    assert "loss" in report.headline
    assert report.status is Status.WAITING


def test_validation_losses_alone_are_told_of_and_not_called_healthy() -> None:
    report = assess(watch([Point(i, validation_loss=1.1 + 0.01 * i) for i in range(20)]))
    assert report.status is Status.WAITING
    assert "validation loss was best at step 0 (1.1) and is 1.29 now" in report.headline


def test_a_few_losses_that_are_all_the_same_are_not_called_healthy() -> None:
    report = assess(watch(points([2.302585] * 5)))
    assert report.status is Status.WAITING
    assert report.headline == "Nothing can be said yet: the loss was exactly 2.30259 in all 5 points."


def test_nothing_is_foretold_of_a_game() -> None:
    losses = [0.01 * i**0.5 + 0.001 * (i % 7) for i in range(80)]
    game = [Point(i, loss, metrics={"rollout/ep_rew_mean": 1.0}) for i, loss in enumerate(losses)]
    assert assess(watch(game)).forecast.floor is None


def test_a_floor_that_the_loss_has_gone_below_is_not_foretold() -> None:
    falls = [2.0 * 0.8**i for i in range(60)]
    for asked in (False, True):
        expected = assess(watch(points(falls)), asked=asked).forecast
        assert expected.floor is None or expected.floor < 1.2 * falls[-1] + 0.02 * falls[0]
    watched = watch(points([*flat(30, level=1.0), *[0.01] * 8]))
    assert watched.forecast.floor is not None
    assert assess(watched).forecast.floor is None


@pytest.mark.parametrize(
    ("losses", "status", "action"),
    [
        (growing(12, factor=3.0), Status.CRITICAL, LoopAction.STOP),
        ([1.0, 0.9, math.nan], Status.CRITICAL, LoopAction.LOOK),
        ([1.0, 0.9, *[math.nan] * 4], Status.CRITICAL, LoopAction.STOP),
        (flat(150), Status.WARNING, LoopAction.LOOK),
        (falling(200), Status.HEALTHY, LoopAction.CONTINUE),
        ([*falling(100), math.nan, *falling(20, start=0.5)], Status.HEALTHY, LoopAction.CONTINUE),
    ],
)
def test_status_and_action(losses: list[float], status: Status, action: LoopAction) -> None:
    report = assess(watch(points(losses), CLASSES))
    assert (report.status, report.action) == (status, action)


def test_the_headline_speaks_of_the_worst_open_finding() -> None:
    report = assess(watch(points([*growing(8, factor=3.0), *[math.nan] * 3])))
    assert report.headline.startswith("The loss became NaN at step 8")


def test_an_exponential_is_given_its_factor_and_the_step_of_its_overflow() -> None:
    report = diagnose(points(growing(20, factor=3.5547, start=450.98), first=1), Context(batch_size=20))
    assert "x3.55 per step" in report.headline
    assert "overflows near step 64" in report.headline


def test_every_finding_comes_with_a_sentence_causes_and_advice() -> None:
    for losses in (growing(12), flat(150), [*falling(150), 9.0, 9.0, 9.0, 9.0]):
        report = assess(watch(points(losses), CLASSES))
        for finding in report.findings:
            assert finding.summary.endswith(".")
            if finding.severity.rank:
                assert finding.causes
                assert finding.advice
                assert sum(cause.probability for cause in finding.causes) <= 1.0 + 1e-9


def test_a_loss_of_a_game_is_said_to_be_judged_for_finiteness_alone() -> None:
    report = assess(watch(points(flat(150)), Context(loss_name="gan_generator")))
    assert report.status is Status.HEALTHY
    assert any("GAN" in note for note in report.notes)


def test_the_forecast_is_made_as_the_run_goes_and_kept() -> None:
    report = assess(watch(points(falling(400, noise=0.01)), Context()))
    assert report.forecast.floor == pytest.approx(0.3, abs=0.05)
    assert report.forecast.interval is not None
    assert report.forecast.interval[0] <= 0.31 <= report.forecast.interval[1] + 0.05


def _noisy(level: float, n: int, size: float = 0.05) -> list[float]:
    return (level + size * np.random.default_rng(0).normal(size=n)).tolist()


def test_a_loss_that_has_not_fallen_yet_is_said_to_and_from_when_that_is_judged() -> None:
    planned = Context(total_steps=1000, loss_name="cross_entropy", num_classes=10)
    head = assess(watch(points(_noisy(2.3, 450)), planned)).headline
    assert "has not fallen in 450 points" in head
    assert "(judged from step 499 on, half of the plan)" in head
    assert "(judged from step 200 on)" in assess(watch(points(_noisy(2.3, 100)))).headline


def test_of_a_noisy_loss_levels_are_named_and_not_single_points() -> None:
    losses = (np.linspace(2.4, 1.9, 300) + _noisy(0.0, 300, 0.2)).tolist()
    head = assess(watch(points(losses))).headline
    assert head.startswith("Healthy: the loss went from about 2.")


def test_of_an_excerpt_nothing_is_said_of_its_fall_since_the_start() -> None:
    excerpt = [Point(100_000 + i, loss) for i, loss in enumerate(_noisy(2.3, 100))]
    assert assess(watch(excerpt)).headline.startswith("Healthy: the loss has stayed near 2.2")


def test_a_run_of_which_only_nan_is_judged_is_said_to_be_just_that() -> None:
    head = assess(watch(points(_noisy(-280.0, 100, 30.0)), Context(objective="none"))).headline
    assert head.startswith("No NaN and no infinity in 100 points")
    assert "-2" not in head


def test_steps_are_written_as_other_numbers_are() -> None:
    losses = [*falling(5300), *[50.0] * 6]
    assert "at step 5,300" in assess(watch(points(losses))).headline
