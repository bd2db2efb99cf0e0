"""Stage 2, review: every group that an event touched or whose time has come is decided about."""

from __future__ import annotations

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.grouping import Group, GroupKey
from losswatch_server.alerts.grouping import review as review_group
from losswatch_server.alerts.incidents import Incident
from losswatch_server.alerts.stages.planning import Planning, alone
from losswatch_server.alerts.targets import Target
from losswatch_server.store.alerting import deliveries, outbox
from losswatch_server.store.alerting.outbox import GroupRow

GROUPS_AT_ONCE = 100
HOUR = 3_600.0


def review(work: Planning) -> None:
    """Decide about the groups; those that speak now are left to ``compose``."""
    sent: dict[str, list[float]] = {}
    due = outbox.due_groups(work.connection, work.now, GROUPS_AT_ONCE)
    for row in due:
        work.touched.pop((row.target, row.key), None)
        with alone("group of notifications", row.project, row.target, row.key) as failed:
            _review_due(row, work, sent)
        if failed:  # it would be due for ever: it begins anew with the next event
            work.plan.idle_groups.append((row.project, row.target, row.key))
    for target, key in work.touched.values():
        with alone("group of notifications", target.project, target.id, key.text()):
            _review_touched(target, key, work, sent)
    work.plan.complete &= len(due) < GROUPS_AT_ONCE


def _review_touched(target: Target, key: GroupKey, work: Planning, sent: dict[str, list[float]]) -> None:
    row = outbox.group(work.connection, target.project, target.id, key.text())
    known = [] if row is None else row_codec.sound(row_codec.group_from, [row])
    group = known[0] if known else Group(key=key)
    free_at = group.free_at(target.rules, work.now)
    if free_at > work.now:  # spares a large group from being read at every event of it
        due_at = free_at if row is None or row.due_at is None else min(free_at, row.due_at)
        work.plan.groups.append(row_codec.group_row(group, target.id, due_at))
        return
    _review(target, group, work, sent)


def _review_due(row: GroupRow, work: Planning, sent: dict[str, list[float]]) -> None:
    target = next((t for t in work.targets_of(row.project) if t.id == row.target), None)
    if target is None:
        work.plan.idle_groups.append((row.project, row.target, row.key))
        return
    _review(target, row_codec.group_from(row), work, sent)


def _review(target: Target, group: Group, work: Planning, sent: dict[str, list[float]]) -> None:
    members = _members(group, work)
    around = work.surroundings(group.key.project, members)
    result = review_group(group, members, target.rules, around, work.now, _budget_free_at(target, work, sent))
    if result.speaks:
        sent[target.id].append(work.now)
        work.speaking.append((target, result))
    is_quiet = result.group.free_at(target.rules, work.now) <= work.now
    if not result.group.told and result.again_at is None and is_quiet:
        work.plan.idle_groups.append((target.project, target.id, group.key.text()))
    else:
        work.plan.groups.append(row_codec.group_row(result.group, target.id, result.again_at))


def _members(group: Group, work: Planning) -> list[Incident]:
    """The incidents of a group that can still matter: open, told, or changed in this pass."""
    key = group.key
    rows = outbox.incidents_of_group(work.connection, key.project, key.sweep, key.incident_class, key.uid)
    found = {(row.project, row.uid, row.id): row for row in rows if row.closed_at is None or row.id in group.told}
    unchanged = [row for name, row in found.items() if name not in work.changed]
    members = [work.changed[name] for name in found if name in work.changed]
    members += row_codec.sound(row_codec.incident_from, unchanged)
    fresh = [i for name, i in work.changed.items() if name not in found and key.holds(i)]
    return sorted((*members, *fresh), key=lambda i: (i.opened_at, i.id))


def _budget_free_at(target: Target, work: Planning, sent: dict[str, list[float]]) -> float | None:
    if target.id not in sent:
        sent[target.id] = deliveries.sent_since(work.connection, target.project, target.id, work.now - HOUR)
    budget = target.rules.max_per_hour
    return None if len(sent[target.id]) < budget else sent[target.id][-budget] + HOUR
