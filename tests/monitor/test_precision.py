"""The confidence of a rule is how often it was right."""

from __future__ import annotations

import itertools

import pytest

from losswatch_server.monitor.conditions import CONDITIONS
from losswatch_server.monitor.loss_kind import loss_kind
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.precision import COUNTS, OF_CLASSES, OF_VALUES, PRIOR, precision
from losswatch_server.monitor.rules.flat import LINES
from losswatch_server.monitor.vocabulary import Condition

OWN_MEASURE = {"turned", "rise", "inputs"}
"""Rules whose confidence grows with what they measure, or that are counted with another."""
ALL = [(condition, rule) for condition, rules in COUNTS.items() for rule in rules]


@pytest.mark.parametrize(("condition", "rule"), ALL, ids=lambda name: str(name))
def test_the_confidence_of_a_rule_lies_between_what_was_counted_and_what_is_true_of_its_condition(
    condition: Condition, rule: str
) -> None:
    right, alarms = COUNTS[condition][rule]
    counts = COUNTS[condition].values()
    together = sum(one[0] for one in counts) / sum(one[1] for one in counts)
    counted = right / alarms if alarms else PRIOR
    assert 0 <= right <= alarms
    assert min(counted, together, PRIOR) - 0.005 <= precision(condition, rule) <= max(counted, together, PRIOR) + 0.005


def test_of_two_rules_that_alarmed_alike_the_one_that_was_right_more_often_is_surer() -> None:
    for rules in COUNTS.values():
        for one, other in itertools.permutations(rules.values(), 2):
            if one[1] == other[1] and one[0] > other[0]:
                names = {counts: name for name, counts in rules.items()}
                condition = next(c for c, r in COUNTS.items() if r is rules)
                assert precision(condition, names[one]) > precision(condition, names[other])


VALUES, CLASSES = (loss_kind(Context(loss_name=name)) for name in ("mse", "cross_entropy"))


@pytest.mark.parametrize(
    ("condition", "rule"),
    [
        (Condition.PLATEAU, "stopped"),
        (Condition.NOT_LEARNING, "blown up"),
        (Condition.NOT_LEARNING, "not moved"),
        (Condition.PLATEAU, "fell back"),
    ],
)
def test_a_rule_is_as_sure_of_a_kind_of_loss_as_it_was_right_of_that_kind(condition: Condition, rule: str) -> None:
    for kind, apart in ((VALUES, OF_VALUES), (CLASSES, OF_CLASSES)):
        counted = rule + apart in COUNTS[condition]
        assert precision(condition, rule, kind) == precision(condition, rule + apart if counted else rule)
    surest = {"stopped": CLASSES, "blown up": CLASSES, "not moved": VALUES}
    if rule in surest:
        other = VALUES if surest[rule] is CLASSES else CLASSES
        assert precision(condition, rule, surest[rule]) > precision(condition, rule, other) + 0.1


def test_every_rule_of_those_conditions_was_counted() -> None:
    for condition, counted in COUNTS.items():
        rules = {rule for detector in CONDITIONS[condition].rules for rule in detector.needs}
        flat = {line.name for line in LINES if line.condition is not condition}
        assert rules - flat - OWN_MEASURE <= set(counted)
