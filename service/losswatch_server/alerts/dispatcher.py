"""Dispatcher: reads the outbox and the groups whose time has come, and writes the deliveries that follow.

One pass plans on a reader (``plan``), then commits the plan in one transaction, which succeeds only if no other
worker passed meanwhile: an event leads to its deliveries exactly once, however many workers there are and wherever
one of them is killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from losswatch_server.alerts import message, row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.grouping import Group, GroupKey, Review, group_key, review
from losswatch_server.alerts.incidents import MATTERS, Concern, Event, apply
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.policy import Rules, Surroundings, wants
from losswatch_server.alerts.silences import Silence
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.monitor.vocabulary import Condition
from losswatch_server.store import damage
from losswatch_server.store.alerting import configuration, deliveries, outbox, watching
from losswatch_server.store.alerting.deliveries import DeliveryRow
from losswatch_server.store.alerting.outbox import Cursor, GroupRow
from losswatch_server.store.alerting.transactions import Transactions
from losswatch_server.store.damage import MISSHAPEN
from losswatch_server.store.queries import events as read_events
from losswatch_server.store.rows import StoredEvent

EVENTS_AT_ONCE = 200
GROUPS_AT_ONCE = 100
HOUR = 3_600.0


class OvertakenError(Exception):
    """Another worker passed, or took up a delivery, between plan and commit: nothing was written, plan anew."""


@dataclass(slots=True)
class Plan:
    """What one pass will write. ``retired`` are (project, delivery, state, detail)."""

    seen: Cursor
    event_id: int
    concerns: list[Concern] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)
    idle_groups: list[tuple[str, str, str]] = field(default_factory=list)
    deliveries: list[DeliveryRow] = field(default_factory=list)
    retired: list[tuple[str, str, str, str]] = field(default_factory=list)
    complete: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.event_id == self.seen.event_id and not (self.groups or self.idle_groups)


class Dispatcher:
    """Turns events into deliveries; ``new_id`` makes the ids of messages."""

    def __init__(self, store: Transactions, clock: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def run_once(self) -> bool:
        """One pass; True when there may be more to do at once."""
        now = self._clock()
        plan = await self._store.read(lambda connection: Planner(connection, now, self._new_id).plan())
        if plan.is_empty:
            return False
        try:
            await self._store.write(lambda connection: commit(connection, plan, now))
        except OvertakenError:
            return True
        return not plan.complete

    async def next_due(self) -> float | None:
        """When a group wants to be looked at."""
        return await self._store.read(outbox.next_due)


class Planner:
    """Works out one pass on one state of the database. Writes nothing."""

    def __init__(self, connection: sqlite3.Connection, now: float, new_id: Callable[[], str]) -> None:
        self._connection = connection
        self._now = now
        self._new_id = new_id
        self._concerns: dict[tuple[str, str], dict[str, Concern]] = {}
        self._changed: dict[tuple[str, str, str], Concern] = {}
        self._targets: dict[str, list[Target]] = {}
        self._silences: dict[str, tuple[Silence, ...]] = {}
        self._sent: dict[str, list[float]] = {}

    def plan(self) -> Plan:
        """Read what happened, judge what it touches, judge what is due."""
        seen = outbox.cursor(self._connection)
        stored = read_events(self._connection, None, seen.event_id, None, EVENTS_AT_ONCE)
        plan = Plan(seen=seen, event_id=stored[-1].id if stored else seen.event_id)
        touched: dict[tuple[str, str], tuple[Target, GroupKey]] = {}
        for row in (row for row in stored if row.kind in MATTERS):
            with _alone("event", row.id):
                for target, key in self._absorb(self._event(row), plan):
                    touched[target.id, key.text()] = (target, key)
        due = outbox.due_groups(self._connection, self._now, GROUPS_AT_ONCE)
        for group in due:
            touched.pop((group.target, group.key), None)
            with _alone("group of notifications", group.project, group.target, group.key) as failed:
                self._review_due(group, plan)
            if failed:  # it would be due for ever: it begins anew with the next event
                plan.idle_groups.append((group.project, group.target, group.key))
        for target, key in touched.values():
            with _alone("group of notifications", target.project, target.id, key.text()):
                self._review_touched(target, key, plan)
        plan.concerns = list(self._changed.values())
        plan.complete = len(stored) < EVENTS_AT_ONCE and len(due) < GROUPS_AT_ONCE
        return plan

    def _event(self, stored: StoredEvent) -> Event:
        """An event of the outbox; a mute's end stands beside the finding and not in the event."""
        event = row_codec.event_from(stored)
        if event.kind != "finding.muted" or event.finding_id is None:
            return event
        until = watching.muted_until(self._connection, event.project, event.uid, event.finding_id)
        finding = {"muted_until": until} if until is not None else {}
        return replace(event, body={**event.body, "finding": {**(event.body.get("finding") or {}), **finding}})

    def _absorb(self, event: Event, plan: Plan) -> Iterable[tuple[Target, GroupKey]]:
        """Fold an event into the concerns of its run; the groups of each target that it touches."""
        known = self._of_run(event.project, event.uid)
        changed = apply(event, known)
        for concern in changed:
            known[concern.id] = concern
            self._changed[concern.project, concern.uid, concern.id] = concern
        if event.kind == "run.deleted":
            self._drop_undelivered(event, plan)
        affected = list(changed)
        if any(_hides_others(concern) for concern in changed):
            affected += [c for c in known.values() if c.is_open and c not in changed]
        for target in self._targets_of(event.project):
            for concern in affected:
                if wants(concern, target.rules) and concern.severity.rank >= target.rules.min_severity.rank:
                    yield target, group_key(concern, target.rules)

    def _drop_undelivered(self, event: Event, plan: Plan) -> None:
        for row in deliveries.waiting_about(self._connection, event.project, event.uid):
            try:
                about = row_codec.message_from(row)
            except row_codec.DamagedRowError:
                continue
            if {entry.uid for entry in about.entries} == {event.uid}:
                plan.retired.append((row.project, row.id, "dropped", "the run was deleted"))

    def _review_touched(self, target: Target, key: GroupKey, plan: Plan) -> None:
        row = outbox.group(self._connection, target.project, target.id, key.text())
        known = [] if row is None else row_codec.sound(row_codec.group_from, [row])
        group = known[0] if known else Group(key=key)
        free_at = group.free_at(target.rules, self._now)
        if free_at > self._now:  # spares a large group from being read at every event of it
            due_at = free_at if row is None or row.due_at is None else min(free_at, row.due_at)
            plan.groups.append(row_codec.group_row(group, target.id, due_at))
            return
        self._review(target, group, plan)

    def _review_due(self, row: GroupRow, plan: Plan) -> None:
        target = next((t for t in self._targets_of(row.project) if t.id == row.target), None)
        if target is None:
            plan.idle_groups.append((row.project, row.target, row.key))
            return
        self._review(target, row_codec.group_from(row), plan)

    def _review(self, target: Target, group: Group, plan: Plan) -> None:
        members = self._members(group.key, group)
        result = review(group, members, target.rules, self._around(group.key.project, members), self._now,
                        self._budget_free_at(target))  # fmt: skip
        if result.speaks:
            self._speak(target, result, plan)
        if not result.group.told and result.again_at is None and self._is_stale(result.group, target.rules):
            plan.idle_groups.append((target.project, target.id, group.key.text()))
        else:
            plan.groups.append(row_codec.group_row(result.group, target.id, result.again_at))

    def _is_stale(self, group: Group, rules: Rules) -> bool:
        return group.free_at(rules, self._now) <= self._now

    def _speak(self, target: Target, result: Review, plan: Plan) -> None:
        said: Message | None = message.compose(result, self._new_id(), self._now)
        if BY_KIND[target.kind].for_people:
            key = result.group.key.text()
            for row in deliveries.waiting(self._connection, target.project, target.id, key)[::-1]:
                if said is not None:
                    said = _superseding(row, said)
                plan.retired.append((row.project, row.id, "superseded", "a later message says more"))
        if said is not None:
            plan.deliveries.append(delivery_row(said, target, result.group.key))
        self._sent.setdefault(target.id, []).append(self._now)

    def _members(self, key: GroupKey, group: Group) -> list[Concern]:
        """The concerns of a group that can still matter: open, told, or changed in this pass."""
        rows = outbox.concerns_of_group(self._connection, key.project, key.sweep, key.story, key.uid)
        found = {(row.project, row.uid, row.id): row for row in rows if row.closed_at is None or row.id in group.told}
        unchanged = [row for name, row in found.items() if name not in self._changed]
        members = [self._changed[name] for name in found if name in self._changed]
        members += row_codec.sound(row_codec.concern_from, unchanged)
        fresh = [c for name, c in self._changed.items() if name not in found and key.holds(c)]
        return sorted((*members, *fresh), key=lambda c: (c.opened_at, c.id))

    def _around(self, project: str, members: Iterable[Concern]) -> Surroundings:
        by_run = {c.uid: tuple(self._of_run(project, c.uid).values()) for c in members}
        return Surroundings(silences=self._silences_of(project), by_run=by_run)

    def _of_run(self, project: str, uid: str) -> dict[str, Concern]:
        if (project, uid) not in self._concerns:
            rows = outbox.concerns_of_run(self._connection, project, uid)
            self._concerns[project, uid] = {found.id: found for found in row_codec.sound(row_codec.concern_from, rows)}
        return self._concerns[project, uid]

    def _targets_of(self, project: str) -> list[Target]:
        if project not in self._targets:
            rows = configuration.targets(self._connection, project)
            found = [row_codec.target_from(row) for row in rows]
            self._targets[project] = [t for t in found if t.state is not TargetState.DISABLED]
        return self._targets[project]

    def _silences_of(self, project: str) -> tuple[Silence, ...]:
        if project not in self._silences:
            rows = configuration.silences_in_force(self._connection, project, self._now)
            self._silences[project] = tuple(row_codec.sound(row_codec.silence_from, rows))
        return self._silences[project]

    def _budget_free_at(self, target: Target) -> float | None:
        if target.id not in self._sent:
            self._sent[target.id] = deliveries.sent_since(self._connection, target.project, target.id, self._now - HOUR)
        sent = self._sent[target.id]
        budget = target.rules.max_per_hour
        return None if len(sent) < budget else sent[-budget] + HOUR


