"""What is not known of a run is never bad: a rule is silent where what it needs was taken away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.known import Need, Needed, any_of
from losswatch_server.monitor.memory.track import BLOCK, LADDER_LEVELS
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.rules.base import Record
from monitor.curves import flat, points
from monitor.rules import (
    test_beside_the_curve,
    test_just_and_just_not,
    test_just_and_just_not_at_once,
    test_just_and_just_not_beside,
    test_just_and_just_not_held_out,
    test_just_and_just_not_in_time,
    test_stated_faults,
)
from monitor.taken_away import Run, from_run

Rule = tuple[str, str]
"""A detector (condition and series) and one of its rules."""
NEEDS = {
    (f"{detector.condition}/{detector.series}", rule): needs
    for detector in DETECTORS
    for rule, needs in detector.needs.items()
}
LONG = {("diverging/loss", f"ladder {BLOCK << level}") for level in range(4, LADDER_LEVELS)}
"""Runs of thousands of points and more; their needs are those of the shorter ones."""
N = 400
FLAT = flat(N, level=1.0)
FALLING = np.linspace(1.0, 0.8, N) + 0.005 * np.random.default_rng(0).normal(size=N)
OTHERS: tuple[Run, ...] = (
    ([p._replace(layers={"a": 0.0, "b": 1.0}) for p in points(FLAT)], Context(total_steps=N)),
    (points(FLAT, grad_norm=[30.0] * N), Context(optimizer="sgd", learning_rate=1.0, loss_name="mse")),
    ([p._replace(metrics={"accuracy": 0.1}) for p in points(FLAT)], Context(total_steps=N)),
    (points(FALLING), Context(total_steps=N, facts=ModelFacts(optimizer_parameters=1, parameters=9))),
    test_stated_faults.with_units(0.6, test_stated_faults.LOST),
)
"""Of the rules that none of the others makes speak."""


TAKEN = [(rule, any_of(need)) for rule, needs in NEEDS.items() if rule not in LONG for need in needs]


def runs() -> Iterator[Run]:
    """Every run that alarms just so, and a few for the rules that none of them makes speak."""
    for _, fires, _ in test_just_and_just_not.PAIRS.values():
        yield fires
    for module in (
        test_just_and_just_not_at_once,
        test_just_and_just_not_beside,
        test_just_and_just_not_held_out,
        test_just_and_just_not_in_time,
    ):
        for pair in module.PAIRS.values():
            yield pair.family(pair.just)
    for _, fires, _ in test_beside_the_curve.PAIRS.values():
        yield fires
    yield from OTHERS
    for pair in test_just_and_just_not_held_out.PAIRS.values():
        yield by_perplexity(pair.family(pair.just))
    yield by_perplexity(test_beside_the_curve.PAIRS["a rise of the validation loss"][1])


def by_perplexity(run: Run) -> Run:
    """A run that sends the exponential of its validation loss instead."""
    return [
        p
        if p.validation_loss is None
        else p._replace(validation_loss=None, metrics={"val_perplexity": math.exp(p.validation_loss)})
        for p in run[0]
    ], run[1]


def held(run: Run) -> set[Rule]:
    """The rules that hold somewhere in a run: all their tests pass."""
    monitor = Monitor("asked")
    monitor.see_context(run[1])
    monitor.view.record = Record()
    found: set[Rule] = set()
    for point in run[0]:
        monitor.see(point)
        for detector, tests in monitor.view.record.rows.items():
            failed = {rule for rule, test in tests if not test.passes}
            found |= {(detector, rule) for rule, _ in tests if rule not in failed}
    return found


@cache
def speaking() -> dict[Rule, list[Run]]:
    """Runs in which each rule holds, at most three."""
    found: dict[Rule, list[Run]] = {rule: [] for rule in NEEDS}
    for run in runs():
        if all(len(known) >= 3 for known in found.values()):
            break
        for rule in held(run):
            if len(found[rule]) < 3:
                found[rule].append(run)
    return found


def of(rule: Rule, taken: tuple[Needed, ...] = ()) -> str:
    """A name for a test's report."""
    return ", ".join([*rule, *map(str, taken)])


@pytest.mark.slow
@pytest.mark.parametrize("rule", [rule for rule in NEEDS if rule not in LONG], ids=lambda rule: of(rule))
def test_each_rule_holds_in_some_run(rule: Rule) -> None:
    assert speaking()[rule]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "taken"), TAKEN, ids=[of(*pair) for pair in TAKEN])
def test_a_rule_does_not_hold_where_what_it_needs_was_taken_away(rule: Rule, taken: tuple[Needed, ...]) -> None:
    for run in speaking()[rule]:
        assert rule not in held(from_run(taken, run))


@pytest.mark.parametrize("need", Need)
def test_every_need_is_one_of_some_rule_or_row(need: Need) -> None:
    needed = [n for needs in (*NEEDS.values(), *(row.needs for row in ROWS)) for part in needs for n in any_of(part)]
    assert need in needed
    assert need.known_where
