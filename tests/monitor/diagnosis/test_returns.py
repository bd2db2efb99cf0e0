"""A loss that had come down and stays higher since: what it rules out, and when the units died."""

from __future__ import annotations

import pytest

from losswatch_server.monitor.diagnosis.engine import rank, strengths
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName as C
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.made_returns import DOWN, TEN, fell_back, gradient
from monitor.diagnosis.remembered import found, remembered


def seen(left: float, context: Context = TEN, rule: str = "fell back") -> Seen:
    memory = remembered(fell_back(2.3), gradient(left))
    finding = found(Condition.PLATEAU, memory, onset=DOWN, rule=rule)
    return Seen(finding, gather(memory, context, since_step=DOWN), context)


@pytest.mark.parametrize("left", [1.0, 0.1])
def test_a_model_that_was_better_is_neither_linear_nor_too_small_nor_without_updates(left: float) -> None:
    one = seen(left)
    told = {cause.cause for cause in rank(one.finding, one.measured, one.context)}
    assert not told & {C.MISSING_NONLINEARITY, C.INSUFFICIENT_CAPACITY, C.PARAMETERS_NOT_UPDATED}


@pytest.mark.parametrize("context", [TEN, Context(loss_name="mse"), TEN.merged(Context(optimizer="adam"))])
def test_where_little_gradient_is_left_the_units_died(context: Context) -> None:
    one = seen(0.1, context)
    assert rank(one.finding, one.measured, context)[0].cause is C.DEAD_ACTIVATIONS


@pytest.mark.parametrize(
    ("left", "rule", "there"), [(0.25, "fell back", True), (0.42, "fell back", False), (0.25, "stopped", False)]
)
def test_a_third_of_the_first_gradient_is_little(left: float, rule: str, there: bool) -> None:
    assert ("fell_back_with_less_gradient" in strengths(seen(left, rule=rule))) is there
    assert ("was_better" in strengths(seen(left, rule=rule))) is (rule == "fell back")
