"""Message: what is said, before any channel puts it in its own words. Pure values, stored with the delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal
from urllib.parse import quote

from losswatch_server.alerts.grouping import Review
from losswatch_server.alerts.incidents import ENDINGS, Incident
from losswatch_server.alerts.policy import LastNotified, Reason
from losswatch_server.alerts.wording import ADVICE, ADVICE_FOR_SEVERAL, counted, duration, phrase, time_of
from losswatch_server.monitor.conditions import INSTABILITY, incident_class
from losswatch_server.monitor.vocabulary import Condition, Severity

Change = Literal["opened", "worsened", "ended", "resolved", "still", "notice", "test"]
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
    until: float | None = None
    closed_by: str | None = None
    step: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    advice_action: str = ""
    error: str = ""
    was_severity: Severity | None = None
    series: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the incident still stands."""
        return self.until is None

    @property
    def is_fatal(self) -> bool:
        """Whether a run in this state is told to stop."""
        return incident_class(self.condition) == INSTABILITY and self.severity is Severity.CRITICAL

    @property
    def is_firing(self) -> bool:
        """Open, or what its run died of: who keeps incidents keeps this one."""
        died = self.closed_by in ENDINGS and (self.is_fatal or self.closed_by == "run.failed")
        return self.is_open or (self.change == "ended" and died)

    @property
    def sentence(self) -> str:
        """The incident's sentence; of one whose run ended, also how."""
        if self.is_open:
            return self.summary
        if self.change != "ended":
            return f"{self.summary} {self._over}".strip()
        match self.closed_by:
            case "run.failed":
                end = f"Then the run failed: {self.error}" if self.error else "Then the run failed."
            case "run.finished" | "run.cancelled" if self.is_fatal:
                end = "Then the run stopped." if self.closed_by == "run.finished" else "Then the run was cancelled."
            case "run.finished" | "run.cancelled":
                ended = "finished" if self.closed_by == "run.finished" else "was cancelled"
                end = f"It was still so when the run {ended}."
            case "superseded":
                end = "Then the run was resumed from an earlier step."
            case _:
                end = ""
        return f"{self.summary} {end}".strip()

    @property
    def _over(self) -> str:
        """How it ended, of a run that is well again; empty where the summary says so already."""
        match self.closed_by:
            case "withdrawn":
                return "Values that came later show that nothing is wrong."
            case "rule_changed":
                return "A newer version of the rules no longer finds it."
            case "resolved" if self.until is not None and "recovered" not in self.summary:
                return f"That is over, after {duration(self.until - self.since)}."
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notification to one target. ``id`` stays the same over all tries and is the receiver's key for duplicates.

    ``key`` names the group and is the same from its first message to its last: incidents are tracked by it.
    ``total`` counts all incidents, also those beyond the entries kept; ``size`` is how many runs the sweep has;
    ``apart`` says what sets the runs apart from the others of the sweep; ``recovered`` is how many other runs
    were faulty and are well again before anybody was told.
    """

    id: str
    project: str
    key: str
    reason: Reason
    at: float
    entries: tuple[Entry, ...]
    total: int
    sweep: str | None = None
    size: int | None = None
    apart: str = ""
    recovered: int = 0

    @property
    def changes(self) -> tuple[Entry, ...]:
        """The entries that are news, or all of them in a repeat."""
        return tuple(e for e in self.entries if e.change != "still") or self.entries

    @property
    def lead(self) -> Entry:
        """The entry that speaks for the message: firing before over, then the most severe, then the oldest."""
        return min(self.changes, key=lambda e: (not e.is_firing, -e.severity.rank, e.since))

    @property
    def detail(self) -> Entry | None:
        """The entry whose numbers and advice the message shows: none where several runs would share them."""
        return self.lead if len({e.uid for e in self.changes}) == 1 else None

    @property
    def is_firing(self) -> bool:
        """Whether anything told is still open, or is what a run died of."""
        return any(e.is_firing for e in self.entries)

    @property
    def is_recovery(self) -> bool:
        """Whether all that is told is that runs are well again."""
        return all(e.change == "resolved" for e in self.entries)

    @property
    def severity(self) -> Severity:
        """The highest among the firing entries; of all when everything is over."""
        return max(
            (e for e in self.entries if e.is_firing or not self.is_firing), key=lambda e: e.severity.rank
        ).severity

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of the runs, each once, in the order of the entries."""
        return tuple(dict.fromkeys(e.run for e in self.entries))

    @property
    def title(self) -> str:
        """One line: a run and what it does, or how many runs of a sweep do what."""
        changes = self.changes
        others, cut = len(self.entries) - len(changes), self.total - len(self.entries)
        more = (f" ({others} more open)" if others else "") + (f" and {cut} more" if cut > 0 else "")
        uids = {e.uid for e in changes}
        if len(uids) == 1:
            stood = f", open for {duration(self.at - self.lead.since)}" if self.lead.change == "still" else ""
            return f"{self.lead.run}: {', '.join(dict.fromkeys(phrase(e) for e in changes))}{stood}{more}"
        size = f" of {self.size}" if self.size is not None and self.size >= len(uids) else ""
        where = f" of {self.sweep}" if self.sweep else ""
        return f"{len(uids)}{size} runs{where}: {counted(changes)}{more}"

    @property
    def text(self) -> str:
        """Of one run its sentence; of several what sets them apart, and what became of the worst, by name."""
        lead = self.lead
        others = (
            "1 other run recovered by itself."
            if self.recovered == 1
            else (f"{self.recovered} other runs recovered by themselves.")
        )
        recovered = others if self.recovered else ""
        if self.detail is None:
            worst = f"{lead.run}: {lead.sentence}" if lead.sentence else ""
            return " ".join(part for part in (self.apart, worst, recovered) if part) or self.title
        return f"{lead.sentence or self.title} {recovered}".strip()

    @property
    def advice(self) -> str:
        """What to do: the advice for the run, or what fits all runs of the message; empty where there is none."""
        if self.is_recovery or all(e.closed_by == "superseded" for e in self.changes):
            return ""
        conditions = {e.condition for e in self.changes}
        if self.detail is not None:
            return self.lead.advice or ADVICE.get(self.lead.condition, "").replace(
                "{run}", quote(self.lead.run, safe="")
            )
        if len(conditions) == 1 and (advice := ADVICE_FOR_SEVERAL.get(self.lead.condition)):
            return advice
        actions = {e.advice_action for e in self.changes if e.advice_action}
        if not actions:
            return ""
        if actions <= LEARNING_RATE:
            return "Lower the learning rate of these runs; the report of each has its own value."
        return "The report of each run says what to do."


