"""Incident: one thing a target may be told about; the events of the outbox folded into it.

An incident is a finding, a run that went silent, or a notice (a run that failed, finished, slowed down). It knows
nothing of targets: whether somebody is told is decided in ``policy``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from losswatch_server.monitor.conditions import INSTABILITY, incident_class
from losswatch_server.monitor.vocabulary import ClosedBy, Condition, Severity

NOTICES: Mapping[str, Severity] = {
    "run.failed": Severity.CRITICAL,
    "run.slow": Severity.WARNING,
    "run.finished": Severity.INFO,
    "run.cancelled": Severity.INFO,
}
"""Said once, never repeated, never resolved; with the severity each has."""

ENDINGS = ("run.finished", "run.failed", "run.cancelled", "run.deleted")

FORGOTTEN = ("run.deleted", ClosedBy.LAPSED.value)
"""How an incident closes that people need not hear of: they did it themselves, or waited for the run no longer."""

RECOVERED = ("resolved", "returned", "withdrawn", "rule_changed")
"""How an incident closes that left a healthy run. Every other way leaves one that is over, or begins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One finding, silence or notice of one run. Times are unix seconds of the server's clock.

    ``muted_until`` is infinite for a mute without an end; ``acknowledged`` is the severity somebody has seen;
    ``error`` is what the client said of the failure that ended the run.
    """

    id: str
    project: str
    run: str
    uid: str
    condition: str
    severity: Severity
    opened_at: float
    changed_at: float
    sweep: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    step: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    closed_at: float | None = None
    closed_by: str | None = None
    acknowledged: Severity | None = None
    muted_until: float | None = None
    notice: bool = False
    error: str = ""
    advice_action: str = ""
    series: str = ""

    @property
    def incident_class(self) -> str:
        """The name under which related conditions are grouped."""
        return incident_class(self.condition)

    @property
    def is_open(self) -> bool:
        """Not resolved, superseded or ended with its run."""
        return self.closed_at is None

    @property
    def recovered(self) -> bool:
        """Closed, and the run is the better for it."""
        return self.closed_by in RECOVERED

    @property
    def is_fatal(self) -> bool:
        """A run in such a state is told to stop: what ends it then is this."""
        return self.incident_class == INSTABILITY and self.severity is Severity.CRITICAL

    @property
    def ended_badly(self) -> bool:
        """Its run ended with it and of it, or failed: nobody may take that for a recovery."""
        return (
            self.closed_by in ENDINGS
            and self.closed_by != "run.deleted"
            and (self.is_fatal or self.closed_by == "run.failed")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the outbox, as alerts read it."""

    id: int
    project: str
    uid: str
    run: str
    kind: str
    at: float
    finding_id: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


MATTERS = frozenset({
    "finding.opened", "finding.worsened", "finding.resolved", "finding.superseded", "finding.acknowledged",
    "finding.unacknowledged", "finding.muted", "finding.unmuted", "run.reopened", *NOTICES, *ENDINGS,
})  # fmt: skip
"""The kinds of events that change incidents: of ten thousand healthy runs nothing is even read."""

Known = Mapping[str, Incident]
"""The incidents of one run by id."""


def apply(event: Event, known: Known) -> list[Incident]:
    """The incidents of this run that the event makes or changes. Unknown kinds change nothing.

    ``run.silent`` and ``run.returned`` change nothing either: the finding ``silent`` opens and closes with them.
    """
    match event.kind:
        case "finding.opened" | "finding.worsened":
            return [_raised(event, known)]
        case "finding.resolved" | "finding.superseded":
            return _closed(event, known, _how(event))
        case "finding.acknowledged":
            return [replace(c, acknowledged=c.severity, changed_at=event.at) for c in _named(event, known)]
        case "finding.unacknowledged":
            return [replace(c, acknowledged=None, changed_at=event.at) for c in _named(event, known)]
        case "finding.unmuted":
            return [replace(c, muted_until=None, changed_at=event.at) for c in _named(event, known)]
        case "finding.muted":
            until = _muted_until(event)
            return [replace(c, muted_until=until, changed_at=event.at) for c in _named(event, known)]
        case "run.reopened":
            return [
                replace(c, closed_at=None, closed_by=None, changed_at=event.at, error="")
                for c in known.values()
                if c.closed_by in ENDINGS and c.condition != Condition.SILENT
            ]
        case _ if event.kind in NOTICES or event.kind in ENDINGS:
            return _ended(event, known) + _notice(event)
    return []


