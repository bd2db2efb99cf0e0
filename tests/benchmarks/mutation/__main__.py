"""Make every change in turn and say which of them no test of the monitor notices.

What was tried is kept in ``.bench/mutation`` under a hash of the monitor and its tests: a run that was stopped goes on
where it was, and parts (``--part 1/4``) can be run apart. The test that noticed a change the last time is asked first.
An hour and a half on two quiet cores for the first time, a quarter of that when little has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.mutation.mutants import Mutant, mutants
from benchmarks.mutation.reasons import reason
from benchmarks.mutation.trial import TESTS, Trial, try_out
from losswatch_server import monitor

FOLDER = TESTS.parent / ".bench" / "mutation"
_CHANGES: list[Mutant] = []
_BEFORE: dict[str, str] = {}
"""Read by the forked processes: a change is a function and cannot be sent to them."""


def _numbered(number: int) -> Trial:
    if number < 0:
        return try_out(None)
    change = _CHANGES[number]
    return try_out(change, _BEFORE.get(change.name, ""))


def key() -> str:
    """A hash of the monitor and of its tests."""
    digest = hashlib.sha256()
    for folder in (Path(monitor.__file__).parent, TESTS / "monitor"):
        for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.json")]):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def kept(file: Path) -> dict[str, Trial]:
    """The trials of a file, by the name of the change."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {trial["name"]: Trial(**trial) for trial in map(json.loads, lines)}


def part_of(changes: list[Mutant], given: str) -> list[Mutant]:
    """Every n-th change: ``2/4`` is the second of four parts."""
    number, of = map(int, given.split("/"))
    return changes[number - 1 :: of]


def main() -> None:
    """Seconds a change, in ``--jobs`` processes: the progress goes to standard error, the result to standard output."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="changes whose name holds this")
    parser.add_argument("--part", default="1/1", help="a part of them, as 1/4")
    arguments = parser.parse_args()
    file = FOLDER / f"{key()}.jsonl"
    for older in sorted(FOLDER.glob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        _BEFORE.update({name: trial.noticed_by for name, trial in kept(older).items() if trial.noticed_by})
    done = kept(file)
    wanted = [m for m in part_of(mutants(), arguments.part) if arguments.only.lower() in m.name.lower()]
    _CHANGES.extend(mutant for mutant in wanted if mutant.name not in done)
    began = time.monotonic()
    with multiprocessing.get_context("fork").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        if not done:
            unchanged = pool.apply(_numbered, (-1,))
            if unchanged.noticed_by is not None:
                sys.exit(f"the tests fail without any change: {unchanged.noticed_by}")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            for count, trial in enumerate(pool.imap_unordered(_numbered, range(len(_CHANGES)), chunksize=1), 1):
                done[trial.name] = trial
                lines.write(json.dumps({"name": trial.name, "noticed_by": trial.noticed_by}) + "\n")
                lines.flush()
                said = f"{count} of {len(_CHANGES)}: {trial.name}: {trial.noticed_by or 'NOT NOTICED'}"
                print(said, file=sys.stderr)
    print(report([done[m.name] for m in wanted if m.name in done]))
    print(f"{len(_CHANGES)} changes in {time.monotonic() - began:.0f} s")


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
