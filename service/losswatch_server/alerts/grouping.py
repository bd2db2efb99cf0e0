"""Groups: what belongs together is told together, and no faster than the target's intervals allow. Pure.

The first message of a group goes at once. What follows within ``group_wait_s`` is one message; after that there is at
most one message every ``group_interval_s``. A group that has been quiet for two intervals starts over. So a sweep of
any size makes at most three messages in its first ``group_wait_s + group_interval_s`` seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.policy import SETTLED, SPEAKS, Decision, LastNotified, Reason, Rules, Surroundings, decide
from losswatch_server.monitor.vocabulary import Severity


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
    """The group of an incident for one target. Runs outside any sweep share the empty sweep."""
    return GroupKey(
        project=incident.project,
        sweep=(incident.sweep or "") if "group" in rules.group_by else None,
        incident_class=incident.incident_class if "condition" in rules.group_by else None,
        uid=incident.uid if "run" in rules.group_by else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one target has heard of one group. ``streak`` counts the messages since the group was last quiet."""

    key: GroupKey
    told: Mapping[str, LastNotified] = field(default_factory=dict)
    sent_at: float | None = None
    streak: int = 0

    def free_at(self, rules: Rules, now: float) -> float:
        """The earliest time of the next message."""
        if self.sent_at is None or self._is_quiet(rules, now):
            return now
        wait = rules.group_wait_s if self.streak < 2 else max(rules.group_wait_s, rules.group_interval_s)
        return max(now, self.sent_at + wait)

    def sent(self, now: float, rules: Rules) -> Group:
        """The group after a message made now."""
        streak = 1 if self.sent_at is None or self._is_quiet(rules, now) else self.streak + 1
        return replace(self, sent_at=now, streak=streak)

    def _is_quiet(self, rules: Rules, now: float) -> bool:
        return self.sent_at is not None and now >= self.sent_at + 2 * max(rules.group_wait_s, rules.group_interval_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What follows for a group: the incidents to tell with their reasons (none: no message), and when to look again."""

    group: Group
    reason: Reason
    telling: tuple[tuple[Incident, Reason], ...] = ()
    standing: tuple[Incident, ...] = ()
    told_before: Mapping[str, LastNotified] = field(default_factory=dict)
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
    budget_free_at: float | None = None,
) -> Review:
    """Decide about every incident of a group and decide whether a message is made now.

    ``budget_free_at`` is when the target may send again; None if its budget is not used up.
    """
    decisions = {c.id: decide(c, group.told.get(c.id), group.sent_at, rules, around, now) for c in incidents}
    by_id = {c.id: c for c in incidents}
    news = [by_id[name] for name, decision in decisions.items() if decision.reason in SPEAKS]
    repeats = [by_id[name] for name, decision in decisions.items() if decision.reason is Reason.REPEAT_INTERVAL]
    group = _forget_settled(group, by_id, decisions)
    again_at = min((v.again_at for v in decisions.values() if v.again_at is not None), default=None)
    telling = news or repeats
    if not telling:
        return Review(group=group, reason=Reason.UNCHANGED, decisions=decisions, again_at=again_at)
    free_at = group.free_at(rules, now)
    if now < free_at:
        return Review(group=group, reason=Reason.GROUPED, decisions=decisions, again_at=free_at)
    if budget_free_at is not None and now < budget_free_at:
        return Review(group=group, reason=Reason.OVER_BUDGET, decisions=decisions, again_at=budget_free_at)
    named = {c.id for c in telling}
    standing = tuple(c for c in incidents if c.is_open and not c.notice and c.id in group.told and c.id not in named)
    return Review(
        group=_tell(group, telling, rules, now),
        reason=_leading([decisions[c.id].reason for c in telling]),
        telling=tuple((c, decisions[c.id].reason) for c in telling),
        standing=standing,
        told_before=group.told,
        decisions=decisions,
        again_at=_next_look(again_at, standing, telling, rules, now),
    )


def _forget_settled(group: Group, by_id: Mapping[str, Incident], decisions: Mapping[str, Decision]) -> Group:
    """Drop what no longer matters: incidents that are gone, or closed and not to be told."""
    kept = {name: told for name, told in group.told.items() if name in by_id and decisions[name].reason not in SETTLED}
    return group if len(kept) == len(group.told) else replace(group, told=kept)


def _tell(group: Group, telling: Sequence[Incident], rules: Rules, now: float) -> Group:
    told = dict(group.told)
    for incident in telling:
        if incident.is_open:
            told[incident.id] = LastNotified(incident.severity, now)
        else:
            told.pop(incident.id, None)
    return replace(group.sent(now, rules), told=told)


def _leading(reasons: Sequence[Reason]) -> Reason:
    order = (Reason.FIRST, Reason.WORSENED, Reason.RESOLVED, Reason.REPEAT_INTERVAL)
    return min(reasons, key=order.index)


def _next_look(
    again_at: float | None, standing: Sequence[Incident], telling: Sequence[Incident], rules: Rules, now: float
) -> float | None:
    if any(c.is_open and not c.notice for c in (*standing, *telling)):
        repeat_at = now + rules.repeat_interval_s
        return repeat_at if again_at is None else min(again_at, repeat_at)
    return again_at


def as_json(group: Group) -> dict[str, Any]:
    """Plain values for storing; the key is stored beside it."""
    return {
        "sent_at": group.sent_at,
        "streak": group.streak,
        "told": {name: [told.severity.value, told.at] for name, told in group.told.items()},
    }


def from_json(key: GroupKey, plain: Mapping[str, Any]) -> Group:
    """The inverse of ``as_json``."""
    told = {name: LastNotified(Severity(severity), at) for name, (severity, at) in plain["told"].items()}
    return Group(key=key, told=told, sent_at=plain["sent_at"], streak=plain["streak"])