LEARNING_RATE = frozenset({"set_learning_rate", "multiply_learning_rate"})


def compose(reviews: Sequence[Review], key: str, message_id: str, now: float) -> Message:
    """The message of reviews that speak: the news first, most severe first, then what still stands.

    Several reviews are a digest under a ``key`` of its own, of one sweep only where all are of it.
    """
    news = [_entry(i, _change(i, why), r.told_before, now) for r in reviews for i, why in r.telling]
    standing = [_entry(i, "still", r.told_before, now) for r in reviews for i in r.standing]
    entries = sorted(news, key=lambda e: (not e.is_firing, -e.severity.rank, e.since)) + standing
    sweeps = {i.sweep for r in reviews for i, _ in r.telling}
    return Message(
        id=message_id,
        project=reviews[0].group.key.project,
        key=key,
        reason=min((r.reason for r in reviews), key=_LEADING.index),
        at=now,
        entries=_bounded(entries),
        total=len(entries),
        sweep=sweeps.pop() if len(sweeps) == 1 else None,
        recovered=sum(len(r.recovered) for r in reviews),
    )


_LEADING = (Reason.FIRST, Reason.WORSENED, Reason.ENDED, Reason.RESOLVED, Reason.REPEAT_INTERVAL)


def supersede(old: Message, new: Message) -> Message | None:
    """The latest state when ``old`` was never delivered: what came and went by itself meanwhile is not worth saying.

    None when nothing is left to say.
    """
    fresh = {e.id: e for e in new.entries}
    untold = {e.id: e for e in old.entries if e.change in ("opened", "notice")}
    kept = [e for e in old.entries if e.id not in fresh and e.change != "still"]
    current: list[Entry] = []
    gone = 0
    for entry in new.entries:
        if entry.id in untold and entry.change == "resolved":
            gone += 1
            continue
        was_untold = entry.id in untold and entry.change in ("worsened", "still")
        current.append(replace(entry, change="opened") if was_untold else entry)
    entries = current + kept
    if not any(e.change != "still" for e in entries) and new.reason is not Reason.REPEAT_INTERVAL:
        return None
    if not entries:
        return None
    return replace(
        new, entries=_bounded(entries), total=len(entries), recovered=old.recovered + new.recovered + gone,
        sweep=new.sweep if old.sweep == new.sweep else None,
    )  # fmt: skip


def _change(incident: Incident, reason: Reason) -> Change:
    if not incident.is_open:
        return "resolved" if reason is Reason.RESOLVED else "ended"
    if incident.notice:
        return "notice"
    match reason:
        case Reason.FIRST:
            return "opened"
        case Reason.WORSENED:
            return "worsened"
        case _:
            return "still"


def _summary(incident: Incident, now: float) -> str:
    """Its sentence; of a run that says nothing, for how long by now."""
    seen = time_of(incident.evidence.get("last_seen_at"))
    if incident.condition != Condition.SILENT or not incident.is_open or seen is None:
        return incident.summary
    return f"Nothing has been heard of this run for {duration(max(0.0, now - seen))}."


def _entry(incident: Incident, change: Change, told: Mapping[str, LastNotified], now: float) -> Entry:
    before = told.get(incident.id)
    return Entry(
        id=incident.id,
        run=incident.run,
        uid=incident.uid,
        condition=incident.condition,
        severity=incident.severity,
        change=change,
        summary=_summary(incident, now),
        since=incident.opened_at,
        until=incident.closed_at,
        closed_by=incident.closed_by,
        step=incident.step,
        evidence=dict(incident.evidence),
        advice=incident.advice,
        advice_action=incident.advice_action,
        error=incident.error,
        series=incident.series,
        was_severity=before.severity if before else None,
    )


def _bounded(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    detailed = entries[:MAX_DETAILED]
    brief = (replace(e, evidence=_for_titles(e), advice="") for e in entries[MAX_DETAILED:MAX_ENTRIES])
    return (*detailed, *brief)


def _for_titles(entry: Entry) -> dict[str, Any]:
    """What ``wording.phrase`` reads of the evidence."""
    return {name: entry.evidence[name] for name in ("kind",) if name in entry.evidence}


def as_json(message: Message) -> dict[str, Any]:
    """Plain values for storing."""
    return asdict(message)


def from_json(plain: Mapping[str, Any]) -> Message:
    """The inverse of ``as_json``."""
    values = dict(plain)
    values["reason"] = Reason(values["reason"])
    values["entries"] = tuple(_entry_from_json(e) for e in values["entries"])
    return Message(**values)


_NAMES = frozenset(field.name for field in fields(Entry))


def _entry_from_json(plain: Mapping[str, Any]) -> Entry:
    values = {name: value for name, value in plain.items() if name in _NAMES}
    values["severity"] = Severity(values["severity"])
    if values.get("was_severity") is not None:
        values["was_severity"] = Severity(values["was_severity"])
    return Entry(**values)
