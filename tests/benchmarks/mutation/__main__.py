"""Make every change in turn and say which of them no test of the monitor notices.

The tests are collected once; each change is made in a forked process that asks those which read what is changed, one
after the other, until one fails. What was found is kept in ``.bench/mutation``: a run that was stopped goes on where it
was, and the next one asks the test that noticed a change the last time (``kept``).
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from benchmarks.mutation.forked import forked
from benchmarks.mutation.kept import Kept, monitors_hash, of_files
from benchmarks.mutation.mutants import Mutant, mutants
from benchmarks.mutation.reach import Reach, reached
from benchmarks.mutation.reasons import reason
from benchmarks.mutation.trial import OPTIONS, TESTS, Trial, asked, in_order, try_out

FOLDER = TESTS.parent / ".bench" / "mutation"


def part_of(changes: list[Mutant], given: str) -> list[Mutant]:
    """Every n-th change: ``2/4`` is the second of four parts."""
    number, of = map(int, given.split("/"))
    return changes[number - 1 :: of]


def edited_since(commit: str, root: Path = TESTS.parent) -> frozenset[Path]:
    """The files that differ from those of a commit, in the working tree."""
    command = ("git", "diff", "--name-only", commit, "--", ".")
    told = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return frozenset(root / name for name in told.splitlines())


class Asking:
    """Takes the place of running the tests once they are collected."""

    def __init__(self, wanted: list[Mutant], jobs: int, most: float) -> None:
        self.wanted, self.jobs, self.most, self.trials = wanted, jobs, most, dict[str, Trial]()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Make the changes and ask."""
        items = [item for item in session.items if asked(item)]
        files = {item.nodeid.split("::")[0]: item.path for item in items}
        kept = Kept.read(FOLDER, {node: of_files([path]) for node, path in files.items()}, monitors_hash())
        reach = self._reach(items, kept)
        works = []
        for mutant in self.wanted:
            if who := to_ask(mutant, items, kept, reach):
                works.append(partial(try_out, mutant, list(within(self.most, who, reach))))
            else:
                self.trials[mutant.name] = kept.trials.get(mutant.name, Trial(mutant.name, None))
        for count, trial in enumerate(forked(works, self.jobs), 1):
            if trial.noticed_by or self.most == math.inf:
                kept.add(trial)
            self.trials[trial.name] = trial
            said = f"{count} of {len(works)}: {trial.name}: {trial.noticed_by or 'NOT NOTICED'}"
            print(said, file=sys.stderr, flush=True)
        return True

    def _reach(self, items: Sequence[pytest.Item], kept: Kept) -> dict[str, Reach]:
        known = kept.reach()
        new = [item for item in items if item.nodeid not in known]
        for found in forked([partial(reached, new)] if new else [], 1):
            if isinstance(found, str):
                pytest.exit(f"the tests fail without any change: {found}", 1)
            known |= found
            kept.keep_reach(known)
        return known


def to_ask(mutant: Mutant, items: Sequence[pytest.Item], kept: Kept, reach: dict[str, Reach]) -> list[pytest.Item]:
    """The tests to show a change to, in order: first the one that noticed it before; none where all was asked."""
    touched, before = kept.touched(mutant.name), kept.trials.get(mutant.name, Trial(mutant.name, None)).noticed_by
    if not touched:
        return []
    reading = [item for item in items if mutant.read in reach[item.nodeid].reads]
    if before is None:
        reading = [item for item in reading if item.nodeid.split("::")[0] in touched]
    ordered = in_order(mutant, reading, {node: of.seconds for node, of in reach.items()})
    return sorted(ordered, key=lambda item: item.nodeid != before)


def within(most: float, items: Iterable[pytest.Item], reach: dict[str, Reach]) -> Iterator[pytest.Item]:
    """The first of the tests, as many as that many seconds suffice for; at least one."""
    for item in items:
        yield item
        most -= reach[item.nodeid].seconds
        if most < 0:
            return


def main() -> None:
    """Seconds a change, in ``--jobs`` processes: the progress goes to standard error, the result to standard output."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="changes whose name holds this")
    parser.add_argument("--most", type=float, default=math.inf, help="seconds a change, for a first look")
    parser.add_argument("--part", default="1/1", help="a part of them, as 1/4")
    parser.add_argument(
        "--since", default="", help="changes to what stands in files that were edited since this commit"
    )
    arguments = parser.parse_args()
    wanted = [m for m in part_of(mutants(), arguments.part) if arguments.only.lower() in m.name.lower()]
    if arguments.since:
        edited = edited_since(arguments.since)
        wanted = [mutant for mutant in wanted if mutant.file in edited]
    asking, began = Asking(wanted, arguments.jobs, arguments.most), time.monotonic()
    code = pytest.main([*OPTIONS, "--rootdir", str(TESTS.parent), str(TESTS / "monitor")], plugins=[asking])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(int(code))
    print(report([asking.trials[m.name] for m in wanted]))
    print(f"{len(wanted)} changes in {time.monotonic() - began:.0f} s")


def report(trials: Iterable[Trial]) -> str:
    """Which file notices how many, then what nothing noticed, apart by whether there is a reason."""
    tried = list(trials)
    noticed = Counter(trial.noticed_by.split("::")[0] for trial in tried if trial.noticed_by)
    lines = [f"{count:5} noticed by {file}" for file, count in noticed.most_common()]
    unnoticed = [trial.name for trial in tried if trial.noticed_by is None]
    without = [name for name in unnoticed if reason(name) is None]
    lines += [f"\nNo test notices {len(unnoticed)} of {len(tried)} changes; {len(without)} without a reason:"]
    lines += [f"  {name}" for name in without]
    lines += [f"  ({name}: {reason(name)})" for name in unnoticed if reason(name) is not None]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
