"""False alarms on null models, by condition and noise family: the long form of what the suite asserts in short.

``python -m benchmarks.detection.calibration [--lengths 100,1000,4000] [--seeds 12] [--publish]``
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.detection.diagnosing import Diagnosed, diagnose_all
from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.null_models import FAMILIES, null_runs
from benchmarks.detection.results import publish
from benchmarks.detection.score import Share
from benchmarks.detection.table import percent
from losswatch_server.monitor.vocabulary import Condition

JUDGED = tuple(c.value for c in Condition if c not in (Condition.SILENT, Condition.CONVERGED))


def summarize(runs: Sequence[LabelledRun], done: Sequence[Diagnosed]) -> dict[str, Any]:
    """Per condition: runs with a false alarm, the same per 10,000 points, and by noise family.

    A run does not count for the conditions that its shape deserves.
    """
    conditions: dict[str, Any] = {}
    for condition in JUDGED:
        asked = [(r, d) for r, d in zip(runs, done, strict=True) if condition not in r.label.also_ok]
        raised = Counter(r.family for r, d in asked if condition in d.row.alarms)
        points = sum(len(r.points) for r, _ in asked)
        conditions[condition] = {
            "null_false_alarms": Share(hits=raised.total(), of=len(asked)).json(),
            "null_false_alarms_per_10000_points": round(1e4 * raised.total() / max(1, points), 3),
            "families": {family: raised[family] for family in FAMILIES if raised[family]},
        }
    any_alarm = sum(d.row.false_alarm for d in done)
    return {
        "null_runs": len(runs),
        "null_points": sum(len(r.points) for r in runs),
        "null_false_alarm_rate": Share(hits=any_alarm, of=len(runs)).json(),
        "conditions": conditions,
    }


def markdown(summary: dict[str, Any]) -> str:
    """The summary as a table."""
    lines = [
        f"{summary['null_runs']} runs in which nothing is wrong, {summary['null_points']:,} points, nine noise "
        f"families; a false alarm of any kind in {percent(summary['null_false_alarm_rate'])} of them.",
        "",
        "| condition | runs with a false alarm | per 10,000 points | where |",
        "| --- | --- | --- | --- |",
    ]
    for condition, row in summary["conditions"].items():
        where = ", ".join(f"{family} {count}" for family, count in row["families"].items()) or "-"
        rate = row["null_false_alarms_per_10000_points"]
        lines.append(f"| {condition} | {percent(row['null_false_alarms'])} | {rate} | {where} |")
    return "\n".join(lines) + "\n"


def main(given: Sequence[str] | None = None) -> None:
    """Read the command line, simulate, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.detection.calibration", description=__doc__)
    parser.add_argument("--lengths", default="100,1000,4000")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--publish", action="store_true", help="write results.json and results.md")
    arguments = parser.parse_args(given)
    lengths = tuple(int(n) for n in arguments.lengths.split(","))
    runs = null_runs(lengths, range(arguments.seeds))
    summary = summarize(runs, list(diagnose_all(runs, jobs=arguments.jobs)))
    print(markdown(summary))
    if arguments.publish:
        publish("False alarms on noise", summary, markdown(summary))


if __name__ == "__main__":
    main()
