"""Groups: what belongs together is told together, and no faster than the target's intervals allow. Pure.

The first message of a group goes at once. What follows within ``group_wait_s`` is one message; after that there is at
most one message every ``group_interval_s``. A group that has been quiet for two intervals starts over. So a sweep of
any size makes at most three messages in its first ``group_wait_s + group_interval_s`` seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from losswatch_server.alerts.incidents import Concern
from losswatch_server.alerts.policy import SETTLED, SPEAKS, Reason, Rules, Surroundings, Told, Verdict, judge
from losswatch_server.monitor.vocabulary import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """What the members of a group share; None where the target does not group by it."""

    project: str
    sweep: str | None = None
    story: str | None = None
    uid: str | None = None

    def text(self) -> str:
        """A stable name: project, sweep, story and run, with the separator escaped."""
        parts = (self.project, self.sweep, self.story, self.uid)
        return "/".join("*" if part is None else "=" + part.replace("/", "//") for part in parts)

    def holds(self, concern: Concern) -> bool:
        """Whether the concern belongs to this group."""
        return (
            concern.project == self.project
            and (self.sweep is None or (concern.sweep or "") == self.sweep)
            and (self.story is None or concern.story == self.story)
            and (self.uid is None or concern.uid == self.uid)
        )


def group_key(concern: Concern, rules: Rules) -> GroupKey:
    """The group of a concern for one target. Runs outside any sweep share the empty sweep."""
    return GroupKey(
        project=concern.project,
        sweep=(concern.sweep or "") if "group" in rules.group_by else None,
        story=concern.story if "condition" in rules.group_by else None,
        uid=concern.uid if "run" in rules.group_by else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one target has heard of one group. ``streak`` counts the messages since the group was last quiet."""

    key: GroupKey
    told: Mapping[str, Told] = field(default_factory=dict)
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
    """What follows for a group: the concerns to tell with their reasons (none: no message), and when to look again."""

    group: Group
    reason: Reason
    telling: tuple[tuple[Concern, Reason], ...] = ()
    standing: tuple[Concern, ...] = ()
    told_before: Mapping[str, Told] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    again_at: float | None = None

    @property
    def speaks(self) -> bool:
        """Whether a message is to be made."""
        return bool(self.telling)


def review(
    group: Group,
    concerns: Sequence[Concern],
    rules: Rules,
    around: Surroundings,
    now: float,
    budget_free_at: float | None = None,
) -> Review:
    """Judge every concern of a group and decide whether a message is made now.

    ``budget_free_at`` is when the target may send again; None if its budget is not used up.
    """
    verdicts = {c.id: judge(c, group.told.get(c.id), group.sent_at, rules, around, now) for c in concerns}
    by_id = {c.id: c for c in concerns}
    news = [by_id[name] for name, verdict in verdicts.items() if verdict.reason in SPEAKS]
    repeats = [by_id[name] for name, verdict in verdicts.items() if verdict.reason is Reason.REPEAT_INTERVAL]
    group = _forget_settled(group, by_id, verdicts)
    again_at = min((v.again_at for v in verdicts.values() if v.again_at is not None), default=None)
    telling = news or repeats
    if not telling:
        return Review(group=group, reason=Reason.UNCHANGED, verdicts=verdicts, again_at=again_at)
    free_at = group.free_at(rules, now)
    if now < free_at:
        return Review(group=group, reason=Reason.GROUPED, verdicts=verdicts, again_at=free_at)
    if budget_free_at is not None and now < budget_free_at:
        return Review(group=group, reason=Reason.OVER_BUDGET, verdicts=verdicts, again_at=budget_free_at)
    named = {c.id for c in telling}
    standing = tuple(c for c in concerns if c.is_open and not c.notice and c.id in group.told and c.id not in named)
    return Review(
        group=_tell(group, telling, rules, now),
        reason=_leading([verdicts[c.id].reason for c in telling]),
        telling=tuple((c, verdicts[c.id].reason) for c in telling),
        standing=standing,
        told_before=group.told,
        verdicts=verdicts,
        again_at=_next_look(again_at, standing, telling, rules, now),
    )


def _forget_settled(group: Group, by_id: Mapping[str, Concern], verdicts: Mapping[str, Verdict]) -> Group:
    """Drop what no longer matters: concerns that are gone, or closed and not to be told."""
    kept = {name: told for name, told in group.told.items() if name in by_id and verdicts[name].reason not in SETTLED}
    return group if len(kept) == len(group.told) else replace(group, told=kept)


def _tell(group: Group, telling: Sequence[Concern], rules: Rules, now: float) -> Group:
    told = dict(group.told)
    for concern in telling:
        if concern.is_open:
            told[concern.id] = Told(concern.severity, now)
        else:
            told.pop(concern.id, None)
    return replace(group.sent(now, rules), told=told)


def _leading(reasons: Sequence[Reason]) -> Reason:
    order = (Reason.FIRST, Reason.WORSENED, Reason.RESOLVED, Reason.REPEAT_INTERVAL)
    return min(reasons, key=order.index)


def _next_look(
    again_at: float | None, standing: Sequence[Concern], telling: Sequence[Concern], rules: Rules, now: float
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
    told = {name: Told(Severity(severity), at) for name, (severity, at) in plain["told"].items()}
    return Group(key=key, told=told, sent_at=plain["sent_at"], streak=plain["streak"])
