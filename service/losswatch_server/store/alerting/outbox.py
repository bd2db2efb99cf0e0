"""Reading the outbox: the cursor, the incidents made of its events, and what each target's groups know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from losswatch_server.codec import damage
from losswatch_server.store.cells import MOST, sound_row, sound_rows
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.dialect import upsert


class Cursor(NamedTuple):
    """How far the outbox was read; ``revision`` grows with every pass of any worker."""

    event_id: int
    revision: int


class IncidentRow(NamedTuple):
    """An incident, in the table ``concern``; ``body`` is JSON."""

    project: str
    uid: str
    id: str
    sweep: str
    story: str
    closed_at: float | None
    body: str


class GroupRow(NamedTuple):
    """What one target has heard of one group; ``body`` is JSON."""

    project: str
    target: str
    key: str
    due_at: float | None
    body: str


DAMAGED = -1
"""The revision of a cursor whose row cannot be read."""
_CONCERN = ", ".join(IncidentRow._fields)
_GROUP = ", ".join(GroupRow._fields)


def cursor(connection: DatabaseConnection) -> Cursor:
    """The cursor of the dispatcher; where its row is damaged, past every event: nobody hears of old ones again."""
    found = connection.execute("SELECT event_id, revision FROM alert_cursor WHERE name = 'dispatch'").fetchone()
    if found is not None and all(type(cell) is int and 0 <= cell <= MOST for cell in found):
        return Cursor._make(found)
    damage.note("cursor of the notifications", (), f"it holds {found!r:.80}")
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
    return Cursor(last, DAMAGED)


def advance(connection: DatabaseConnection, seen: Cursor, event_id: int) -> bool:
    """Move the cursor on from what this worker saw; False when another worker was faster."""
    if seen.revision == DAMAGED:
        connection.execute(upsert("alert_cursor", "name, event_id, revision", "name"), ("dispatch", event_id, 1))
        return True
    moved = connection.execute(
        "UPDATE alert_cursor SET event_id = ?, revision = revision + 1 WHERE name = 'dispatch' AND revision = ?",
        (event_id, seen.revision),
    )
    return moved.rowcount == 1


def incidents_of_run(connection: DatabaseConnection, project: str, uid: str) -> list[IncidentRow]:
    """All incidents of a run."""
    query = f"SELECT {_CONCERN} FROM concern WHERE project = ? AND uid = ?"
    return list(sound_rows(IncidentRow, "concern", 3, connection.execute(query, (project, uid))))


def incidents_of_group(
    connection: DatabaseConnection, project: str, sweep: str | None, story: str | None, uid: str | None
) -> list[IncidentRow]:
    """The incidents that share what is given."""
    if uid is not None:
        sweep = None  # the run says more: many runs may lie outside any sweep
    where, values = "project = ?", [project]
    for column, value in (("sweep", sweep), ("story", story), ("uid", uid)):
        if value is not None:
            where += f" AND {column} = ?"
            values.append(value)
    found = connection.execute(f"SELECT {_CONCERN} FROM concern WHERE {where}", values)
    return list(sound_rows(IncidentRow, "concern", 3, found))


def put_incidents(connection: DatabaseConnection, rows: Iterable[IncidentRow]) -> None:
    """Insert or replace incidents."""
    connection.executemany(upsert("concern", _CONCERN, "project, uid, id"), rows)


def group(connection: DatabaseConnection, project: str, target: str, key: str) -> GroupRow | None:
    """One group of one target."""
    query = f"SELECT {_GROUP} FROM target_group WHERE project = ? AND target = ? AND key = ?"
    found = connection.execute(query, (project, target, key)).fetchone()
    return sound_row(GroupRow, "target_group", 3, found)


def groups_of_target(connection: DatabaseConnection, project: str, target: str) -> list[GroupRow]:
    """The groups of one target that want to be looked at, the longest waiting first."""
    query = f"SELECT {_GROUP} FROM target_group WHERE project = ? AND target = ? AND due_at IS NOT NULL ORDER BY due_at"
    return list(sound_rows(GroupRow, "target_group", 3, connection.execute(query, (project, target))))


def due_groups(connection: DatabaseConnection, now: float, limit: int) -> list[GroupRow]:
    """Groups whose time has come, the longest waiting first."""
    query = f"SELECT {_GROUP} FROM target_group WHERE due_at <= ? ORDER BY due_at LIMIT ?"
    return list(sound_rows(GroupRow, "target_group", 3, connection.execute(query, (now, limit))))


def next_due(connection: DatabaseConnection) -> float | None:
    """When the next group wants to be looked at."""
    found = connection.execute("SELECT min(due_at) FROM target_group WHERE due_at IS NOT NULL").fetchone()
    return float(found[0]) if type(found[0]) in (int, float) else None


def put_groups(connection: DatabaseConnection, rows: Iterable[GroupRow]) -> None:
    """Insert or replace groups."""
    connection.executemany(upsert("target_group", _GROUP, "project, target, key"), rows)


def delete_groups(connection: DatabaseConnection, keys: Iterable[tuple[str, str, str]]) -> None:
    """Forget groups (project, target, key) in which nothing is told and nothing is due."""
    connection.executemany("DELETE FROM target_group WHERE project = ? AND target = ? AND key = ?", keys)


class Before(NamedTuple):
    """What ended or happened before these times (seconds since 1970) may be forgotten."""

    incident: float
    delivery: float
    event: float


AT_ONCE = 1000
"""Rows that are forgotten in one write: some milliseconds in which others wait."""


def tidy(connection: DatabaseConnection, before: Before) -> bool:
    """Forget incidents that closed, deliveries that were finished and events that were read before these times.

    At most AT_ONCE of each; whether that was all. An event that the dispatcher has not read is kept however old.
    """
    forgotten = [
        connection.execute(
            "DELETE FROM concern WHERE (project, uid, id) IN "
            f"(SELECT project, uid, id FROM concern WHERE closed_at < ? LIMIT {AT_ONCE})",
            (before.incident,),
        ),
        connection.execute(
            "DELETE FROM delivery WHERE (project, id) IN "
            f"(SELECT project, id FROM delivery WHERE finished_at < ? LIMIT {AT_ONCE})",
            (before.delivery,),
        ),
        connection.execute(
            "DELETE FROM event WHERE id IN (SELECT id FROM (SELECT id, at FROM event "
            f"WHERE id <= (SELECT min(event_id) FROM alert_cursor) ORDER BY id LIMIT {AT_ONCE}) oldest WHERE at < ?)",
            (before.event,),
        ),
    ]
    return all(done.rowcount < AT_ONCE for done in forgotten)
