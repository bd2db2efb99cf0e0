"""Deliveries: made with the decision, claimed by one worker at a time, kept as a log.

States: ``pending`` waits for ``next_at``; ``sending`` is claimed until ``claimed_until``; ``delivered``, ``failed``
(given up), ``superseded`` (a later message says more), ``dropped`` (its target or run is gone) are final.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from losswatch_server.store.cells import MOST, sound_row, sound_rows
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.dialect import contains, marks


class DeliveryRow(NamedTuple):
    """One notification to one target; ``attempts`` and ``body`` are JSON. ``number`` orders those of a target."""

    project: str
    id: str
    target: str
    number: int
    lane: str
    key: str
    reason: str
    state: str
    created_at: float
    next_at: float
    tries: int
    claim: str | None
    claimed_until: float | None
    finished_at: float | None
    status: int | None
    detail: str
    attempts: str
    body: str


_FIELDS = ", ".join(DeliveryRow._fields)
_OPEN = "state IN ('pending', 'sending')"
_FIRST_OF_LANE = (
    "NOT EXISTS (SELECT 1 FROM delivery AS e WHERE e.project = d.project AND e.target = d.target "
    "AND e.number < d.number AND e.lane = d.lane AND e.state IN ('pending', 'sending'))"
)
_FREE = "(state = 'pending' AND next_at <= ? OR state = 'sending' AND claimed_until <= ?)"


def add(connection: DatabaseConnection, row: DeliveryRow) -> None:
    """Insert a delivery behind the target's last one; its ``number`` is given here."""
    if connection.dialect.lock:  # two who add at once would give the same number
        held = f"SELECT 1 FROM target WHERE project = ? AND id = ?{connection.dialect.lock}"
        connection.execute(held, (row.project, row.target))
    query = (
        "SELECT coalesce(max(number), 0) + 1 FROM delivery WHERE project = ? AND target = ? AND number <= ? "
        "AND CAST(number AS BIGINT) = number"
    )
    (number,) = connection.execute(query, (row.project, row.target, MOST)).fetchone()
    connection.execute(f"INSERT INTO delivery ({_FIELDS}) VALUES {marks(_FIELDS)}", row._replace(number=number))


def claimable(connection: DatabaseConnection, now: float, limit: int) -> list[DeliveryRow]:
    """What may be sent now: the first of each lane, whose time has come or whose claim has lapsed."""
    query = (
        f"SELECT {_FIELDS} FROM delivery AS d WHERE {_OPEN} AND {_FREE} AND {_FIRST_OF_LANE} "
        "ORDER BY next_at, number LIMIT ?"
    )
    return list(sound_rows(DeliveryRow, "delivery", 2, connection.execute(query, (now, now, limit))))


def claim(connection: DatabaseConnection, row: DeliveryRow, worker: str, now: float, until: float) -> bool:
    """Take a delivery for this worker; False when another took it first, or another to the same target."""
    held = f"SELECT 1 FROM target WHERE project = ? AND id = ?{connection.dialect.lock_free}"
    if connection.execute(held, (row.project, row.target)).fetchone() is None:
        return False
    taken = connection.execute(
        f"UPDATE delivery SET state = 'sending', claim = ?, claimed_until = ? WHERE project = ? AND id = ? AND {_FREE} "
        "AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.project = delivery.project AND o.target = delivery.target "
        "AND o.id <> delivery.id AND o.state = 'sending' AND o.claimed_until > ?)",
        (worker, until, row.project, row.id, now, now, now),
    )
    return taken.rowcount == 1


def release_all(connection: DatabaseConnection) -> None:
    """Let every claim lapse: for the start of the only process there is."""
    connection.execute("UPDATE delivery SET claimed_until = 0 WHERE state = 'sending'")


def settle(connection: DatabaseConnection, row: DeliveryRow, worker: str) -> bool:
    """Write what became of a claimed delivery; False when the claim had lapsed and another worker took over."""
    settled = connection.execute(
        "UPDATE delivery SET state = ?, next_at = ?, tries = ?, claim = NULL, claimed_until = NULL, finished_at = ?, "
        "status = ?, detail = ?, attempts = ? WHERE project = ? AND id = ? AND state = 'sending' AND claim = ?",
        (
            row.state, row.next_at, row.tries, row.finished_at, row.status, row.detail, row.attempts,
            row.project, row.id, worker,
        ),
    )  # fmt: skip
    return settled.rowcount == 1


def hurry(connection: DatabaseConnection, project: str, target: str, now: float) -> None:
    """The target answers again: what waits for it need not wait any longer."""
    connection.execute(
        "UPDATE delivery SET next_at = ? WHERE project = ? AND target = ? AND state = 'pending' AND next_at > ?",
        (now, project, target, now),
    )


