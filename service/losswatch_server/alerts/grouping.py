"""Groups: what belongs together is told together, and no faster than the target's intervals allow. Pure.

The first message of a group goes at once. What follows within ``group_wait_s`` is one message; after that there is at
most one message every ``group_interval_s``, and at most three in twelve such intervals (an hour by default): so a sweep
of any size makes at most three messages an hour. A group that has been quiet for two intervals starts over. What is
critical in the group of a single run waits for ``group_wait_s`` alone.

Beside the pace of its groups, a target has a ``Budget``. What waits for it goes out together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.policy import (
    KEPT_RED_S,
    SPEAKS,
    Decision,
    LastNotified,
    Reason,
    Rules,
    Surroundings,
    decide,
    is_settled,
)
from losswatch_server.monitor.vocabulary import Condition, Severity

HOUR, MINUTE = 3_600.0, 60.0
PER_WINDOW, WINDOW_INTERVALS = 3, 12
"""At most three messages of a group in twelve of its intervals."""
SEVERAL = 3
"""More messages than these at one moment are one list for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """What the members of a group share; None where the target does not group by it."""

    project: str
    sweep: str | None = None
    incident_class: str | None = None
    uid: str | None = None

    def text(self) -> str:
        """A stable name: project, sweep, story and run, with the separator escaped."""
        parts = (self.project, self.sweep, self.incident_class, self.uid)
        return "/".join("*" if part is None else "=" + part.replace("/", "//") for part in parts)

    def holds(self, incident: Incident) -> bool:
        """Whether the incident belongs to this group."""
        return (
            incident.project == self.project
            and (self.sweep is None or (incident.sweep or "") == self.sweep)
            and (self.incident_class is None or incident.incident_class == self.incident_class)
            and (self.uid is None or incident.uid == self.uid)
        )


