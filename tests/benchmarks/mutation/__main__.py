"""Make every change in turn and say which of them no test of the monitor notices."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter

from benchmarks.mutation.mutants import Mutant, mutants
from benchmarks.mutation.trial import Trial, try_out

_CHANGES: list[Mutant] = []
"""Read by the forked processes: a change is a function and cannot be sent to them."""


def _numbered(number: int) -> Trial:
    return try_out(_CHANGES[number] if number >= 0 else None)


def main() -> None:
    """Seconds a change, in ``--jobs`` processes: the progress goes to standard error, the result to standard output."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="changes whose name holds this")
    arguments = parser.parse_args()
    _CHANGES.extend(mutant for mutant in mutants() if arguments.only.lower() in mutant.name.lower())
    began = time.monotonic()
    trials: list[Trial] = []
    with multiprocessing.get_context("fork").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        unchanged = pool.apply(_numbered, (-1,))
        if unchanged.noticed_by is not None:
            sys.exit(f"the tests fail without any change: {unchanged.noticed_by}")
        for trial in pool.imap(_numbered, range(len(_CHANGES)), chunksize=1):
            trials.append(trial)
            print(
                f"{len(trials)} of {len(_CHANGES)}: {trial.name}: {trial.noticed_by or 'NOT NOTICED'}", file=sys.stderr
            )
    report(trials, time.monotonic() - began)


def report(trials: list[Trial], seconds: float) -> None:
    """Which file notices how many, then what nothing noticed."""
    noticed = Counter(trial.noticed_by.split("::")[0] for trial in trials if trial.noticed_by)
    for file, count in noticed.most_common():
        print(f"{count:5} noticed by {file}")
    unnoticed = [trial.name for trial in trials if trial.noticed_by is None]
    print(f"\nNo test notices {len(unnoticed)} of {len(trials)} changes ({seconds:.0f} s):")
    for name in unnoticed:
        print(f"  {name}")


if __name__ == "__main__":
    main()
