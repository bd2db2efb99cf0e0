"""Run the monitor over labelled runs, in this process or in a few; the only place here that knows its entry point."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.report import Assessment

from benchmarks.detection.labels import HEALTHY, LabelledRun
from benchmarks.detection.score import Judged, judge, said

PREFIXES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
"""Where a report of an unfinished healthy run is asked for, as shares of its points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed:
    """The judged run, its forecast and what the diagnosis cost."""

    row: Judged
    floor: float | None
    interval: tuple[float, float] | None
    seconds: float


def alarms(assessment: Assessment, allowed: frozenset[str]) -> list[str]:
    """What is said with warning or above, resolved ones included, as ``condition at step``."""
    alarming = [f for f in map(said, assessment.findings) if f.alarming and f.condition not in allowed]
    return [f"{f.condition} opened at {f.opened_step}" for f in alarming]


def watch(run: LabelledRun, shares: Sequence[float]) -> tuple[Assessment, list[Assessment]]:
    """The assessment at the end and those at each share of the points, from one fold."""
    monitor = Monitor("benchmark")
    monitor.see_context(run.context)
    stops = {max(1, round(share * len(run.points))) for share in shares}
    early = []
    for count, point in enumerate(run.points, start=1):
        monitor.see(point)
        if count in stops:
            early.append(monitor.assess())
    return monitor.assess(), early


def diagnose_run(run: LabelledRun, shares: Sequence[float] = ()) -> Diagnosed:
    """One run, diagnosed and judged; ``shares`` are looked at in healthy runs alone."""
    started = time.perf_counter()
    final, early = watch(run, shares if run.label.condition == HEALTHY else ())
    seconds = time.perf_counter() - started
    allowed = frozenset(run.label.also_ok)
    row = judge(
        run,
        findings=[said(f) for f in final.findings],
        prefix_alarms=tuple(dict.fromkeys(alarm for assessment in early for alarm in alarms(assessment, allowed))),
    )
    return Diagnosed(row=row, floor=final.forecast.floor, interval=final.forecast.interval, seconds=seconds)


def _with_prefixes(run: LabelledRun) -> Diagnosed:
    return diagnose_run(run, PREFIXES)


def diagnose_all(runs: Sequence[LabelledRun], *, jobs: int = 2, at_prefixes: bool = False) -> Iterator[Diagnosed]:
    """Every run in its order, over ``jobs`` processes (1: in this one, for a debugger)."""
    work = _with_prefixes if at_prefixes else diagnose_run
    if jobs <= 1:
        yield from map(work, runs)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(work, runs, chunksize=4)


__all__ = ["PREFIXES", "Diagnosed", "diagnose_all", "diagnose_run"]