def group_key(incident: Incident, rules: Rules) -> GroupKey:
    """The group of an incident for one target. By sweep, a run outside any is a group of its own: two people's runs
    have nothing to do with each other."""
    by_sweep = "group" in rules.group_by
    alone = "run" in rules.group_by or (by_sweep and not incident.sweep)
    return GroupKey(
        project=incident.project,
        sweep=(incident.sweep or "") if by_sweep else None,
        incident_class=incident.incident_class if "condition" in rules.group_by else None,
        uid=incident.uid if alone else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one target has heard of one group. ``streak`` counts the messages since the group was last quiet;
    ``awaiting`` are incidents that changed while it was not the group's turn: one that is over by then is not lost.
    ``over_budget``: it would speak but for the target's budget; ``recent`` is when its last messages were made."""

    key: GroupKey
    told: Mapping[str, LastNotified] = field(default_factory=dict)
    awaiting: frozenset[str] = frozenset()
    over_budget: bool = False
    recent: tuple[float, ...] = ()
    streak: int = 0

    @property
    def sent_at(self) -> float | None:
        """When the last message was made."""
        return self.recent[-1] if self.recent else None

    def free_at(self, rules: Rules, now: float, *, urgent: bool = False) -> float:
        """The earliest time of the next message."""
        if not self.recent:
            return now
        last = self.recent[-1]
        if urgent and self.key.uid is not None:
            return max(now, last + rules.group_wait_s)
        wait = rules.group_wait_s if self.streak < 2 else max(rules.group_wait_s, rules.group_interval_s)
        paced = now if self._is_quiet(rules, now) else last + wait
        capped = self.recent[0] + WINDOW_INTERVALS * rules.group_interval_s if len(self.recent) >= PER_WINDOW else now
        return max(now, paced, capped)

    def sent(self, now: float, rules: Rules) -> Group:
        """The group after a message made now."""
        streak = 1 if not self.recent or self._is_quiet(rules, now) else self.streak + 1
        return replace(self, recent=(*self.recent, now)[-PER_WINDOW:], streak=streak)

    def _is_quiet(self, rules: Rules, now: float) -> bool:
        return now >= self.recent[-1] + 2 * max(rules.group_wait_s, rules.group_interval_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a target may still be sent. ``sent`` is when the messages of the last hour were made, oldest first;
    ``per_minute`` is for people: more messages in a minute than they read become one."""

    sent: tuple[float, ...] = ()
    per_hour: int = 3_600
    per_minute: int | None = None

    def free_at(self, now: float, *, urgent: bool) -> float:
        """When the next message may be made. What is critical waits for a minute at most."""
        hourly = self.sent[-self.per_hour] + HOUR if len(self.sent) >= self.per_hour else now
        if urgent and self.sent:
            hourly = min(hourly, self.sent[-1] + MINUTE)
        lately = [at for at in self.sent if at > now - MINUTE]
        full = self.per_minute is not None and len(lately) >= self.per_minute
        return max(now, hourly, lately[0] + MINUTE if full else now)

    def is_spent(self, now: float) -> bool:
        """Whether something may wait for it."""
        return self.free_at(now, urgent=False) > now

    def room(self, now: float) -> int:
        """How many messages of one pass may stand alone; where there are more, they are merged into one."""
        if self.per_minute is None:
            return self.per_hour
        lately = sum(at > now - MINUTE for at in self.sent)
        return max(1, min(SEVERAL, self.per_minute - lately, self.per_hour - len(self.sent)))


UNLIMITED = Budget()
URGENT = (Reason.FIRST, Reason.WORSENED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What follows for a group: the incidents to tell with their reasons (none: no message), and when to look again.

    ``standing`` were told before and are still open; ``recovered`` are the uids of runs that are well again before
    anybody was told of them.
    """

    group: Group
    reason: Reason
    telling: tuple[tuple[Incident, Reason], ...] = ()
    standing: tuple[Incident, ...] = ()
    told_before: Mapping[str, LastNotified] = field(default_factory=dict)
    recovered: frozenset[str] = frozenset()
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    again_at: float | None = None

    @property
    def speaks(self) -> bool:
        """Whether a message is to be made."""
        return bool(self.telling)


def review(
    group: Group,
    incidents: Sequence[Incident],
    rules: Rules,
    around: Surroundings,
    now: float,
    budget: Budget = UNLIMITED,
) -> Review:
    """Decide about every incident of a group and decide whether a message is made now.

    ``budget`` is what the target may still be sent, besides what its groups allow.
    """
    decisions = {c.id: decide(c, group.told.get(c.id), group.sent_at, rules, around, now) for c in incidents}
    by_id = {c.id: c for c in incidents}
    news = [by_id[name] for name, decision in decisions.items() if decision.reason in SPEAKS]
    repeats = [by_id[name] for name, decision in decisions.items() if decision.reason is Reason.REPEAT_INTERVAL]
    group = replace(_forget_settled(group, by_id, decisions), over_budget=False)
    open_ends = {name for name, d in decisions.items() if not by_id[name].is_open and not is_settled(by_id[name], d)}
    waiting = replace(group, awaiting=frozenset(open_ends - group.told.keys()))
    again_at = min((v.again_at for v in decisions.values() if v.again_at is not None), default=None)
    telling = news or repeats
    if news:  # that a run is over waits for a moment, in case it goes on; but not past a message that is sent anyway
        ends = [c for c in incidents if c.ended_badly and decisions[c.id].reason is Reason.KEPT_FIRING]
        decisions |= {c.id: Decision(Reason.ENDED) for c in ends}
        telling = news + ends
    if not telling:
        return Review(group=waiting, reason=Reason.UNCHANGED, decisions=decisions, again_at=again_at)
    urgent = any(c.severity is Severity.CRITICAL and decisions[c.id].reason in URGENT for c in telling)
    if now < (free_at := group.free_at(rules, now, urgent=urgent)):
        return Review(group=waiting, reason=Reason.GROUPED, decisions=decisions, again_at=free_at)
    if now < (free_at := budget.free_at(now, urgent=urgent)):
        waiting = replace(waiting, over_budget=True)
        return Review(group=waiting, reason=Reason.OVER_BUDGET, decisions=decisions, again_at=free_at)
    named = {c.id for c in telling}
    standing = tuple(
        c for c in incidents if c.id in group.told and c.id not in named and _still_tells(c, decisions[c.id])
    )
    return Review(
        group=replace(_tell(group, telling, decisions, rules, now), awaiting=waiting.awaiting - named),
        reason=_leading([decisions[c.id].reason for c in telling]),
        telling=tuple((c, decisions[c.id].reason) for c in telling),
        standing=standing,
        told_before=group.told,
        recovered=_recovered(incidents, decisions),
        decisions=decisions,
        again_at=_next_look(again_at, standing, telling, rules, now),
    )


def _recovered(incidents: Sequence[Incident], decisions: Mapping[str, Decision]) -> frozenset[str]:
    """A spike that turns into a divergence has not recovered: all of a run must have."""
    gone = {i.uid for i in incidents if decisions[i.id].reason is Reason.RECOVERED}
    return frozenset(gone - {i.uid for i in incidents if decisions[i.id].reason is not Reason.RECOVERED})


def _forget_settled(group: Group, by_id: Mapping[str, Incident], decisions: Mapping[str, Decision]) -> Group:
    """Drop what no longer matters: incidents that are gone, or closed and not to be told."""
    kept = {
        name: told
        for name, told in group.told.items()
        if name in by_id and not is_settled(by_id[name], decisions[name])
    }
    return group if len(kept) == len(group.told) else replace(group, told=kept)


def _tell(
    group: Group, telling: Sequence[Incident], decisions: Mapping[str, Decision], rules: Rules, now: float
) -> Group:
    """The group once these were told. Who keeps incidents is kept in mind of a run that died, to resolve it later."""
    told = dict(group.told)
    for incident in telling:
        if incident.is_open:
            told[incident.id] = LastNotified(incident.severity, now)
        elif rules.tracks_state and incident.ended_badly and decisions[incident.id].reason is not Reason.RESOLVED:
            told[incident.id] = LastNotified(incident.severity, now, ended=True)
        else:
            told.pop(incident.id, None)
    return replace(group.sent(now, rules), told=told)


def _still_tells(incident: Incident, decision: Decision) -> bool:
    """Whether it belongs to the list of what is still open: nobody is reminded of what was acknowledged or muted."""
    quiet = (Reason.ACKNOWLEDGED, Reason.MUTED, Reason.SILENCED, Reason.INHIBITED)
    return (
        incident.is_open
        and not incident.notice
        and incident.condition != Condition.SILENT
        and (decision.reason not in quiet)
    )


def _leading(reasons: Sequence[Reason]) -> Reason:
    order = (Reason.FIRST, Reason.WORSENED, Reason.ENDED, Reason.RESOLVED, Reason.REPEAT_INTERVAL)
    return min(reasons, key=order.index)


def _next_look(
    again_at: float | None, standing: Sequence[Incident], telling: Sequence[Incident], rules: Rules, now: float
) -> float | None:
    times = [] if again_at is None else [again_at]
    if any(c.is_open and not c.notice for c in (*standing, *telling)):
        times.append(now + rules.repeat_interval_s)
    if rules.tracks_state:
        times += [c.closed_at + KEPT_RED_S for c in telling if c.ended_badly and c.closed_at is not None]
    return min(times, default=None)


def as_json(group: Group) -> dict[str, Any]:
    """Plain values for storing; the key is stored beside it."""
    return {
        "recent": list(group.recent),
        "streak": group.streak,
        "told": {name: [told.severity.value, told.at, told.ended] for name, told in group.told.items()},
        "awaiting": sorted(group.awaiting),
        "over_budget": group.over_budget,
    }


def from_json(key: GroupKey, plain: Mapping[str, Any]) -> Group:
    """The inverse of ``as_json``."""
    told = {name: LastNotified(Severity(severity), *rest) for name, (severity, *rest) in plain["told"].items()}
    awaiting = frozenset(plain.get("awaiting", ()))
    recent = tuple(plain["recent"]) if "recent" in plain else tuple(filter(None, (plain["sent_at"],)))
    over = bool(plain.get("over_budget"))
    return Group(key=key, told=told, awaiting=awaiting, over_budget=over, recent=recent, streak=plain["streak"])
