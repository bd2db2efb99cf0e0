"""The decision: is a target told about an incident now, and why (not)? Pure; the clock is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from losswatch_server.alerts.incidents import FORGOTTEN, Incident
from losswatch_server.alerts.mute_rules import MuteRule, muted_by_rule_until
from losswatch_server.monitor.vocabulary import Condition, Severity


class Reason(StrEnum):
    """Why a target is told about an incident, or why not. Stored with every delivery."""

    FIRST = "first"
    WORSENED = "worsened"
    ENDED = "ended"
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
    RECOVERED = "recovered"
    MAY_PASS = "may_pass"
    RESOLVED_NOT_WANTED = "resolved_not_wanted"
    KEPT_FIRING = "kept_firing"
    UNCHANGED = "unchanged"

    GROUPED = "grouped"
    OVER_BUDGET = "over_budget"
    TEST = "test"
    REDELIVERED = "redelivered"
    TARGET_DISABLED = "target_disabled"


SPEAKS = frozenset({Reason.FIRST, Reason.WORSENED, Reason.ENDED, Reason.RESOLVED})
"""Reasons for a new message. ``repeat_interval`` speaks too, but only for the whole group."""

PASSING = (Condition.SILENT, Condition.LOSS_SPIKE)
"""What often passes by itself within seconds: it is told when it has stood for ``group_wait_s``."""

KEPT_RED_S = 86_400.0
"""A receiver with incidents of its own shows a run that died for so long, until somebody acknowledges it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one target wants to hear, and how often. Seconds; ``since`` is when the target was made.

    By ``group``, a run outside any sweep is a group of its own. ``tracks_state`` is for receivers that keep incidents
    of their own (PagerDuty, Alertmanager): they get every resolution, muted or not, and reminders of everything that is
    open, lest an incident never closes or lapses.
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
    """What a target was last told about one incident: the severity and when; ``ended``: also that its run is over."""

    severity: Severity
    at: float
    ended: bool = False


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
    if not incident.is_open and told is not None:
        return _decide_end(incident, told, rules, around, now)
    if incident.severity.rank < rules.min_severity.rank:
        return Decision(Reason.BELOW_SEVERITY)
    if not incident.is_open and incident.recovered:
        return Decision(Reason.RECOVERED)  # only what went by itself and left a healthy run is never told
    if incident.closed_by in FORGOTTEN:
        return Decision(Reason.NEVER_TOLD)
    if (held := _held(incident, rules, around, now)) is not None:
        return held
    if told is None:
        return _decide_untold(incident, rules, now)
    if told.severity.rank < incident.severity.rank:
        return Decision(Reason.WORSENED)
    if incident.acknowledged is not None and not rules.tracks_state:
        return Decision(Reason.ACKNOWLEDGED)
    return _decide_repeat(incident, sent_at, rules, now)


def is_settled(incident: Incident, decision: Decision) -> bool:
    """Whether a group may forget the incident: it is over, and nothing will be said of it any more."""
    return not incident.is_open and decision.again_at is None and decision.reason not in SPEAKS


def wants(incident: Incident, rules: Rules) -> bool:
    """Whether the target chose this condition and these tags; an empty choice is every one."""
    if rules.conditions and incident.condition not in rules.conditions:
        return False
    return all(incident.tags.get(name) == value for name, value in rules.tags.items())


def inhibited(incident: Incident, siblings: Iterable[Incident]) -> bool:
    """Whether another incident of the same run says it all already.

    One fault is one alarm: of the incidents of one class in a run, the most severe speaks, then the oldest. A silent
    run hides everything else of it; a non-finite loss hides every other finding; a run with a critical instability was
    told to stop, so that its failing or falling silent is no news; and a failure says itself what else was open.
    """
    others = [s for s in siblings if s.id != incident.id and _stood_beside(s, incident)]
    if incident.condition in (Condition.SILENT, "run.failed") and any(s.is_fatal for s in others):
        return True
    present = {s.condition for s in others}
    if incident.notice:
        return incident.condition == "run.slow" and bool(present)
    if any(_speaks_before(s, incident) for s in others if s.incident_class == incident.incident_class):
        return True
    if incident.is_fatal:
        return False
    if Condition.SILENT in present or Condition.NON_FINITE in present:
        return True
    return incident.closed_by == "run.failed" and "run.failed" in present


