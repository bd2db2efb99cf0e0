"""The report of a run: what the monitor says, what the clock says, and what is noted of its writers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.forecast import Forecast
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.report import Assessment, action_of, can_be_judged, status_of, worst_first
from losswatch_server.monitor.vocabulary import Severity, Status
from losswatch_server.runs.finding_changes import CLOCK
from losswatch_server.store.rows import RunRow


def with_liveness_findings(assessment: Assessment, known: Iterable[Finding], notes: Iterable[str]) -> Assessment:
    """The assessment with the open findings of the clock and further notes in it."""
    clock = [finding for finding in known if finding.series == CLOCK and finding.is_open]
    more = tuple(notes)
    if not clock and not more:
        return assessment
    findings = (*assessment.findings, *clock)
    status, action, headline = assessment.status, assessment.action, assessment.headline
    if clock:
        status = _worse(status, status_of(clock, assessment.points))
        action = action_of(findings)
        troubles = [f for f in worst_first(findings) if f.is_open and f.severity is not Severity.INFO]
        if troubles and troubles[0].series == CLOCK:
            headline = troubles[0].summary
    return replace(
        assessment,
        status=status,
        action=action,
        headline=headline,
        findings=findings,
        notes=assessment.notes + more,
    )


def frozen_assessment(row: RunRow, findings: Iterable[Finding]) -> Assessment:
    """What is known of a run that this version does not judge: its row and its stored findings."""
    return Assessment(
        status=row.status,
        action=row.action,
        headline=row.headline,
        findings=tuple(finding for finding in findings if finding.series != CLOCK),
        forecast=Forecast(floor=None, interval=None, steps_to_floor=None),
        notes=(),
        attempt=row.attempt,
        step=row.step,
        points=row.points,
    )


def row_without_report(row: RunRow, monitor: Monitor | None, known: Iterable[Finding]) -> RunRow:
    """The row where no finding changed since its headline was written."""
    if monitor is None:
        return row
    clock = [finding for finding in known if finding.series == CLOCK and finding.is_open]
    findings = (*monitor.findings(), *clock)
    return row._replace(
        attempt=monitor.attempt,
        step=monitor.step if monitor.step >= 0 else None,
        points=monitor.points,
        status=status_of(findings, monitor.points, judged=can_be_judged(monitor)),
        action=action_of(findings),
    )


def row_from_report(row: RunRow, assessment: Assessment) -> RunRow:
    """The row with what the assessment says of the run."""
    return row._replace(
        attempt=assessment.attempt,
        step=assessment.step,
        points=assessment.points,
        status=assessment.status,
        action=assessment.action,
        headline=assessment.headline,
    )


_ORDER = (Status.WAITING, Status.HEALTHY, Status.WARNING, Status.CRITICAL)


def _worse(first: Status, second: Status) -> Status:
    return max(first, second, key=_ORDER.index)