def _raised(event: Event, known: Known) -> Incident:
    finding = event.body.get("finding") or {}
    name = event.finding_id or str(finding.get("id"))
    before = known.get(name)
    opened_at = before.opened_at if before and before.is_open else event.at
    fresh = _incident(
        event,
        id=name,
        condition=str(finding.get("condition", "")),
        series=str(finding.get("series", "")),
        severity=Severity(finding.get("severity", Severity.WARNING)),
        opened_at=opened_at,
        summary=str(finding.get("summary", "")),
        step=finding.get("last_step", finding.get("opened_step")),
        evidence=_readable(finding.get("evidence") or {}),
        advice=_first_advice(finding, "summary"),
        advice_action=_first_advice(finding, "action"),
    )
    if before is None:
        return fresh
    return replace(fresh, acknowledged=before.acknowledged, muted_until=before.muted_until)


def _how(event: Event) -> str:
    """How a finding closed. Superseded without a new attempt, it was a mistake of points that had not come whole."""
    finding = event.body.get("finding") or {}
    if finding.get("condition") == Condition.SILENT:
        return ClosedBy.LAPSED.value if finding.get("closed_by") == ClosedBy.LAPSED else "returned"
    attempt, now = finding.get("attempt"), _run(event).get("attempt")
    withdrawn = event.kind == "finding.superseded" and isinstance(attempt, int) and attempt == now
    return "withdrawn" if withdrawn else event.kind.removeprefix("finding.")


def _closed(event: Event, known: Known, how: str) -> list[Incident]:
    finding = event.body.get("finding") or {}
    summary = str(finding.get("summary", ""))
    evidence = _readable(finding.get("evidence") or {})  # one sentence and its numbers belong to one moment
    return [
        replace(
            c,
            evidence=evidence if summary and evidence else c.evidence,
            closed_at=event.at,
            closed_by=how,
            changed_at=event.at,
            summary=summary or c.summary,
        )
        for c in _named(event, known)
        if c.is_open
    ]


def _ended(event: Event, known: Known) -> list[Incident]:
    """With its run ends whatever was open in it: nobody is reminded of a run that is over.

    A silence that ended by the same request did not end by the run's return.
    """
    if event.kind not in ENDINGS:
        return []
    return [
        replace(c, closed_at=event.at, closed_by=event.kind, changed_at=event.at, error=_error(event))
        for c in known.values()
        if not c.notice and (c.is_open or (c.condition == Condition.SILENT and c.closed_at == event.at))
    ]


def _notice(event: Event) -> list[Incident]:
    if event.kind not in NOTICES:
        return []
    words = str(event.body.get("notice") or event.body.get("headline", ""))  # the last thing known of the run
    if event.kind == "run.failed":
        words = _error(event) or f"No error message was sent. The last report said: {words}"
    return [
        _incident(
            event,
            id=f"notice:{event.uid}:{event.id}",
            condition=event.kind,
            severity=NOTICES[event.kind],
            opened_at=event.at,
            summary=words,
            step=_run(event).get("step"),
            error=_error(event),
            notice=True,
        )
    ]


def _named(event: Event, known: Known) -> list[Incident]:
    incident = known.get(event.finding_id or "")
    return [] if incident is None else [incident]


def _incident(event: Event, **fields: Any) -> Incident:
    context = _run(event).get("context") or {}
    return Incident(
        project=event.project,
        run=event.run,
        uid=event.uid,
        changed_at=event.at,
        sweep=context.get("group"),
        tags={str(k): str(v) for k, v in (context.get("tags") or {}).items()},
        **fields,
    )


def _error(event: Event) -> str:
    return str(_run(event).get("error") or "")


def _run(event: Event) -> Mapping[str, Any]:
    return event.body.get("run") or {}


def _muted_until(event: Event) -> float:
    until = (event.body.get("finding") or {}).get("muted_until")
    return float("inf") if until is None else float(until)


def _readable(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence as it leaves the service: six significant digits, and words for what JSON has no number for."""
    return {str(name): _readable_value(value) for name, value in evidence.items()}


def _readable_value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_readable_value(item) for item in value]
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.6g}")


def _first_advice(finding: Mapping[str, Any], name: str) -> str:
    advice = finding.get("advice") or ()
    return str(advice[0].get(name) or "") if advice else ""


def as_json(incident: Incident) -> dict[str, Any]:
    """Plain values for storing; an endless mute is the string ``"forever"``."""
    plain = asdict(incident)
    if incident.muted_until == float("inf"):
        plain["muted_until"] = "forever"
    return plain


_NAMES = frozenset(field.name for field in fields(Incident))


def from_json(plain: Mapping[str, Any]) -> Incident:
    """The inverse of ``as_json``; what only another version knows is left out."""
    values = {name: value for name, value in plain.items() if name in _NAMES}
    values["severity"] = Severity(values["severity"])
    if values.get("acknowledged") is not None:
        values["acknowledged"] = Severity(values["acknowledged"])
    if values.get("muted_until") == "forever":
        values["muted_until"] = float("inf")
    return Incident(**values)
