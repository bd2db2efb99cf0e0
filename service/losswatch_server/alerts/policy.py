"""The decision: is a target told about a concern now, and why (not)? Pure; the clock is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from losswatch_server.alerts.incidents import Concern
from losswatch_server.alerts.silences import Silence, silenced_until
from losswatch_server.monitor.vocabulary import Condition, Severity


class Reason(StrEnum):
    """Why a target is told about a concern, or why not. Stored with every delivery."""

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
"""A closed concern with one of these is forgotten by the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one target wants to hear, and how often. Seconds; ``since`` is when the target was made.

    ``group_by`` names what makes a group: ``group`` (the sweep), ``condition`` (its story), ``run``.
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
class Told:
    """What a target was last told about one concern: the severity and when."""

    severity: Severity
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The reason, and when to look again even if nothing happens (None: only when something does)."""

    reason: Reason
    again_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What else is known at the moment of a decision: silences, and the concerns of the same runs by uid."""

    silences: tuple[Silence, ...] = ()
    by_run: Mapping[str, tuple[Concern, ...]] = field(default_factory=dict)


def judge(
    concern: Concern, told: Told | None, sent_at: float | None, rules: Rules, around: Surroundings, now: float
) -> Verdict:
    """Decide about one concern for one target.

    ``sent_at`` is when the group's last message was made. The rows of the table in ``tests/alerts/test_policy.py``
    are the specification.
    """
    if not wants(concern, rules):
        return Verdict(Reason.NOT_CHOSEN)
    if not concern.is_open:
        return _judge_closed(concern, told, rules, around, now)
    if concern.severity.rank < rules.min_severity.rank:
        return Verdict(Reason.BELOW_SEVERITY)
    if (held := _held(concern, rules, around, now)) is not None:
        return held
    if told is None:
        return _judge_untold(concern, rules)
    if told.severity.rank < concern.severity.rank:
        return Verdict(Reason.WORSENED)
    if concern.acknowledged is not None and not rules.tracks_state:
        return Verdict(Reason.ACKNOWLEDGED)
    return _judge_repeat(concern, sent_at, rules, now)


def wants(concern: Concern, rules: Rules) -> bool:
    """Whether the target chose this condition and these tags; an empty choice is every one."""
    if rules.conditions and concern.condition not in rules.conditions:
        return False
    return all(concern.tags.get(name) == value for name, value in rules.tags.items())


def inhibited(concern: Concern, siblings: Iterable[Concern]) -> bool:
    """Whether another concern of the same run says it all already.

    A silent run hides everything else of it; a non-finite loss hides every other finding; and a run with a critical
    instability was told to stop, so that its failing or falling silent is no news.
    """
    others = [s for s in siblings if s.id != concern.id]
    if concern.condition in (Condition.SILENT, "run.failed"):
        return any(_told_to_stop(s) and _was_open_at(s, concern.opened_at) for s in others)
    present = {s.condition for s in others if s.is_open}
    if concern.notice:
        return concern.condition == "run.slow" and bool(present)
    if Condition.SILENT in present and not _told_to_stop(concern):
        return True
    return Condition.NON_FINITE in present and concern.condition != Condition.NON_FINITE


def _told_to_stop(concern: Concern) -> bool:
    return concern.story == "instability" and concern.severity is Severity.CRITICAL


def _was_open_at(concern: Concern, at: float) -> bool:
    return concern.opened_at <= at and (concern.closed_at is None or concern.closed_at >= at)


def _held(concern: Concern, rules: Rules, around: Surroundings, now: float) -> Verdict | None:
    if concern.muted_until is not None and now < concern.muted_until:
        return Verdict(Reason.MUTED, None if concern.muted_until == float("inf") else concern.muted_until)
    if (until := silenced_until(concern, around.silences, now)) is not None:
        return Verdict(Reason.SILENCED, until)
    audible = [
        s for s in around.by_run.get(concern.uid, ()) if wants(s, rules) and s.severity.rank >= rules.min_severity.rank
    ]
    if inhibited(concern, audible):
        return Verdict(Reason.INHIBITED)
    return None


def _judge_untold(concern: Concern, rules: Rules) -> Verdict:
    if concern.changed_at < rules.since:
        return Verdict(Reason.BEFORE_TARGET)
    if concern.acknowledged is not None and concern.acknowledged.rank >= concern.severity.rank:
        return Verdict(Reason.ACKNOWLEDGED)
    return Verdict(Reason.FIRST)


def _judge_closed(concern: Concern, told: Told | None, rules: Rules, around: Surroundings, now: float) -> Verdict:
    if told is None:
        return Verdict(Reason.NEVER_TOLD)
    if not (rules.send_resolved or rules.tracks_state):
        return Verdict(Reason.RESOLVED_NOT_WANTED)
    if concern.closed_by == "run.deleted" and not rules.tracks_state:
        return Verdict(Reason.RESOLVED_NOT_WANTED)
    settled_at = (concern.closed_at or now) + rules.group_wait_s
    if now < settled_at:
        return Verdict(Reason.KEPT_FIRING, settled_at)
    if not rules.tracks_state:
        if concern.muted_until is not None and now < concern.muted_until:
            return Verdict(Reason.RESOLVED_NOT_WANTED)
        if (until := silenced_until(concern, around.silences, now)) is not None:
            return Verdict(Reason.SILENCED, until)
    return Verdict(Reason.RESOLVED)


def _judge_repeat(concern: Concern, sent_at: float | None, rules: Rules, now: float) -> Verdict:
    if concern.notice:
        return Verdict(Reason.UNCHANGED)
    if concern.condition == Condition.SILENT and not rules.tracks_state:
        return Verdict(Reason.UNCHANGED)  # nothing new can come from a run that says nothing
    due = (sent_at or now) + rules.repeat_interval_s
    return Verdict(Reason.REPEAT_INTERVAL) if now >= due else Verdict(Reason.UNCHANGED, due)
