"""Ask the monitor's tests about one change, in a forked process in which everything else is as it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.mutation.mutants import Mutant

TESTS = Path(__file__).parents[2]
INVARIANTS = frozenset(
    {"test_stretches.py", "test_odd_runs.py", "test_explain.py", "test_fold.py", "test_batch.py", "test_faults.py",
     "test_detector_contract.py", "test_siblings.py", "test_robustness.py"}
)  # fmt: skip
"""Files whose tests hold for any threshold and any evidence: they notice no change, and cost half of the time."""
LISTED = frozenset({"test_rows_have_names_of_their_own_and_never_tell_for_and_against_the_same_cause"})
"""Tests that only count: they would notice that a row is empty, not that it is gone."""
MADE_FOR_IT = ("just_and_just_not", "test_told")
"""Slow tests are asked in these files alone: pairs of runs to the two sides of a limit, and what a row of evidence
tells."""
OPTIONS = (
    "-s",
    "-q",
    "--hypothesis-profile",
    "fast",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:schemathesis",
    "-p",
    "no:xdist",
    "--timeout",
    "600",
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened: the first test that noticed, None where none did."""

    name: str
    noticed_by: str | None


class _First:
    """Remembers the first test that failed."""

    node: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.node is None:
            self.node = report.nodeid


def asked(item: pytest.Item) -> bool:
    """The test can notice a change, and is worth its time."""
    if item.path.name in INVARIANTS or item.name.split("[")[0] in LISTED:
        return False
    return any(part in item.path.name for part in MADE_FOR_IT) or item.get_closest_marker("slow") is None


def in_order(mutant: Mutant, items: Sequence[pytest.Item], seconds: dict[str, float]) -> list[pytest.Item]:
    """The tests that speak most of what is changed first; of a file, the quick ones first."""
    texts = {path: path.read_text(encoding="utf-8") for path in {item.path for item in items}}
    rank = {path: _rank(mutant, path, text) for path, text in texts.items()}

    def first(item: pytest.Item) -> tuple[float, ...]:
        named = 10 * (mutant.read in item.name) + sum(word in item.name for word in mutant.words)
        return -named, *rank[item.path], seconds.get(item.nodeid, 0.0)

    return sorted(items, key=first)


def _rank(mutant: Mutant, path: Path, text: str) -> tuple[int, float]:
    named = sum(word in path.name for word in mutant.words)
    return -named, -sum(text.count(word) for word in mutant.words) / len(text)


def silence() -> None:
    """Nothing that a test prints is seen. Only for a process that then ends."""
    sys.stdout.flush()
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)


def first_failure(items: Iterable[pytest.Item]) -> str | None:
    """Run tests until one fails: its name."""
    first = _First()
    for item in items:
        if first.node is None:
            item.config.pluginmanager.register(first)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            item.config.pluginmanager.unregister(first)
    return first.node


def try_out(mutant: Mutant | None, items: Sequence[pytest.Item]) -> Trial:
    """Run the tests, in this order, with the change made; None: without any. Only for a process that then ends."""
    silence()
    if mutant is None:
        return Trial("", first_failure(items))
    with mutant.made():
        return Trial(mutant.name, first_failure(items))
