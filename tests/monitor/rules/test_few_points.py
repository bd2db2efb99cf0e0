"""What few points may say of noise: the rules share one error rate, whatever the spread of the noise."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.rules.few_points import (
    ERROR_RATE,
    FEW,
    FewParameters,
    at_a_look,
    at_each,
    follows_by_chance,
    rises_by_chance,
)
from losswatch_server.monitor.rules.flat import NotLearning
from losswatch_server.monitor.stats.student import line_test, next_test, step_test, student_tail
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import conditions, points, watch

EPOCHS = Context(step_unit="epoch", objective="minimize")
RUNS = 150
SHARES = {
    "doubling": FewParameters().doubling_share,
    "monotone": FewParameters().monotone_share,
    "risen": FewParameters().risen_share,
}


def called_diverging(spread: float, context: Context) -> Counter[str]:
    """How many of so many runs of mere noise are called diverging within their first points, by rule."""
    rng = np.random.default_rng(11)
    found: Counter[str] = Counter()
    for _ in range(RUNS):
        monitor = watch(points(np.exp(spread * rng.normal(size=FEW)).tolist()), context)
        found.update(f.evidence["rule"] for f in monitor.findings()[:1] if f.condition is Condition.DIVERGING)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("context", [EPOCHS, Context()], ids=["epochs", "steps"])
@pytest.mark.parametrize("spread", [0.05, 0.35, 0.7, 1.0])
def test_noise_of_any_spread_is_called_diverging_no_more_often_than_the_error_rate_allows(
    spread: float, context: Context
) -> None:
    allowed = stats.binom.ppf(0.99, RUNS, ERROR_RATE)
    assert called_diverging(spread, context).total() <= allowed


@pytest.mark.parametrize("first", [4, 6, 7])
def test_the_looks_of_a_rule_never_spend_more_than_its_share(first: int) -> None:
    spent = [3 * at_a_look(1.0, first << j, first) for j in range(60)]
    assert sum(spent) < 1
    assert spent[:2] == [pytest.approx(1 / 2), pytest.approx(1 / 6)]


def test_the_shares_leave_room_within_the_error_rate_for_the_rules_without_a_share() -> None:
    assert sum(SHARES.values()) <= 0.75 * ERROR_RATE


@pytest.mark.parametrize("losses", [[1.0, 2.0, 4.0, 8.0], [1.0, 2.1, 3.9, 8.2], [3.0, 1.0, 2.0, 4.1, 7.9, 16.0]])
def test_doubling_again_and_again_is_said_from_the_fourth_epoch_on(losses: list[float]) -> None:
    assert "diverging" in conditions(watch(points(losses), EPOCHS))


@pytest.mark.parametrize(
    ("losses", "context"),
    [
        ([1.0, 2.0, 4.0], EPOCHS),
        ([1.0, 2.0, 4.0, 8.0], Context()),
        ([1.0, 4.0, 5.0, 8.0], EPOCHS),
        ([8.0, 1.0, 2.0, 4.0, 8.0], EPOCHS),
        ([1.0, 2.0, 4.0, 8.0], EPOCHS.merged(Context(warmup_steps=4))),
    ],
    ids=["three epochs", "single steps", "a crooked rise", "no more than before", "within a warm-up"],
)
def test_what_few_points_do_not_show_is_not_said(losses: list[float], context: Context) -> None:
    assert conditions(watch(points(losses), context)) == []


@pytest.mark.parametrize("degrees", range(1, 12))
@pytest.mark.parametrize("t", [-3.0, -0.5, 0.0, 0.7, 2.0, 31.6, math.inf])
def test_students_distribution_is_exact(t: float, degrees: int) -> None:
    assert student_tail(t, degrees) == pytest.approx(stats.t.sf(t, degrees), abs=1e-12)


def test_a_line_and_a_step_are_tested_as_usual() -> None:
    values = [0.1, 0.9, 1.7, 3.4, 3.9]
    assert line_test(values) == pytest.approx(stats.linregress(range(5), values, alternative="greater").pvalue)
    usual = stats.ttest_ind(values[2:], values[:2], alternative="greater").pvalue
    assert step_test(values, 3) == pytest.approx(usual)


@pytest.mark.parametrize("n", [5, 8, 14])
def test_the_next_of_a_line_is_tested_as_usual(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    design = np.vander(np.arange(n + 1.0), 2)
    line, (rss,), *_ = np.linalg.lstsq(design[:-1], values, rcond=None)
    ahead = design[-1] @ line
    leverage = design[-1] @ np.linalg.inv(design[:-1].T @ design[:-1]) @ design[-1]
    usual = stats.t.sf((2.0 - ahead) / math.sqrt(rss / (n - 2) * (1 + leverage)), n - 2)
    assert next_test(values.tolist(), 2.0) == pytest.approx(usual)


@pytest.mark.parametrize("first", [4, 5])
def test_where_every_point_is_a_look_all_of_them_spend_no_more_than_the_share(first: int) -> None:
    assert 0.8 < sum(at_each(1.0, n, first) for n in range(first, 1000)) < 1


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy"])
@pytest.mark.parametrize("n", [4, 6, 9])
def test_values_after_a_minimum_seldom_rise_as_orderly_by_chance(n: int, draw: str) -> None:
    """Wherever the minimum was: at most as often as is said, as far as 4,000 runs of noise tell."""
    rng = np.random.default_rng(n)
    drawn = [getattr(rng, draw)(size=n).tolist() for _ in range(4000)]
    said = np.array([rises_by_chance(values[values.index(min(values)) + 1 :]) for values in drawn])
    for chance in (0.02, 0.1):
        # Student's test is exact for normal values alone, and Kendall's for all
        allowed = chance if draw == "normal" else 1.5 * chance
        assert (said <= chance).sum() <= stats.binom.ppf(0.999, len(said), allowed)


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_the_next_value_of_noise_is_seldom_as_high_as_is_said(draw: str) -> None:
    rng = np.random.default_rng(1)
    drawn = [np.exp(getattr(rng, draw)(size=10)).tolist() for _ in range(4000)]
    said = np.array([follows_by_chance(values[:-1], values[-1]) for values in drawn])
    for chance in (0.01, 0.05):
        assert (said <= chance).sum() <= stats.binom.ppf(0.999, len(said), chance)


OVERFITTING_RULES = ("few", "unbroken", "from the first", "by far")


def overfits(validation: list[float]) -> list[str]:
    """By which rules evaluations beside a training loss that falls are called overfitting."""
    losses = (0.2 + 2 * np.exp(-np.arange(len(validation)) / 8)).tolist()
    found = watch(points(losses, validation_loss=validation), EPOCHS).findings()
    return [f.evidence["rule"] for f in found if f.condition is Condition.OVERFITTING]


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.1, 0.3, 1.0])
def test_noise_of_any_spread_is_called_overfitting_no_more_often_than_the_error_rate_allows(spread: float) -> None:
    rng = np.random.default_rng(3)
    said = [overfits(np.exp(spread * rng.normal(size=32)).tolist()) for _ in range(RUNS)]
    of_few = [rules for rules in said if set(rules) & set(OVERFITTING_RULES)]
    assert len(of_few) <= stats.binom.ppf(0.99, RUNS, ERROR_RATE)


def test_five_evaluations_in_order_overfit_and_a_crooked_rise_of_three_does_not() -> None:
    assert overfits([0.62, 0.94, 1.04, 1.14, 1.3, 1.4]) == ["few"]
    assert overfits([0.9, 0.62, 0.64, 0.93, 0.95, 0.6]) == []


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.3, 0.7, 1.0])
def test_noise_of_any_spread_jumps_early_no_more_often_than_the_error_rate_allows(spread: float) -> None:
    rng = np.random.default_rng(5)
    jumped = 0
    for _ in range(RUNS):
        found = watch(points(np.exp(spread * rng.normal(size=40)).tolist()), EPOCHS).findings()
        jumped += any(f.condition is Condition.LOSS_SPIKE and f.severity.rank > 0 for f in found)
    assert jumped <= stats.binom.ppf(0.99, RUNS, ERROR_RATE)


@pytest.mark.parametrize("outside", [4e-4, 2e-3])
@pytest.mark.parametrize("spread", [1e-4, 1e-3])
def test_noise_about_another_level_is_seldom_exactly_at_chance(outside: float, spread: float) -> None:
    """``exactly at chance``: all of the first eight losses within the printed digits of it."""
    limit = NotLearning().exactly
    drawn = 1 + outside + spread * np.random.default_rng(2).normal(size=(20_000, 8))
    assert (np.abs(drawn - 1) < limit).all(axis=1).mean() < 0.5**8
