"""Writing to SQLite: one request's Change, the removal of a run, and the swap of small rows for sealed ones."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence

from losswatch_server.store.documents import context_text, finding_text
from losswatch_server.store.errors import RunMovedError
from losswatch_server.store.rows import Change, NewEvent, RecordRow, StoredRun

RECORD = (
    "INSERT INTO record (project, uid, seq, n, kind, attempt, writer, received_ms, first_step, last_step, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE run SET attempt = ?, step = ?, points = ?, version = ?, detection_version = ?, state = ?, status = ?, "
    "action = ?, headline = ?, last_seen_at = ?, finished_at = ?, paused_until = ?, next_seq = ?, unsealed = ?, "
    "rhythm = ? WHERE project = ? AND uid = ? AND next_seq = ?"
)
_INSERT = (
    "INSERT INTO run (attempt, step, points, version, detection_version, state, status, action, headline, "
    "last_seen_at, finished_at, paused_until, next_seq, unsealed, rhythm, project, uid, name, created_at, context, "
    "report) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FINDING = (
    "INSERT INTO finding (project, uid, id, condition, severity, opened_step, closed_by, opened_at, closed_at, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project, uid, id) DO UPDATE SET severity = excluded.severity, "
    "closed_by = excluded.closed_by, body = excluded.body, "
    "closed_at = CASE WHEN excluded.closed_at IS NULL THEN NULL ELSE coalesce(closed_at, excluded.closed_at) END"
)
_TABLES = ("event", "finding", "snapshot", "record", "writer", "attempt", "run")


def apply(connection: sqlite3.Connection, change: Change) -> None:
    """Write everything of ``change``. Raises RunMovedError when the run is not as it expects."""
    run = change.run
    row = run.row
    key = (row.project, row.uid)
    if change.expected_seq is None:
        _create(connection, run)
    else:
        updated = connection.execute(_UPDATE, (*_changing(run), *key, change.expected_seq))
        if updated.rowcount != 1:
            raise RunMovedError(f"Run {row.name} was changed by somebody else.")
        if change.context_changed:
            connection.execute(
                "UPDATE run SET context = ? WHERE project = ? AND uid = ?", (context_text(row.context), *key)
            )
        if run.report is not None:
            connection.execute("UPDATE run SET report = ? WHERE project = ? AND uid = ?", (run.report, *key))
    for entry in change.rows:
        connection.execute(RECORD, (*key, *entry))
    for attempt in change.attempts:
        connection.execute(
            "INSERT INTO attempt (project, uid, number, step, seq) VALUES (?, ?, ?, ?, ?)", (*key, *attempt)
        )
    for writer in change.writers:
        connection.execute(
            "INSERT OR REPLACE INTO writer (project, uid, writer, attempt, ordinal, rival) VALUES (?, ?, ?, ?, ?, ?)",
            (*key, *writer),
        )
    for seq in change.dropped_snapshots:
        connection.execute("DELETE FROM snapshot WHERE project = ? AND uid = ? AND seq = ?", (*key, seq))
    for snapshot in change.snapshots:
        connection.execute(
            "INSERT OR REPLACE INTO snapshot (project, uid, seq, step, detection_version, body) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (*key, *snapshot[:3], zlib.compress(snapshot.body, 1)),
        )
    for finding in change.findings:
        closed_at = None if finding.is_open else change.at
        connection.execute(
            _FINDING,
            (
                *key, finding.id, finding.condition, finding.severity, finding.opened_step,
                finding.closed_by, change.at, closed_at, finding_text(finding),
            ),
        )  # fmt: skip
    for finding_id in change.withdrawn:
        connection.execute("DELETE FROM finding WHERE project = ? AND uid = ? AND id = ?", (*key, finding_id))
    for event in change.events:
        add_event(connection, row.project, row.uid, row.name, event)


def add_event(connection: sqlite3.Connection, project: str, uid: str, run: str, event: NewEvent) -> None:
    """Put one event into the outbox."""
    connection.execute(
        "INSERT INTO event (project, uid, run, kind, at, finding_id, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (project, uid, run, *event),
    )


def mark_finding(
    connection: sqlite3.Connection,
    key: tuple[str, str, str],
    column: str,
    value: float | None,
    event: NewEvent,
    run: str,
) -> None:
    """Set ``acknowledged_at`` or ``muted_until`` of the finding (project, uid, id), with its event."""
    connection.execute(f"UPDATE finding SET {column} = ? WHERE project = ? AND uid = ? AND id = ?", (value, *key))
    add_event(connection, key[0], key[1], run, event)


def delete(connection: sqlite3.Connection, project: str, uid: str, name: str, at: float, event: NewEvent) -> None:
    """Remove a run with all it has; remember its writers; leave the one event that says so."""
    connection.execute(
        "INSERT OR REPLACE INTO gone_writer (project, uid, name, writer, gone_at) "
        "SELECT project, uid, ?, writer, ? FROM writer WHERE project = ? AND uid = ?",
        (name, at, project, uid),
    )
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table} WHERE project = ? AND uid = ?", (project, uid))
    connection.execute("DELETE FROM run_name WHERE project = ? AND name = ? AND uid = ?", (project, name, uid))
    add_event(connection, project, uid, name, event)


def swap_sealed(
    connection: sqlite3.Connection, project: str, uid: str, old: Sequence[RecordRow], new: Sequence[RecordRow]
) -> bool:
    """Put ``new`` in the place of ``old``, unless they are no longer there as they were."""
    seqs = [row.seq for row in old]
    found = connection.execute(
        "SELECT seq, n FROM record WHERE project = ? AND uid = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        (project, uid, seqs[0], seqs[-1]),
    ).fetchall()
    if found != [(row.seq, row.n) for row in old]:
        return False
    connection.execute(
        "DELETE FROM record WHERE project = ? AND uid = ? AND seq BETWEEN ? AND ?", (project, uid, seqs[0], seqs[-1])
    )
    connection.executemany(RECORD, [(project, uid, *row) for row in new])
    return True


def _create(connection: sqlite3.Connection, run: StoredRun) -> None:
    row = run.row
    named = connection.execute(
        "INSERT OR IGNORE INTO run_name (project, name, uid) VALUES (?, ?, ?)", (row.project, row.name, row.uid)
    )
    if named.rowcount != 1:
        raise RunMovedError(f"Run {row.name} was created by somebody else.")
    connection.execute(
        _INSERT,
        (*_changing(run), row.project, row.uid, row.name, row.created_at, context_text(row.context), run.report),
    )


def _changing(run: StoredRun) -> tuple[object, ...]:
    row = run.row
    return (
        row.attempt, row.step, row.points, row.version, row.detection_version, row.state, row.status, row.action,
        row.headline, row.last_seen_at, row.finished_at, row.paused_until, run.next_seq, run.unsealed, run.rhythm,
    )  # fmt: skip
