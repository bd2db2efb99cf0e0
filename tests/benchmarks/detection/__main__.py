"""``python -m benchmarks.detection``: judge the monitor on the bug zoo, or on a labelled corpus file.

Started from ``tests/`` (or with it on PYTHONPATH). The exit status is 0 whatever the score.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.detection import forecasting
from benchmarks.detection.diagnosing import Diagnosed, diagnose_all
from benchmarks.detection.labels import LabelledRun, read_corpus, write_corpus
from benchmarks.detection.results import publish
from benchmarks.detection.score import by_framework, row_json, summarize
from benchmarks.detection.table import errors, markdown


def chosen(arguments: argparse.Namespace) -> list[LabelledRun]:
    """The runs that the command line asks for."""
    runs = [run for path in arguments.corpus for run in read_corpus(path)]
    if not arguments.corpus:
        from benchmarks.detection.zoo import zoo

        runs = zoo(jobs=arguments.jobs, scale=arguments.seeds)
        if not arguments.no_torch:
            runs += torch_half(arguments.jobs, arguments.seeds)
        if arguments.save:
            write_corpus(arguments.save, runs)
    words = arguments.only
    return [run for run in runs if not words or any(word in run.id or word in run.label.condition for word in words)]


def torch_half(jobs: int, scale: int) -> list[LabelledRun]:
    """The runs that PyTorch trains; none, and a line that says so, where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        print("torch is not installed: the PyTorch half of the zoo is left out")
        return []
    from benchmarks.detection.torch_zoo import torch_zoo

    return torch_zoo(jobs=jobs, scale=scale)


def main(given: Sequence[str] | None = None) -> None:
    """Read the command line, run, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.detection", description=__doc__)
    parser.add_argument("--corpus", type=Path, action="append", default=[], help="a labelled .jsonl[.gz]; repeatable")
    parser.add_argument("--save", type=Path, help="write the zoo to this .jsonl[.gz], for --corpus")
    parser.add_argument("--list", action="store_true", help="a line for every run that is detected wrongly")
    parser.add_argument("--list-causes", action="store_true", help="also where only the cause is wrong")
    parser.add_argument("--all", action="store_true", help="a line for every run")
    parser.add_argument("--only", action="append", default=[], help="only runs with this in their id or condition")
    parser.add_argument("--prefixes", action="store_true", help="also look at healthy runs at nine earlier moments")
    parser.add_argument(
        "--forecasts", type=int, default=0, metavar="SEEDS", help="also measure forecasts on that many seeds"
    )
    parser.add_argument("--no-torch", action="store_true", help="the NumPy half of the zoo alone")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1, help="the zoo that many times over, with other seeds")
    parser.add_argument("--json", type=Path, help="write summary and rows here")
    parser.add_argument("--publish", action="store_true", help="write results.json and results.md")
    arguments = parser.parse_args(given)
    started = time.monotonic()
    runs = chosen(arguments)
    prepared = time.monotonic()
    done: list[Diagnosed] = list(diagnose_all(runs, jobs=arguments.jobs, at_prefixes=arguments.prefixes))
    rows = [d.row for d in done]
    summary = summarize(rows)
    if not arguments.corpus:
        summary["frameworks"] = by_framework(runs, rows)
    if arguments.forecasts:
        summary |= forecasting.summarize(list(forecasting.forecasts(range(arguments.forecasts))))
    for line in errors(rows, causes=arguments.list_causes, everything=arguments.all):
        if arguments.list or arguments.list_causes or arguments.all:
            print(line)
    print(markdown(summary))
    points = sum(r.points for r in rows)
    print(
        f"prepared in {prepared - started:.1f} s, diagnosed in {time.monotonic() - prepared:.1f} s: "
        f"{1e6 * sum(d.fold_seconds for d in done) / max(1, points):.1f} us a point, "
        f"{1e3 * sum(d.assess_seconds for d in done) / max(1, len(done)):.1f} ms a report"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"summary": summary, "rows": [row_json(r) for r in rows]}, indent=1))
    if arguments.publish:
        publish("Detection", summary, markdown(summary))


if __name__ == "__main__":
    main()
