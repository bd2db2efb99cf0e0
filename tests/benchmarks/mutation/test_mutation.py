"""Every parameter and every row of evidence is found, changed, and put back."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation.__main__ import edited_since, part_of, report, to_ask, within
from benchmarks.mutation.forked import forked
from benchmarks.mutation.kept import Kept
from benchmarks.mutation.mutants import Mutant, mutants, rules
from benchmarks.mutation.reach import Reach, noted
from benchmarks.mutation.reasons import REASONS
from benchmarks.mutation.trial import TESTS, Trial, in_order
from losswatch_server.catalogue.rules import detectors_of
from losswatch_server.monitor.diagnosis.engine import ABOUT
from losswatch_server.monitor.report import assess
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


def test_a_row_that_is_dropped_tells_of_no_cause_until_it_is_back() -> None:
    (mutant,) = [m for m in mutants() if m.name == "engine.ROWS['has_activation'].against: dropped"]
    before = dict(ABOUT)
    with mutant.made():
        assert not any(row.name == "has_activation" for rows in ABOUT.values() for row, *_ in rows)
    assert before == ABOUT


def test_every_change_knows_the_file_that_it_is_made_to() -> None:
    files = {mutant.name: mutant.file for mutant in mutants()}
    assert all(file.is_file() for file in files.values())
    assert files["FewParameters.jump: 1000 -> 500"].name == "few_points.py"
    assert files["engine.ROWS['few_parameters'].for_: dropped"].name == "facts_of_model.py"


def test_files_that_differ_from_those_of_a_commit_are_found(tmp_path: Path) -> None:
    git = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    for name in ("edited.py", "left.py"):
        (tmp_path / name).write_text("old")
    git(["git", "init"])
    git(["git", "add", "."])
    git(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "one"])
    (tmp_path / "edited.py").write_text("new")
    assert edited_since("HEAD", tmp_path) == {tmp_path / "edited.py"}


@dataclass
class Asked:
    """What is asked of a test that was collected."""

    nodeid: str

    @property
    def name(self) -> str:
        return self.nodeid.split("::")[1]

    @property
    def path(self) -> Path:
        return TESTS / "monitor" / "rules" / self.nodeid.split("::")[0]


PAIR = Asked("test_loss_spike.py::test_a_pair[LossSpike.record]")
OTHER = Asked("test_loss_spike.py::test_another")
FAR = Asked("test_non_finite.py::test_a_nan")
TOLD = [PAIR, OTHER, FAR]
READS = {test.nodeid: Reach(1.0, frozenset({"LossSpike.record"})) for test in TOLD}
HASHES = {"test_loss_spike.py": "a", "test_non_finite.py": "b"}


def change(name: str = "LossSpike.record: 2 -> 4") -> Mutant:
    return next(mutant for mutant in mutants() if mutant.name == name)


def asked(kept: Kept, reach: dict[str, Reach] = READS) -> list[Any]:
    return to_ask(change(), TOLD, kept, reach)  # type: ignore[arg-type]


def test_tests_that_speak_of_what_is_changed_are_asked_first() -> None:
    assert in_order(change(), [FAR, OTHER, PAIR], {}) == [PAIR, OTHER, FAR]  # type: ignore[list-item]


def test_what_a_test_reads_nowhere_it_is_not_asked_about(tmp_path: Path) -> None:
    reach = {**READS, PAIR.nodeid: Reach(1.0, frozenset())}
    assert asked(Kept.read(tmp_path, HASHES, "m"), reach) == [OTHER, FAR]


def test_who_noticed_before_is_asked_first_as_soon_as_anything_was_touched(tmp_path: Path) -> None:
    Kept.read(tmp_path, HASHES, "m").add(Trial(change().name, FAR.nodeid))
    assert asked(Kept.read(tmp_path, HASHES, "m")) == []
    for now in (Kept.read(tmp_path, {**HASHES, "test_loss_spike.py": "c"}, "m"), Kept.read(tmp_path, HASHES, "n")):
        assert asked(now) == [FAR, PAIR, OTHER]


def test_what_nothing_noticed_is_shown_to_the_files_that_were_touched_or_to_all_of_another_monitor(
    tmp_path: Path,
) -> None:
    Kept.read(tmp_path, HASHES, "m").add(Trial(change().name, None))
    assert asked(Kept.read(tmp_path, HASHES, "m")) == []
    assert asked(Kept.read(tmp_path, {**HASHES, "test_non_finite.py": "c"}, "m")) == [FAR]
    assert asked(Kept.read(tmp_path, HASHES, "n")) == TOLD


def test_a_first_look_asks_as_many_as_the_seconds_suffice_for() -> None:
    assert list(within(1.5, TOLD, READS)) == [PAIR, OTHER]  # type: ignore[arg-type]


def test_what_is_read_is_noted_to_the_number_and_the_row() -> None:
    stream = points([*falling(60, floor=0.3), *growing(30, factor=1.4, start=0.3)])
    with noted() as reads:
        assess(watch(stream))
    assert {"FewParameters.total_rise", "Diverging.steady_spread", "PRIORS", "grows_geometrically"} <= reads
    assert "Overfitting.material" not in reads, "there is no validation loss"
    count = len(reads)
    assess(watch(stream))
    assert len(reads) == count, "nothing is noted afterwards"


def test_what_each_test_reads_is_kept_until_its_file_or_the_monitor_is_touched(tmp_path: Path) -> None:
    Kept.read(tmp_path, HASHES, "m").keep_reach(READS)
    assert Kept.read(tmp_path, HASHES, "m").reach() == READS
    assert Kept.read(tmp_path, {**HASHES, "test_non_finite.py": "c"}, "m").reach().keys() == {
        PAIR.nodeid,
        OTHER.nodeid,
    }
    assert Kept.read(tmp_path, HASHES, "n").reach() == {}


def test_work_is_done_in_processes_of_its_own_and_one_that_dies_is_said() -> None:
    seen: list[int] = []

    def work(number: int) -> int:
        seen.append(number)
        return number + len(seen)

    assert sorted(forked([partial(work, number) for number in range(5)], 2)) == [1, 2, 3, 4, 5]
    assert seen == []
    with pytest.raises(RuntimeError, match="without an answer"):
        list(forked([partial(os._exit, 3)], 1))


def test_parts_are_all_the_changes_each_once() -> None:
    every = mutants()
    parts = [part_of(every, f"{number}/4") for number in range(1, 5)]
    assert sorted(m.name for part in parts for m in part) == sorted(m.name for m in every)


def test_the_report_tells_survivors_with_and_without_a_reason() -> None:
    told = report([Trial("a", "t.py::x"), Trial("b", None)])
    assert "1 noticed by t.py" in told
    assert "No test notices 1 of 2 changes; 1 without a reason:\n  b" in told


def test_every_reason_is_of_changes_that_there_are() -> None:
    names = [mutant.name for mutant in mutants()]
    for pattern in REASONS:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
