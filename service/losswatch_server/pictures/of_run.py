"""What the pictures of a run show, from its report and a thinned series of its points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import ClosedBy, Condition, RunState, Severity, Status
from losswatch_server.pictures.chart import Curve, FindingMark, RunPicture
from losswatch_server.pictures.scene import Ink
from losswatch_server.runs.answers import Report, StoredPoint

RESOLUTION = 1_000
"""Points of the series: two for each pixel of the plot or so."""
STATUS_INKS: Mapping[Status, Ink] = {
    Status.WAITING: Ink.WAITING, Status.HEALTHY: Ink.HEALTHY, Status.WARNING: Ink.WARNING, Status.CRITICAL: Ink.CRITICAL
}  # fmt: skip
SEVERITY_INKS: Mapping[Severity, Ink] = {
    Severity.INFO: Ink.INFO, Severity.WARNING: Ink.WARNING, Severity.CRITICAL: Ink.CRITICAL
}  # fmt: skip


def run_picture(report: Report, points: Sequence[StoredPoint]) -> RunPicture:
    """What there is to draw. A badge needs no points."""
    row, said = report.run, report.assessment
    status, ink = str(said.status), STATUS_INKS[said.status]
    if row.state is RunState.FAILED:
        status, ink = "failed", Ink.CRITICAL
    elif row.state is not RunState.RUNNING:
        status = str(row.state) if said.status in (Status.HEALTHY, Status.WAITING) else f"{said.status}, {row.state}"
    last = max((stored.point.step for stored in points), default=said.step or 0)
    return RunPicture(
        run=row.name,
        status=status,
        status_ink=ink,
        headline=f"Failed: {row.error}" if row.state is RunState.FAILED and row.error else said.headline,
        position=f"step {said.step:,}" if said.step is not None else "no steps",
        curves=tuple(_curves(points)),
        marks=tuple(_mark(finding, last) for finding in _worth_a_mark(said.findings)),
    )


def _curves(points: Sequence[StoredPoint]) -> Iterator[Curve]:
    """What was superseded first, so that what stands is drawn over it."""
    main = [stored for stored in points if stored.point.rank == 0]
    for is_superseded in (True, False):
        for _, part in groupby((s for s in main if s.superseded is is_superseded), key=lambda stored: stored.attempt):
            attempt = [stored.point for stored in part]
            losses = ((point.step, _loss(point)) for point in attempt)
            ink = Ink.SUPERSEDED if is_superseded else Ink.LOSS
            yield from _curve("earlier attempt" if is_superseded else "loss", ink, losses)
            if not is_superseded:
                validation = ((point.step, point.validation_loss) for point in attempt)
                yield from _curve("validation loss", Ink.VALIDATION, validation)
    others = (stored.point for stored in points if stored.point.rank and not stored.superseded)
    broken = sorted((p.step, p.loss) for p in others if p.loss is not None and not math.isfinite(p.loss))
    yield from _curve("loss", Ink.LOSS, broken)


def _loss(point: Point) -> float | None:
    return math.nan if point.loss_is_null and point.loss is None else point.loss


def _curve(name: str, ink: Ink, values: Iterable[tuple[int, float | None]]) -> Iterator[Curve]:
    there = [(step, value) for step, value in values if value is not None]
    if there:
        steps, found = zip(*there, strict=True)
        yield Curve(name, ink, steps, found)


def _worth_a_mark(findings: Sequence[Finding]) -> list[Finding]:
    """The open ones, the worst first; where none is open, the last one of the attempt that stands."""
    found = sorted((f for f in findings if f.is_open), key=lambda f: (-f.severity.rank, f.opened_step))
    over = [f for f in findings if f.closed_by is ClosedBy.RESOLVED]
    return found or sorted(over, key=lambda f: f.opened_step)[-1:]


def _mark(finding: Finding, last_step: int) -> FindingMark:
    words = "not finite" if finding.condition is Condition.NON_FINITE else finding.condition.replace("_", " ")
    over = finding.last_step if finding.resolved_step is None else finding.resolved_step
    return FindingMark(
        words=words if finding.is_open else f"{words} (over)",
        ink=SEVERITY_INKS[finding.severity],
        onset_step=finding.onset_step,
        opened_step=finding.opened_step,
        last_step=last_step if finding.is_open else over,
    )
