"""Findings from the clock: a run that stopped reporting. They carry times in their evidence and no point moves them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from losswatch_server.monitor.findings import Finding, finding_id
from losswatch_server.monitor.vocabulary import ClosedBy, Condition, Severity
from losswatch_server.runs.finding_changes import CLOCK
from losswatch_server.store.rows import RunRow


def silence(row: RunRow, known: Iterable[Finding], at: float, last_seen: float) -> Finding:
    """The finding that nothing was heard of a run since ``last_seen`` (seconds since 1970)."""
    episode = 1 + sum(finding.series == CLOCK for finding in known)
    step = row.step or 0
    silent_s = max(0.0, at - last_seen)
    expected = row.context.expected_gap_s
    return Finding(
        id=finding_id(row.uid, row.attempt, Condition.SILENT, CLOCK, episode),
        condition=Condition.SILENT,
        series=CLOCK,
        attempt=row.attempt,
        episode=episode,
        severity=Severity.WARNING,
        confidence=0.95,
        onset_step=step,
        opened_step=step,
        last_step=step,
        summary=f"Nothing has been heard of this run for {_duration(silent_s)}.",
        evidence={
            "last_seen_at": last_seen,
            "silent_s": silent_s,
            **({} if expected is None else {"expected_gap_s": expected}),
        },
    )


def returned(known: Iterable[Finding], step: int | None, at: float) -> list[Finding]:
    """The open findings of the clock, closed: the run was heard of again ``at`` this time."""
    return [
        replace(
            finding,
            resolved_step=finding.opened_step if step is None else step,
            closed_by=ClosedBy.RESOLVED,
            summary=f"The run reports again, after {_duration(max(0.0, at - _last_seen(finding, at)))} without a word.",
            evidence={**finding.evidence, "returned_at": at},
        )
        for finding in known
        if finding.series == CLOCK and finding.is_open
    ]


def lapsed(known: Iterable[Finding]) -> list[Finding]:
    """The open findings of the clock, closed: nobody waits for the run any more."""
    return [
        replace(finding, resolved_step=finding.opened_step, closed_by=ClosedBy.LAPSED)
        for finding in known
        if finding.series == CLOCK and finding.is_open
    ]


def _last_seen(finding: Finding, otherwise: float) -> float:
    seen = finding.evidence.get("last_seen_at")
    return float(seen) if isinstance(seen, int | float) else otherwise


def _duration(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"
