"""``python -m benchmarks.detection develop|test``: judge the monitor on one half of the bug zoo, or on a corpus file.

Started from ``tests/`` (or with it on PYTHONPATH). The develop half may be looked at freely; the test half asks for a
reason, writes it down, and writes the figures that the documentation quotes. The exit status is 0 whatever the score.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detection import forecasting, kept, looks
from benchmarks.detection.diagnosing import diagnose_run
from benchmarks.detection.judging import Judged, row_json
from benchmarks.detection.labels import LabelledRun, read_corpus
from benchmarks.detection.results import publish
from benchmarks.detection.score import calibration_error
from benchmarks.detection.summary import brief, grouped, summarize
from benchmarks.detection.table import errors, markdown
from benchmarks.detection.ways import BY_KNOWLEDGE, OFFSETS, WAYS
from losswatch_server.monitor.vocabulary import DETECTION_VERSION

Task = tuple[Path, tuple[str, ...], float, int, tuple[str, ...]]
"""A file, the ways, the share of its runs that is logged anew, how many offsets, and words of which an id has one."""


def hashed(run_id: str) -> float:
    """A number in 0..1 that depends on the run's name alone."""
    return (zlib.crc32(run_id.encode()) % 9973) / 9973


def judged(task: Task) -> tuple[list[tuple[str, Judged]], int, float]:
    """Every run of a file in every way: (way, row), the points seen, and the seconds that took."""
    path, ways, part, offsets, words = task
    runs = kept.read([path]) if path.is_relative_to(kept.FOLDER) else read_corpus(path)
    rows, points, begun = [], 0, time.perf_counter()
    for run in runs:
        if words and not any(word in run.id or word in run.label.condition for word in words):
            continue
        for way, seen in logged_anew(run, ways, part, offsets):
            rows.append((way, diagnose_run(seen).row))
            points += len(seen.points)
    return rows, points, time.perf_counter() - begun


def logged_anew(run: LabelledRun, ways: Sequence[str], part: float, offsets: int) -> Iterable[tuple[str, LabelledRun]]:
    """The run as it is, and for a share of the runs in the other ways, each at ``offsets`` of the five offsets."""
    for way in ways:
        if way != "as is" and hashed(run.id) >= part:
            continue
        first = zlib.crc32(run.id.encode()) % OFFSETS
        for offset in range(1 if way == "as is" else offsets):
            seen = WAYS[way](run, (first + offset) % OFFSETS)
            if seen is not None:
                yield way, seen


def judge_files(
    paths: Sequence[Path], ways: Sequence[str], *, part: float, offsets: int, words: Sequence[str], jobs: int
) -> tuple[dict[str, list[Judged]], str]:
    """Rows by way over the files, and what it cost."""
    tasks = [(path, tuple(ways), part, offsets, tuple(words)) for path in paths]
    rows: dict[str, list[Judged]] = {way: [] for way in ways}
    points, seconds = 0, 0.0
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        work: Callable[[Task], Any] = judged
        for found, seen, taken in pool.imap(work, tasks):
            points, seconds = points + seen, seconds + taken
            for way, row in found:
                rows[way].append(row)
    return rows, f"{points:,} points in {seconds:.0f} s of one process: {1e6 * seconds / max(1, points):.0f} us a point"


def whole_summary(rows: dict[str, list[Judged]]) -> dict[str, Any]:
    """The figures of the runs as they are, and the main ones by way of logging."""
    summary = summarize(rows["as is"])
    if len(rows) > 1:
        summary["by_way"] = {way: brief(of) for way, of in rows.items()}
        summary["by_knowledge"] = {way: brief(of) for way, of in of_the_same_runs(rows).items()}
        summary["cause_calibration_by_way"] = {
            way: calibration_error(claim for r in of if r.counts for claim in r.cause_claims)
            for way, of in rows.items()
        }
    return summary


def of_the_same_runs(rows: dict[str, list[Judged]]) -> dict[str, list[Judged]]:
    """The rows of the ways that differ in what is known of the job alone, for the runs that all of them have."""
    shared = set.intersection(*({row.id for row in rows[way]} for way in BY_KNOWLEDGE))
    return {way: [row for row in rows[way] if row.id in shared] for way in BY_KNOWLEDGE}


def frameworks(rows: Sequence[Judged]) -> dict[str, Any]:
    """The main figures for the runs of each framework; both are named, also an empty one."""
    groups = grouped(rows, lambda r: "pytorch" if r.family.startswith("torch ") else "numpy")
    names = ("healthy", "faulty", "recall", "false_alarm_rate", "cause_at_1")
    return {name: {key: brief(groups.get(name, []))[key] for key in names} for name in ("numpy", "pytorch")}


def parsed(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.detection", description=__doc__)
    parser.add_argument("half", nargs="?", choices=("develop", "test"), default="develop")
    parser.add_argument("--corpus", type=Path, action="append", default=[], help="a labelled .jsonl[.gz]; repeatable")
    parser.add_argument("--size", type=int, help="seeds a family; without it the full size")
    parser.add_argument("--ways", type=float, default=0.0, metavar="SHARE", help="log that share of the runs anew")
    parser.add_argument("--offsets", type=int, default=1, help="at so many of the five offsets each")
    parser.add_argument("--only", action="append", default=[], help="only runs with this in their id or condition")
    parser.add_argument("--list", action="store_true", help="a line for every run that is detected wrongly")
    parser.add_argument("--list-causes", action="store_true", help="also where only the cause is wrong")
    parser.add_argument("--all", action="store_true", help="a line for every run")
    parser.add_argument("--forecasts", type=int, default=0, metavar="SEEDS", help="also measure forecasts")
    parser.add_argument("--jobs", type=int, default=kept.JOBS)
    parser.add_argument("--json", type=Path, help="write summary and rows here")
    parser.add_argument("--why", default="", help="why the test half is looked at: goes into looks.md")
    arguments = parser.parse_args(given)
    if arguments.half == "test" and not arguments.corpus and not arguments.why.strip():
        parser.error('say why the test half is looked at: make bench-test-half WHY="…"')
    return arguments


def main(given: Sequence[str] | None = None) -> None:
    """Read the command line, judge, print, write."""
    arguments = parsed(given)
    half = arguments.half
    paths = arguments.corpus or kept.files(half, arguments.size or kept.SIZE[half])
    ways = [*WAYS] if arguments.ways else ["as is"]
    rows, cost = judge_files(
        paths, ways, part=arguments.ways, offsets=arguments.offsets, words=arguments.only, jobs=arguments.jobs
    )
    summary = whole_summary(rows)
    if not arguments.corpus:
        summary["frameworks"] = frameworks(rows["as is"])
        summary["left_out"] = dict(sorted(kept.left_out(paths).items()))
    if arguments.forecasts:
        summary |= forecasting.summarize(list(forecasting.forecasts(half, range(arguments.forecasts))))
    if arguments.list or arguments.list_causes or arguments.all:
        for line in errors(rows["as is"], causes=arguments.list_causes, everything=arguments.all):
            print(line)
    print(markdown(summary))
    print(f"left out: {summary.get('left_out', {})}\nthe monitor failed: {summary['failed']}\n{cost}")
    if arguments.json:
        held = {way: [row_json(r) for r in of] for way, of in rows.items()}
        arguments.json.write_text(json.dumps({"summary": summary, "rows": held}))
    if half == "test" and not arguments.corpus:
        looks.note(arguments.why, summary)
        publish("Detection", summary | {"detection_version": DETECTION_VERSION}, markdown(summary))


if __name__ == "__main__":
    main()
