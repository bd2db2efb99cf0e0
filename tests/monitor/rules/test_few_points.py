"""What few points may say of noise: the rules share one error rate, whatever the spread of the noise."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.rules.few_points import ERROR_RATE, FEW, FewParameters, at_a_look
from losswatch_server.monitor.stats.student import line_test, step_test, student_tail
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
