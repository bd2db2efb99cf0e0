"""Run the monitor over labelled runs, in this process or in a few; the only place here that knows its entry point."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.detection.judging import Judged, Said, judge, said
from benchmarks.detection.labels import LabelledRun
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.report import Assessment, assess
from losswatch_server.monitor.vocabulary import Severity


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


def watch(run: LabelledRun) -> tuple[Monitor, dict[str, tuple[Finding, int]]]:
    """The monitor at the end, and every finding that ever was an alarm, at its worst: id -> (finding, first step)."""
    monitor, alarmed = Monitor("benchmark"), dict[str, tuple[Finding, int]]()
    follow(monitor, run, alarmed)
    return monitor, alarmed


def follow(monitor: Monitor, run: LabelledRun, alarmed: dict[str, tuple[Finding, int]]) -> None:
    """Fold the run. One fold sees every moment of it: what it opens and closes again is in its changes."""
    contexts = list(run.contexts())
    monitor.see_context(contexts[0][1])
    waiting = contexts[1:]
    for point in run.points:
        while waiting and waiting[0][0] <= point.step:
            monitor.see_context(waiting.pop(0)[1])
        monitor.see(point)
        for finding in monitor.drain_changes():
            if finding.severity is Severity.INFO:
                continue
            held = alarmed.get(finding.id)
            if held is None:
                alarmed[finding.id] = finding, point.step
            elif finding.severity.rank >= held[0].severity.rank:
                alarmed[finding.id] = finding, held[1]


def everything_said(final: Assessment, alarmed: dict[str, tuple[Finding, int]]) -> list[Said]:
    """The findings of the report, each at its worst, and the alarms that are in it no more."""
    told = []
    reported = {f.id: f for f in final.findings}
    for name, finding in reported.items():
        worst, first = alarmed.get(name, (finding, finding.opened_step))
        told.append(
            said(finding, severity=max(worst.severity, finding.severity, key=lambda s: s.rank), opened_step=first)
        )
    told += [said(f, opened_step=first) for name, (f, first) in alarmed.items() if name not in reported]
    return sorted(told, key=lambda f: f.opened_step)


def diagnose_run(run: LabelledRun) -> Diagnosed:
    """One run, diagnosed and judged."""
    started = time.perf_counter()
    monitor, alarmed = Monitor("benchmark"), dict[str, tuple[Finding, int]]()
    follow(monitor, run, alarmed)
    folded = time.perf_counter()
    final = assess(monitor)
    assessed = time.perf_counter()
    # what fails in a rule is shielded from the others, and the run counted as failed
    faults = [*monitor.drain_faults(), *final.faults]
    failure = f"{faults[0].of or faults[0].part}: {faults[0].error}: {faults[0].message}" if faults else ""
    row = judge(run, everything_said(final, alarmed), failure=failure)
    return Diagnosed(row=row, final=final, fold_seconds=folded - started, assess_seconds=assessed - folded)


def diagnose_all(runs: Sequence[LabelledRun], *, jobs: int = 2) -> Iterator[Diagnosed]:
    """Every run in its order, over ``jobs`` processes (1: in this one, for a debugger)."""
    if jobs <= 1:
        yield from map(diagnose_run, runs)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(diagnose_run, runs, chunksize=4)
