"""Run the monitor over labelled runs, in this process or in a few; the only place here that knows its entry point."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.detection.labels import LabelledRun
from benchmarks.detection.score import Judged, judge, said
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.report import Assessment, assess

PREFIXES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
"""Where a report of an unfinished healthy run is asked for, as shares of its points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed:
    """The judged run, the whole assessment and what it cost."""

    row: Judged
    final: Assessment
    fold_seconds: float
    assess_seconds: float


def alarms(findings: Iterable[Finding], allowed: frozenset[str]) -> list[str]:
    """What is said with warning or above, resolved ones included, as ``condition opened at step``."""
    alarming = [f for f in map(said, findings) if f.alarming and f.condition not in allowed]
    return [f"{f.condition} opened at {f.opened_step}" for f in alarming]


def watch(run: LabelledRun, shares: Sequence[float], *, uid: str = "benchmark") -> tuple[Monitor, list[list[Finding]]]:
    """The monitor at the end, and the findings as they stood at each share of the points, from one fold."""
    monitor = Monitor(uid)
    monitor.see_context(run.context)
    stops = {max(1, round(share * len(run.points))) for share in shares}
    early = []
    for count, point in enumerate(run.points, start=1):
        monitor.see(point)
        if count in stops:
            early.append(list(monitor.findings()))
    return monitor, early


def diagnose_run(run: LabelledRun, shares: Sequence[float] = ()) -> Diagnosed:
    """One run, diagnosed and judged; ``shares`` are looked at in healthy runs alone."""
    started = time.perf_counter()
    monitor, early = watch(run, shares if run.label.healthy else ())
    folded = time.perf_counter()
    final: Assessment = assess(monitor)
    assessed = time.perf_counter()
    allowed = frozenset(run.label.also_ok)
    row = judge(
        run,
        findings=[said(f) for f in final.findings],
        prefix_alarms=tuple(dict.fromkeys(alarm for findings in early for alarm in alarms(findings, allowed))),
    )
    return Diagnosed(row=row, final=final, fold_seconds=folded - started, assess_seconds=assessed - folded)


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
