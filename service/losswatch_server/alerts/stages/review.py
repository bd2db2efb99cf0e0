"""Stage 2, review: every group that an event touched or whose time has come is decided about."""

from __future__ import annotations

from dataclasses import replace

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.grouping import HOUR, UNLIMITED, Budget, Group, GroupKey
from losswatch_server.alerts.grouping import review as review_group
from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.stages.planning import Planning, alone
from losswatch_server.alerts.targets import Target
from losswatch_server.store.alerting import deliveries, outbox
from losswatch_server.store.alerting.outbox import GroupRow

GROUPS_AT_ONCE = 100
PER_MINUTE = 5
"""Messages a minute that people are sent one by one; what is more becomes one list."""


def review(work: Planning) -> None:
    """Decide about the groups; those that speak now are left to ``compose``."""
    due = outbox.due_groups(work.connection, work.now, GROUPS_AT_ONCE)
    for row in due:
        work.touched.pop((row.target, row.key), None)
        with alone("group of notifications", row.project, row.target, row.key) as failed:
            _review_due(row, work)
        if failed:  # it would be due for ever: it begins anew with the next event
            work.plan.idle_groups.append((row.project, row.target, row.key))
    for target, key in work.touched.values():
        with alone("group of notifications", target.project, target.id, key.text()):
            _review_touched(target, key, work)
    for target in {target.id: target for target, _ in work.speaking}.values():
        if BY_KIND[target.kind].for_people and budget_of(target, work).is_spent(work.now):
            _take_along(target, work)
    work.plan.complete &= len(due) < GROUPS_AT_ONCE


def budget_of(target: Target, work: Planning) -> Budget:
    """What a target may still be sent, as it was when the pass began."""
    if target.id not in work.budgets:
        sent = deliveries.sent_since(work.connection, target.project, target.id, work.now - HOUR)
        per_minute = PER_MINUTE if BY_KIND[target.kind].for_people else None
        work.budgets[target.id] = Budget(sent=tuple(sent), per_hour=target.rules.max_per_hour, per_minute=per_minute)
    return work.budgets[target.id]


def _take_along(target: Target, work: Planning) -> None:
    """What waits for the budget of a target goes along with what is sent to it."""
    here = [row for row in work.plan.groups if row.target == target.id]
    work.plan.groups = [row for row in work.plan.groups if row.target != target.id]
    known = {row.key: row for row in outbox.groups_of_target(work.connection, target.project, target.id)}
    reviewed = {row.key for row in here} | {key for _, owner, key in work.plan.idle_groups if owner == target.id}
    for row in [*here, *(row for key, row in known.items() if key not in reviewed)]:
        with alone("group of notifications", row.project, row.target, row.key):
            group = row_codec.group_from(row)
            if group.over_budget:
                _review(target, group, work)
            elif row in here:
                work.plan.groups.append(row)


def _review_touched(target: Target, key: GroupKey, work: Planning) -> None:
    row = outbox.group(work.connection, target.project, target.id, key.text())
    known = [] if row is None else row_codec.sound(row_codec.group_from, [row])
    group = known[0] if known else Group(key=key)
    free_at = group.free_at(target.rules, work.now)
    if free_at > work.now and key.uid is None:  # spares a large group from being read at every event of it
        due_at = free_at if row is None or row.due_at is None else min(free_at, row.due_at)
        changed = {incident.id for incident in work.changed.values() if key.holds(incident)}
        group = replace(group, awaiting=group.awaiting | changed)
        work.plan.groups.append(row_codec.group_row(group, target.id, due_at))
        return
    _review(target, group, work)


def _review_due(row: GroupRow, work: Planning) -> None:
    target = next((t for t in work.targets_of(row.project) if t.id == row.target), None)
    if target is None:
        work.plan.idle_groups.append((row.project, row.target, row.key))
        return
    _review(target, row_codec.group_from(row), work)


def _review(target: Target, group: Group, work: Planning) -> None:
    members = _members(group, work)
    around = work.surroundings(group.key.project, members)
    joins = BY_KIND[target.kind].for_people and any(other.id == target.id for other, _ in work.speaking)
    budget = UNLIMITED if joins else budget_of(target, work)  # what waits goes along with what is sent
    result = review_group(group, members, target.rules, around, work.now, budget)
    if result.speaks:
        work.speaking.append((target, result))
    is_quiet = result.group.free_at(target.rules, work.now) <= work.now
    if not result.group.told and result.again_at is None and is_quiet:
        work.plan.idle_groups.append((target.project, target.id, group.key.text()))
    else:
        work.plan.groups.append(row_codec.group_row(result.group, target.id, result.again_at))


def _members(group: Group, work: Planning) -> list[Incident]:
    """The incidents of a group that can still matter: open, told, awaiting their turn, or changed in this pass."""
    key = group.key
    rows = outbox.incidents_of_group(work.connection, key.project, key.sweep, key.incident_class, key.uid)
    kept = group.told.keys() | group.awaiting
    found = {(row.project, row.uid, row.id): row for row in rows if row.closed_at is None or row.id in kept}
    unchanged = [row for name, row in found.items() if name not in work.changed]
    members = [work.changed[name] for name in found if name in work.changed]
    members += row_codec.sound(row_codec.incident_from, unchanged)
    fresh = [i for name, i in work.changed.items() if name not in found and key.holds(i)]
    return sorted((*members, *fresh), key=lambda i: (i.opened_at, i.id))