def _stood_beside(other: Incident, incident: Incident) -> bool:
    """Whether both were there at one time, and at the end of the incident if it has one."""
    if other.notice and other.condition != "run.failed":
        return False
    if incident.notice:
        return other.opened_at <= incident.opened_at and (
            other.closed_at is None or other.closed_at >= incident.opened_at
        )
    if incident.closed_at is None:
        return other.is_open and not other.notice
    if other.notice:
        return other.opened_at == incident.closed_at
    return other.opened_at <= incident.closed_at and (other.closed_at is None or other.closed_at >= incident.closed_at)


def _speaks_before(other: Incident, incident: Incident) -> bool:
    return _precedence(other) < _precedence(incident)


def _precedence(incident: Incident) -> tuple[int, float, bool, str]:
    return (-incident.severity.rank, incident.opened_at, incident.condition != Condition.NON_FINITE, incident.id)


def _held(incident: Incident, rules: Rules, around: Surroundings, now: float) -> Decision | None:
    if incident.muted_until is not None and now < incident.muted_until:
        return Decision(Reason.MUTED, None if incident.muted_until == float("inf") else incident.muted_until)
    if (until := muted_by_rule_until(incident, around.mute_rules, now)) is not None:
        return Decision(Reason.SILENCED, until)
    if inhibited(incident, _audible(incident, rules, around, now)):
        return Decision(Reason.INHIBITED)
    return None


def _audible(incident: Incident, rules: Rules, around: Surroundings, now: float) -> list[Incident]:
    """The incidents of the same run that this target hears of."""
    return [
        s
        for s in around.by_run.get(incident.uid, ())
        if wants(s, rules)
        and s.severity.rank >= rules.min_severity.rank
        and s.changed_at >= rules.since
        and (s.muted_until is None or now >= s.muted_until)
    ]


def _decide_untold(incident: Incident, rules: Rules, now: float) -> Decision:
    if incident.changed_at < rules.since:
        return Decision(Reason.BEFORE_TARGET)
    if incident.acknowledged is not None and incident.acknowledged.rank >= incident.severity.rank:
        return Decision(Reason.ACKNOWLEDGED)
    is_passing = incident.condition in PASSING and incident.severity is not Severity.CRITICAL
    if is_passing and incident.is_open and now < (settled_at := incident.opened_at + rules.group_wait_s):
        return Decision(Reason.MAY_PASS, settled_at)
    return Decision(Reason.FIRST)


def _decide_end(incident: Incident, told: LastNotified, rules: Rules, around: Surroundings, now: float) -> Decision:
    if not (rules.send_resolved or rules.tracks_state):
        return Decision(Reason.RESOLVED_NOT_WANTED)
    if incident.closed_by in FORGOTTEN and not rules.tracks_state:
        return Decision(Reason.RESOLVED_NOT_WANTED)
    if told.ended and incident.ended_badly:
        return _decide_kept_red(incident, now)
    settled_at = (incident.closed_at or now) + rules.group_wait_s
    if now < settled_at:
        return Decision(Reason.KEPT_FIRING, settled_at)
    if not rules.tracks_state:
        if incident.muted_until is not None and now < incident.muted_until:
            return Decision(Reason.RESOLVED_NOT_WANTED)
        if (until := muted_by_rule_until(incident, around.mute_rules, now)) is not None:
            return Decision(Reason.SILENCED, until)
        if inhibited(incident, _audible(incident, rules, around, now)):
            return Decision(Reason.INHIBITED)
    if incident.ended_badly or not (incident.recovered or rules.tracks_state):
        return Decision(Reason.ENDED)
    return Decision(Reason.RESOLVED)


def _decide_kept_red(incident: Incident, now: float) -> Decision:
    if incident.acknowledged is not None:
        return Decision(Reason.RESOLVED)
    until = (incident.closed_at or now) + KEPT_RED_S
    return Decision(Reason.UNCHANGED, until) if now < until else Decision(Reason.RESOLVED_NOT_WANTED)


def _decide_repeat(incident: Incident, sent_at: float | None, rules: Rules, now: float) -> Decision:
    if incident.notice:
        return Decision(Reason.UNCHANGED)
    if incident.condition == Condition.SILENT and (not rules.tracks_state or now >= incident.opened_at + KEPT_RED_S):
        return Decision(Reason.UNCHANGED)  # nothing new can come from a run that says nothing
    due = (sent_at or now) + rules.repeat_interval_s
    return Decision(Reason.REPEAT_INTERVAL) if now >= due else Decision(Reason.UNCHANGED, due)
