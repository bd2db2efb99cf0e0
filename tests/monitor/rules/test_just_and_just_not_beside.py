"""Each parameter of what is judged beside the curve has its pair, by name; and every parameter of all rules has one."""

from __future__ import annotations

import pytest

from losswatch_server.monitor.monitor import Monitor
from monitor.curves import alarms
from monitor.rules.straddling import Pair, Said, parameters
from monitor.rules.test_beside_the_curve import PAIRS as BESIDE
from monitor.rules.test_beside_the_curve import STILL, gained, hardly
from monitor.rules.test_just_and_just_not import accuracy
from monitor.rules.test_just_and_just_not_at_once import PAIRS as AT_ONCE
from monitor.rules.test_just_and_just_not_held_out import PAIRS as HELD_OUT
from monitor.rules.test_just_and_just_not_in_time import PAIRS as IN_TIME
from monitor.rules.test_just_and_just_not_in_time import PLATEAU
from monitor.rules.test_overfitting_metric import errors, falls_by, few_values, while_training_falls
from monitor.rules.test_stated_faults import with_units

OF = {
    "FlatParameters.same_evaluations": "four evaluations of one number",
    "FlatParameters.same_share": "two of five evaluations of one number",
    "FlatParameters.same_digits": "a number of four digits",
    "FlatParameters.unmoved_evaluations": "six evaluations that do not move",
    "FlatParameters.unmoved_validation": "a gain of the validation loss",
    "FlatParameters.over_clip": "norms far over the clip",
    "FlatParameters.rate_below": "a rate far below the usual",
    "FlatParameters.barely": "next to nothing gained at a rate far below",
    "FlatParameters.gradient_steady": "a gradient that is as large as ever",
    "FlatParameters.gradient_kept": "a gradient that keeps its size",
    "FlatParameters.held_back_level": "a level near chance",
    "Overfitting.far_rise": "a rise of the validation loss",
    "Overfitting.far_few_rise": "the same of few evaluations",
    "Overfitting.far_fall": "a training loss that halves",
    "Overfitting.far_age": "a rise for half of the plan",
    "Overfitting.far_points": "a rise in a log without a plan",
}
"""Parameter -> its pair there."""


def found_by(rule: str) -> Said:
    """An alarm was raised by the rule."""

    def said(monitor: Monitor) -> bool:
        return any(f.evidence["rule"] == rule for f in alarms(monitor))

    return said


PAIRS: dict[str, Pair] = {
    **{
        parameter: Pair(found_by(rule), lambda run: run, just, just_not)
        for parameter, (rule, just, just_not) in ((parameter, BESIDE[name]) for parameter, name in OF.items())
    },
    "FlatParameters.unmoved_beside": Pair(found_by(STILL), lambda gain: hardly(losses=gained(gain)), 0.1, 0.16),
    "FlatParameters.better_than_guessing": Pair(PLATEAU, accuracy, 0.2, 0.23),
    "FlatParameters.hurt_units": Pair(found_by("no lower, and the client says why"), with_units, 0.52, 0.48),
    "OverfittingMetric.metric_fall": Pair(found_by("fell"), falls_by, 0.09, 0.055),
    "OverfittingMetric.metric_rise": Pair(found_by("fell"), errors, 0.14, 0.07),
    "OverfittingMetric.metric_few": Pair(found_by("fell"), few_values, 0.16, 0.1),
    "OverfittingMetric.metric_train_fall": Pair(found_by("fell"), while_training_falls, 0.4, 0.2),
}


@pytest.mark.slow
@pytest.mark.parametrize("parameter", PAIRS)
def test_a_run_beyond_the_limit_is_told_of_and_one_short_of_it_is_not(parameter: str) -> None:
    assert PAIRS[parameter].holds()


def test_every_parameter_of_every_rule_has_a_pair() -> None:
    assert {*AT_ONCE, *HELD_OUT, *IN_TIME, *PAIRS} == parameters()
