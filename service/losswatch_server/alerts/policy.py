"""The decision: is a target told about an incident now, and why (not)? Pure; the clock is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.mute_rules import MuteRule, muted_by_rule_until
from losswatch_server.monitor.vocabulary import Condition, Severity


class Reason(StrEnum):
    """Why a target is told about an incident, or why not. Stored with every delivery."""

    FIRST = "first"
    WORSENED = "worsened"
    RESOLVED = "resolved"
    REPEAT_INTERVAL = "repeat_interval"

    NOT_CHOSEN = "not_chosen"
    BELOW_SEVERITY = "below_severity"
    MUTED = "muted"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    BEFORE_TARGET = "before_target"
    NEVER_TOLD = "never_told"
    RESOLVED_NOT_WANTED = "resolved_not_wanted"
    KEPT_FIRING = "kept_firing"
    UNCHANGED = "unchanged"

    GROUPED = "grouped"
    OVER_BUDGET = "over_budget"
    TEST = "test"
    REDELIVERED = "redelivered"
    TARGET_DISABLED = "target_disabled"


SPEAKS = frozenset({Reason.FIRST, Reason.WORSENED, Reason.RESOLVED})
"""Reasons for a new message. ``repeat_interval`` speaks too, but only for the whole group."""

SETTLED = frozenset({Reason.NEVER_TOLD, Reason.RESOLVED_NOT_WANTED})
"""A closed incident with one of these is forgotten by the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one target wants to hear, and how often. Seconds; ``since`` is when the target was made.

    ``group_by`` names what makes a group: ``group`` (the sweep), ``condition`` (its incident class), ``run``.
    ``tracks_state`` is for receivers that keep incidents of their own (PagerDuty, Alertmanager): they get every
    resolution, muted or not, and reminders of everything that is open, lest an incident never closes or lapses.
    """

    min_severity: Severity = Severity.WARNING
    conditions: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)
    group_by: frozenset[str] = frozenset({"group", "condition"})
    group_wait_s: float = 30.0
    group_interval_s: float = 300.0
    repeat_interval_s: float = 14_400.0
    send_resolved: bool = True
    max_per_hour: int = 60
    tracks_state: bool = False
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class LastNotified:
    """What a target was last told about one incident: the severity and when."""

    severity: Severity
    at: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The reason, and when to look again even if nothing happens (None: only when something does)."""

    reason: Reason
    again_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What else is known at the moment of a decision: the mute rules, and the incidents of the same runs by uid."""

    mute_rules: tuple[MuteRule, ...] = ()
    by_run: Mapping[str, tuple[Incident, ...]] = field(default_factory=dict)


def decide(
    incident: Incident, told: LastNotified | None, sent_at: float | None, rules: Rules, around: Surroundings, now: float
) -> Decision:
    """Decide about one incident for one target.

    ``sent_at`` is when the group's last message was made. The rows of the table in ``tests/alerts/test_policy.py``
    are the specification.
    """
    if not wants(incident, rules):
        return Decision(Reason.NOT_CHOSEN)
    if not incident.is_open:
        return _decide_closed(incident, told, rules, around, now)
    if incident.severity.rank < rules.min_severity.rank:
        return Decision(Reason.BELOW_SEVERITY)
    if (held := _held(incident, rules, around, now)) is not None:
        return held
    if told is None:
        return _decide_untold(incident, rules)
    if told.severity.rank < incident.severity.rank:
        return Decision(Reason.WORSENED)
    if incident.acknowledged is not None and not rules.tracks_state:
        return Decision(Reason.ACKNOWLEDGED)
    return _decide_repeat(incident, sent_at, rules, now)


def wants(incident: Incident, rules: Rules) -> bool:
    """Whether the target chose this condition and these tags; an empty choice is every one."""
    if rules.conditions and incident.condition not in rules.conditions:
        return False
    return all(incident.tags.get(name) == value for name, value in rules.tags.items())


def inhibited(incident: Incident, siblings: Iterable[Incident]) -> bool:
    """Whether another incident of the same run says it all already.

    A silent run hides everything else of it; a non-finite loss hides every other finding; and a run with a critical
    instability was told to stop, so that its failing or falling silent is no news.
    """
    others = [s for s in siblings if s.id != incident.id]
    if incident.condition in (Condition.SILENT, "run.failed"):
        return any(_told_to_stop(s) and _was_open_at(s, incident.opened_at) for s in others)
    present = {s.condition for s in others if s.is_open}
    if incident.notice:
        return incident.condition == "run.slow" and bool(present)
    if Condition.SILENT in present and not _told_to_stop(incident):
        return True
    return Condition.NON_FINITE in present and incident.condition != Condition.NON_FINITE


def _told_to_stop(incident: Incident) -> bool:
    return incident.incident_class == "instability" and incident.severity is Severity.CRITICAL


def _was_open_at(incident: Incident, at: float) -> bool:
    return incident.opened_at <= at and (incident.closed_at is None or incident.closed_at >= at)


def _held(incident: Incident, rules: Rules, around: Surroundings, now: float) -> Decision | None:
    if incident.muted_until is not None and now < incident.muted_until:
        return Decision(Reason.MUTED, None if incident.muted_until == float("inf") else incident.muted_until)
    if (until := muted_by_rule_until(incident, around.mute_rules, now)) is not None:
        return Decision(Reason.SILENCED, until)
    audible = [
        s for s in around.by_run.get(incident.uid, ()) if wants(s, rules) and s.severity.rank >= rules.min_severity.rank
    ]
    if inhibited(incident, audible):
        return Decision(Reason.INHIBITED)
    return None


def _decide_untold(incident: Incident, rules: Rules) -> Decision:
    if incident.changed_at < rules.since:
        return Decision(Reason.BEFORE_TARGET)
    if incident.acknowledged is not None and incident.acknowledged.rank >= incident.severity.rank:
        return Decision(Reason.ACKNOWLEDGED)
    return Decision(Reason.FIRST)


def _decide_closed(
    incident: Incident, told: LastNotified | None, rules: Rules, around: Surroundings, now: float
) -> Decision:
    if told is None:
        return Decision(Reason.NEVER_TOLD)
    if not (rules.send_resolved or rules.tracks_state):
        return Decision(Reason.RESOLVED_NOT_WANTED)
    if incident.closed_by == "run.deleted" and not rules.tracks_state:
        return Decision(Reason.RESOLVED_NOT_WANTED)
    settled_at = (incident.closed_at or now) + rules.group_wait_s
    if now < settled_at:
        return Decision(Reason.KEPT_FIRING, settled_at)
    if not rules.tracks_state:
        if incident.muted_until is not None and now < incident.muted_until:
            return Decision(Reason.RESOLVED_NOT_WANTED)
        if (until := muted_by_rule_until(incident, around.mute_rules, now)) is not None:
            return Decision(Reason.SILENCED, until)
    return Decision(Reason.RESOLVED)


def _decide_repeat(incident: Incident, sent_at: float | None, rules: Rules, now: float) -> Decision:
    if incident.notice:
        return Decision(Reason.UNCHANGED)
    if incident.condition == Condition.SILENT and not rules.tracks_state:
        return Decision(Reason.UNCHANGED)  # nothing new can come from a run that says nothing
    due = (sent_at or now) + rules.repeat_interval_s
    return Decision(Reason.REPEAT_INTERVAL) if now >= due else Decision(Reason.UNCHANGED, due)
