"""Measure, print, and with ``--publish`` add the table to what ``make bench`` keeps for the documentation."""

from __future__ import annotations

import argparse
import sys
from statistics import median

from benchmarks.ingest.results import RESULTS
from benchmarks.monitor.cost import BATCHES, SERIES, Cost, follow, kendall_us, log_cost, loop_us
from benchmarks.monitor.table import text


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.monitor", description=__doc__)
    parser.add_argument("--points", type=float, default=1e5, help="so far runs are followed: 1e6 takes a minute")
    parser.add_argument("--lines", type=int, default=200_000, help="of the log that is diagnosed")
    parser.add_argument("--publish", action="store_true", help="add the table to results.txt, for the documentation")
    given = parser.parse_args()
    counts = [count for count in (10**3, 2 * 10**3, 10**4, 10**5, 10**6, 10**7) if count <= given.points]
    costs: list[Cost] = []
    kendall = [kendall_us()]
    for name in SERIES:
        for batch in BATCHES:
            costs += follow(name, counts, batch)
            kendall.append(kendall_us())  # what the machine gives changes from minute to minute
    tables = text(costs, median(kendall), loop_us(), log_cost(given.lines))
    print(tables)
    if given.publish:
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(f"\n{tables}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
