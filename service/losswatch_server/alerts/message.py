"""Message: what is said, before any channel puts it in its own words. Pure values, stored with the delivery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from losswatch_server.alerts.grouping import Review
from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.policy import LastNotified, Reason
from losswatch_server.monitor.vocabulary import Condition, Severity

Change = Literal["opened", "worsened", "resolved", "still", "notice", "test"]
MAX_ENTRIES = 500
MAX_DETAILED = 10
"""Entries that keep evidence and advice; the rest of a long list is names. Keeps a stored message near 100 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One incident as told. ``since`` and ``until`` are unix seconds; ``until`` None means open."""

    id: str
    run: str
    uid: str
    condition: str
    severity: Severity
    change: Change
    summary: str
    since: float
    headline: str = ""
    until: float | None = None
    closed_by: str | None = None
    step: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    was_severity: Severity | None = None

    @property
    def is_open(self) -> bool:
        """Whether the incident still stands."""
        return self.until is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notification to one target. ``id`` stays the same over all tries and is the receiver's key for duplicates.

    ``key`` names the group and is the same from its first message to its last: incidents are tracked by it.
    ``total`` counts all incidents, also those beyond the entries kept.
    """

    id: str
    project: str
    key: str
    reason: Reason
    at: float
    entries: tuple[Entry, ...]
    total: int
    sweep: str | None = None

    @property
    def changes(self) -> tuple[Entry, ...]:
        """The entries that are news, or all of them in a repeat."""
        return tuple(e for e in self.entries if e.change != "still") or self.entries

    @property
    def lead(self) -> Entry:
        """The entry that speaks for the message: open before closed, then the most severe, then the oldest."""
        return min(self.changes, key=lambda e: (not e.is_open, -e.severity.rank, e.since))

    @property
    def is_firing(self) -> bool:
        """Whether anything told is still open."""
        return any(e.is_open for e in self.entries)

    @property
    def severity(self) -> Severity:
        """The highest among the open entries; of all when everything is over."""
        return max((e for e in self.entries if e.is_open or not self.is_firing), key=lambda e: e.severity.rank).severity

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of the runs, each once, in the order of the entries."""
        return tuple(dict.fromkeys(e.run for e in self.entries))

    @property
    def title(self) -> str:
        """One line: a run and what it does, or how many runs of a sweep do what."""
        if len(self.changes) == 1:
            others = f" ({self.total - 1} more open)" if self.total > 1 else ""
            return f"{self.lead.run}: {phrase(self.lead)}{others}"
        counted = Counter(phrase(e) for e in self.changes)
        listed = ", ".join(f"{count} {words}" for words, count in counted.most_common(4))
        runs = len({e.uid for e in self.entries})
        where = f" of {self.sweep}" if self.sweep else ""
        return f"{runs} run{'s' if runs != 1 else ''}{where}: {listed}"

    @property
    def text(self) -> str:
        """The run's headline while the leading entry is open and as severe as the run's status; and its sentence."""
        lead = self.lead
        sentence = lead.summary or self.title
        if not lead.is_open or not lead.headline:
            return sentence
        return lead.headline if sentence in lead.headline else f"{lead.headline} {sentence}"


PHRASES: Mapping[str, str] = {
    Condition.NON_FINITE: "loss is not finite",
    Condition.DIVERGING: "diverging",
    Condition.EXPLODING_GRADIENT: "exploding gradient",
    Condition.VANISHING_GRADIENT: "vanishing gradient",
    Condition.NOT_LEARNING: "not learning",
    Condition.OVERFITTING: "overfitting",
    Condition.OSCILLATION: "oscillating",
    Condition.LOSS_SPIKE: "loss spike",
    Condition.PLATEAU: "plateau",
    Condition.SLOW_CONVERGENCE: "converging slowly",
    Condition.SILENT: "stopped reporting",
    Condition.CONVERGED: "converged",
    "run.failed": "failed",
    "run.slow": "slowed down",
    "run.finished": "finished",
    "run.cancelled": "cancelled",
    "target.disabled": "target switched off",
    "test": "test message",
}
OVER: Mapping[str, str] = {
    "returned": "reporting again",
    "superseded": "left behind by a resume",
    "run.finished": "run finished",
    "run.failed": "run failed",
    "run.cancelled": "run cancelled",
    "run.deleted": "run deleted",
}


def phrase(entry: Entry) -> str:
    """What happened to one incident, in a few words."""
    words = PHRASES.get(entry.condition, entry.condition.replace("_", " "))
    if entry.is_open:
        return words
    if entry.closed_by == "returned":
        return OVER["returned"]
    return f"{words} ({OVER.get(entry.closed_by or '', 'resolved')})"


def compose(review: Review, message_id: str, now: float) -> Message:
    """The message of a review that speaks: the news first, most severe first, then what still stands."""
    news = [_entry(c, _change(c, reason), review.told_before) for c, reason in review.telling]
    standing = [_entry(c, "still", review.told_before) for c in review.standing]
    entries = sorted(news, key=lambda e: (not e.is_open, -e.severity.rank, e.since)) + standing
    return Message(
        id=message_id,
        project=review.group.key.project,
        key=review.group.key.text(),
        reason=review.reason,
        at=now,
        entries=_bounded(entries),
        total=len(entries),
        sweep=review.telling[0][0].sweep,
    )


def supersede(old: Message, new: Message) -> Message | None:
    """The latest state when ``old`` was never delivered: what was opened and is over meanwhile is not worth saying.

    None when nothing is left to say.
    """
    fresh = {e.id: e for e in new.entries}
    untold = {e.id: e for e in old.entries if e.change in ("opened", "notice")}
    kept = [e for e in old.entries if e.id not in fresh and e.change != "still"]
    current: list[Entry] = []
    for entry in new.entries:
        if entry.id in untold and not entry.is_open:
            continue
        was_untold = entry.id in untold and entry.change in ("worsened", "still")
        current.append(replace(entry, change="opened") if was_untold else entry)
    entries = current + kept
    if not any(e.change != "still" for e in entries) and new.reason is not Reason.REPEAT_INTERVAL:
        return None
    if not entries:
        return None
    return replace(new, entries=_bounded(entries), total=len(entries))


def _change(incident: Incident, reason: Reason) -> Change:
    if not incident.is_open:
        return "resolved"
    if incident.notice:
        return "notice"
    match reason:
        case Reason.FIRST:
            return "opened"
        case Reason.WORSENED:
            return "worsened"
        case _:
            return "still"


def _entry(incident: Incident, change: Change, told: Mapping[str, LastNotified]) -> Entry:
    before = told.get(incident.id)
    return Entry(
        id=incident.id,
        run=incident.run,
        uid=incident.uid,
        condition=incident.condition,
        severity=incident.severity,
        change=change,
        summary=incident.summary,
        since=incident.opened_at,
        headline=incident.headline,
        until=incident.closed_at,
        closed_by=incident.closed_by,
        step=incident.step,
        evidence=dict(incident.evidence),
        advice=incident.advice,
        was_severity=before.severity if before else None,
    )


def _bounded(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    detailed = entries[:MAX_DETAILED]
    brief = (replace(e, evidence={}, advice="") for e in entries[MAX_DETAILED:MAX_ENTRIES])
    return (*detailed, *brief)


def as_json(message: Message) -> dict[str, Any]:
    """Plain values for storing."""
    return asdict(message)


def from_json(plain: Mapping[str, Any]) -> Message:
    """The inverse of ``as_json``."""
    values = dict(plain)
    values["reason"] = Reason(values["reason"])
    values["entries"] = tuple(_entry_from_json(e) for e in values["entries"])
    return Message(**values)


def _entry_from_json(plain: Mapping[str, Any]) -> Entry:
    values = dict(plain)
    values["severity"] = Severity(values["severity"])
    if values.get("was_severity") is not None:
        values["was_severity"] = Severity(values["was_severity"])
    return Entry(**values)