def commit(connection: sqlite3.Connection, plan: Plan, now: float) -> None:
    """Write a plan. Raises OvertakenError, and then nothing of it is kept."""
    if not outbox.advance(connection, plan.seen, plan.event_id):
        raise OvertakenError
    for project, delivery_id, state, detail in plan.retired:
        if not deliveries.retire(connection, project, delivery_id, state, detail, now):
            raise OvertakenError
    outbox.put_concerns(connection, map(row_codec.concern_row, plan.concerns))
    outbox.put_groups(connection, plan.groups)
    outbox.delete_groups(connection, plan.idle_groups)
    for row in plan.deliveries:
        deliveries.add(connection, row)


def delivery_row(said: Message, target: Target, key: GroupKey) -> DeliveryRow:
    """A message on its way. Its lane is the run where groups are by run, the sweep elsewhere: a lane keeps order."""
    return DeliveryRow(
        project=target.project,
        id=said.id,
        target=target.id,
        number=0,
        lane=key.uid or key.sweep or "",
        key=key.text(),
        reason=said.reason.value,
        state="pending",
        created_at=said.at,
        next_at=said.at,
        tries=0,
        claim=None,
        claimed_until=None,
        finished_at=None,
        status=None,
        detail="",
        attempts="[]",
        body=row_codec.dumps(message.as_json(said)),
    )


def _superseding(row: DeliveryRow, said: Message) -> Message | None:
    """The message that stands for an older one too; for itself alone where the older one is damaged."""
    try:
        return message.supersede(row_codec.message_from(row), said)
    except row_codec.DamagedRowError:
        return said


@contextmanager
def _alone(what: str, *key: object) -> Iterator[list[BaseException]]:
    """What one damaged row leads to costs that row alone, and not all notifications for ever."""
    failed: list[BaseException] = []
    try:
        yield failed
    except MISSHAPEN as error:
        damage.note(what, key, error)
        failed.append(error)


def _hides_others(concern: Concern) -> bool:
    return concern.condition in (Condition.NON_FINITE, Condition.SILENT) or concern.story == "instability"
