"""Run the tests against one change, in a forked process in which everything else is as it was."""

from __future__ import annotations

import os
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
OPTIONS = (
    "-x",
    "-q",
    "-m",
    "not slow",
    "--hypothesis-profile",
    "fast",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:schemathesis",
    "--timeout",
    "600",
)
NOTICED = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
"""A failed test; or a test file that cannot even be imported."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened: the first test that noticed, None where none did."""

    name: str
    noticed_by: str | None


class _First:
    """Remembers the first test that failed."""

    node = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.node:
            self.node = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.node:
            self.node = report.nodeid


def files_for(mutant: Mutant | None, folder: Path = TESTS / "monitor") -> list[Path]:
    """The monitor's test files that a change can matter to, those first that speak of it; None: all of them."""
    paths = [path for path in sorted(folder.rglob("test_*.py")) if path.name not in INVARIANTS]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    if mutant is None:
        return list(texts)
    reached = [path for path, text in texts.items() if any(call in text for call in mutant.through)]

    def rank(path: Path) -> tuple[int, float]:
        named = sum(word in path.name for word in mutant.words)
        return -named, -sum(texts[path].count(word) for word in mutant.words) / len(texts[path])

    return sorted(reached, key=rank)


def try_out(mutant: Mutant | None, before: str = "") -> Trial:
    """One run of the tests with the change made; None: without any. Only for a process that then ends.

    ``before``: the test that noticed the same change the last time, asked first.
    """
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    os.chdir(TESTS.parent)
    first = _First()
    arguments = [*OPTIONS, *([before] if (TESTS.parent / before.split("::")[0]).is_file() else []),
                 *map(str, files_for(mutant))]  # fmt: skip
    if mutant is None:
        code = pytest.main(arguments, plugins=[first])
    else:
        with mutant.made():
            code = pytest.main(arguments, plugins=[first])
    if code == pytest.ExitCode.OK:
        return Trial(mutant.name if mutant else "", None)
    if code in NOTICED:
        return Trial(mutant.name if mutant else "", first.node or "a file that cannot be imported")
    raise RuntimeError(f"pytest ended with {code!r}")
