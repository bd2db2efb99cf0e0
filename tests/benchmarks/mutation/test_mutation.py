"""Every parameter and every row of evidence is found, changed, and put back."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.mutation.__main__ import kept, part_of, report
from benchmarks.mutation.mutants import mutants, rules
from benchmarks.mutation.reasons import REASONS
from benchmarks.mutation.trial import Trial, files_for
from losswatch_server.catalogue.rules import detectors_of
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import conditions, falling, growing, points, watch


def test_every_registered_rule_is_found_once() -> None:
    registered = {id(rule) for condition in Condition for rule in detectors_of(condition)}
    assert {id(rule) for rule in rules()} == registered
    assert len(rules()) == len(registered)


def test_every_number_of_a_rule_is_halved_and_doubled() -> None:
    names = [mutant.name for mutant in mutants()]
    assert len(names) == len(set(names))
    for rule in rules():
        for parameter in fields(rule):
            if not isinstance(getattr(rule, parameter.name), bool):
                owners = [base.__name__ for base in type(rule).__mro__]
                changes = [n for n in names if any(n.startswith(f"{owner}.{parameter.name}: ") for owner in owners)]
                assert len(changes) == 2, (rule, parameter.name)


def test_a_parameter_that_rules_share_is_changed_in_all_of_them() -> None:
    flat = detectors_of(Condition.PLATEAU) + detectors_of(Condition.NOT_LEARNING)
    (mutant,) = [m for m in mutants() if m.name.startswith("FlatParameters.bad_gain: ") and m.name.endswith("-> 1")]
    with mutant.made():
        assert {rule.bad_gain for rule in flat} == {1.0}
    assert {rule.bad_gain for rule in flat} == {0.5}


def test_evidence_is_dropped_row_by_row() -> None:
    dropped = [mutant for mutant in mutants() if mutant.name.endswith(": dropped")]
    assert len(dropped) > 100
    assert any("rate_jumped" in mutant.words for mutant in dropped)


def said(stream: list[Any]) -> list[str]:
    return conditions(watch(stream))


def test_a_change_is_seen_by_the_monitor_and_taken_back() -> None:
    (rule,) = detectors_of(Condition.DIVERGING)
    stream = points([*falling(60, floor=0.3), *growing(30, factor=1.4, start=0.3)])
    before = said(stream)
    assert "diverging" in before
    for mutant in mutants():
        if mutant.name.startswith("Diverging."):
            with mutant.made():
                assert type(rule)() == rule, "a rule that a test makes changes along"
                said(stream)
    assert said(stream) == before


def test_tests_that_speak_of_what_is_changed_are_run_first() -> None:
    (spiking, *_) = [mutant for mutant in mutants() if mutant.name.startswith("LossSpike.")]
    assert "spike" in files_for(spiking)[0].name


def test_parts_are_all_the_changes_each_once() -> None:
    every = mutants()
    parts = [part_of(every, f"{number}/4") for number in range(1, 5)]
    assert sorted(m.name for part in parts for m in part) == sorted(m.name for m in every)


def test_what_was_tried_is_kept_and_the_report_tells_survivors_with_and_without_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    assert kept(file) == {}
    file.write_text('{"name": "a", "noticed_by": "t.py::x"}\n{"name": "b", "noticed_by": null}\n')
    assert kept(file) == {"a": Trial("a", "t.py::x"), "b": Trial("b", None)}
    told = report(kept(file).values())
    assert "1 noticed by t.py" in told
    assert "No test notices 1 of 2 changes; 1 without a reason:\n  b" in told


def test_every_reason_is_of_changes_that_there_are() -> None:
    names = [mutant.name for mutant in mutants()]
    for pattern in REASONS:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