def next_due(connection: DatabaseConnection) -> float | None:
    """When the next delivery may be sent or its claim lapses."""
    query = (
        "SELECT min(CASE state WHEN 'pending' THEN next_at ELSE claimed_until END) "
        f"FROM delivery AS d WHERE {_OPEN} AND {_FIRST_OF_LANE}"
    )
    found = connection.execute(query).fetchone()
    return float(found[0]) if type(found[0]) in (int, float) else None


def waiting(connection: DatabaseConnection, project: str, target: str, key: str) -> list[DeliveryRow]:
    """Undelivered messages of one group to one target, oldest first, that nobody is sending now."""
    query = (
        f"SELECT {_FIELDS} FROM delivery WHERE project = ? AND target = ? AND key = ? AND state = 'pending' "
        "ORDER BY number"
    )
    return list(sound_rows(DeliveryRow, "delivery", 2, connection.execute(query, (project, target, key))))


def waiting_about(connection: DatabaseConnection, project: str, uid: str) -> list[DeliveryRow]:
    """Undelivered messages of a project that name a run; to be looked at one by one."""
    query = f"SELECT {_FIELDS} FROM delivery WHERE project = ? AND state = 'pending' AND body LIKE ? ESCAPE '!'"
    return list(sound_rows(DeliveryRow, "delivery", 2, connection.execute(query, (project, contains(uid)))))


def retire(connection: DatabaseConnection, project: str, delivery_id: str, state: str, detail: str, now: float) -> bool:
    """End a pending delivery unsent; False when it is no longer pending."""
    retired = connection.execute(
        "UPDATE delivery SET state = ?, detail = ?, finished_at = ? WHERE project = ? AND id = ? AND state = 'pending'",
        (state, detail, now, project, delivery_id),
    )
    return retired.rowcount == 1


def drop_waiting(connection: DatabaseConnection, project: str, target: str, detail: str, now: float) -> None:
    """End everything that waits for a target that was switched off."""
    connection.execute(
        "UPDATE delivery SET state = 'dropped', detail = ?, finished_at = ? "
        "WHERE project = ? AND target = ? AND state = 'pending'",
        (detail, now, project, target),
    )


def sent_since(connection: DatabaseConnection, project: str, target: str, since: float) -> list[float]:
    """When each message to a target was made, after ``since``, oldest first; tests and redeliveries do not count."""
    found = connection.execute(
        "SELECT created_at FROM delivery WHERE project = ? AND target = ? AND created_at > ? "
        "AND reason NOT IN ('test', 'redelivered') ORDER BY created_at",
        (project, target, since),
    )
    return [at for (at,) in found if type(at) in (int, float)]


def log(
    connection: DatabaseConnection, project: str, target: str, state: str | None, before: int | None, limit: int
) -> list[DeliveryRow]:
    """The deliveries of a target, newest first, before a number."""
    where, values = "project = ? AND target = ?", [project, target]
    arguments: list[str | int] = [*values]
    if state is not None:
        where += " AND state = ?"
        arguments.append(state)
    if before is not None:
        where += " AND number < ?"
        arguments.append(before)
    query = f"SELECT {_FIELDS} FROM delivery WHERE {where} ORDER BY number DESC LIMIT ?"
    return list(sound_rows(DeliveryRow, "delivery", 2, connection.execute(query, (*arguments, limit))))


def find(connection: DatabaseConnection, project: str, target: str, delivery_id: str) -> DeliveryRow | None:
    """One delivery."""
    query = f"SELECT {_FIELDS} FROM delivery WHERE project = ? AND target = ? AND id = ?"
    found = connection.execute(query, (project, target, delivery_id)).fetchone()
    return sound_row(DeliveryRow, "delivery", 2, found)


def revive(connection: DatabaseConnection, project: str, target: str, ids: Iterable[str], now: float) -> int:
    """Send finished deliveries once more, with the same id; how many were."""
    revived = 0
    for delivery_id in ids:
        changed = connection.execute(
            "UPDATE delivery SET state = 'pending', reason = 'redelivered', next_at = ?, tries = 0, finished_at = NULL "
            f"WHERE project = ? AND target = ? AND id = ? AND NOT {_OPEN}",
            (now, project, target, delivery_id),
        )
        revived += changed.rowcount
    return revived


def failed_since(connection: DatabaseConnection, project: str, target: str, since: float) -> list[str]:
    """The ids of what never arrived since then, oldest first."""
    found = connection.execute(
        "SELECT id FROM delivery WHERE project = ? AND target = ? AND created_at >= ? "
        "AND state IN ('failed', 'dropped') ORDER BY number",
        (project, target, since),
    )
    return [str(row[0]) for row in found]
