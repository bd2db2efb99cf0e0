"""Writing: the Changes of requests, the removal of a run, and the swap of small rows for sealed ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from itertools import chain

from losswatch_server.codec.contexts import context_text
from losswatch_server.codec.findings import finding_text
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.dialect import Dialect, upsert
from losswatch_server.store.errors import RunMovedError
from losswatch_server.store.record_rows import to_database
from losswatch_server.store.rows import Change, NewEvent, RecordRow, Snapshot, StoredRun

RECORD = (
    "INSERT INTO record (project, uid, seq, n, kind, attempt, writer, received_ms, first_step, last_step, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT = (
    "INSERT INTO run (attempt, step, points, version, detection_version, state, status, action, headline, "
    "last_seen_at, finished_at, paused_until, error, next_seq, unsealed, rhythm, revision, project, uid, name, "
    "created_at, context, report) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FINDING = (
    "INSERT INTO finding (project, uid, id, condition, severity, opened_step, closed_by, opened_at, closed_at, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project, uid, id) DO UPDATE SET severity = excluded.severity, "
    "closed_by = excluded.closed_by, body = excluded.body, "
    "closed_at = CASE WHEN excluded.closed_at IS NULL THEN NULL "
    "ELSE coalesce(finding.closed_at, excluded.closed_at) END"
)
_MOVING = (
    "attempt", "step", "points", "version", "detection_version", "state", "status", "action", "headline",
    "last_seen_at", "finished_at", "paused_until", "error", "next_seq", "unsealed", "rhythm", "revision",
)  # fmt: skip
_PLACE = ("project", "uid", "next_seq", "revision")
"""Where the run must be, and as what."""
_NO_RUN = (None,) * (len(_MOVING) + len(_PLACE))
_UPDATE = (
    f"UPDATE run SET {', '.join(f'{name} = ?' for name in _MOVING)} "
    f"WHERE {' AND '.join(f'{name} = ?' for name in _PLACE)}"
)
GONE_WRITERS_KEPT_S = 90 * 86_400.0
"""A writer of a deleted run is refused for so long after it. A training that goes on for longer without the answer that
its run is gone has lost its service; what it still delivers makes a run of its own."""
_AT_ONCE = 128
"""Most rows in one statement: 18 values each, of the 32766 that SQLite takes."""
RUN_TABLES = (
    "event", "finding", "snapshot", "record", "summary", "rank_tail", "series_name", "writer", "attempt", "thinned",
    "run",
)  # fmt: skip
"""All that is kept of a run, by project and uid."""


def apply(connection: DatabaseConnection, change: Change) -> None:
    """Write everything of ``change``. Raises RunMovedError when the run is not as it expects."""
    row = change.run.row
    key = (row.project, row.uid)
    if change.expected_seq is None:
        _create(connection, change.run)
    else:
        _update(connection, change)
    for some in _portions([(*key, *to_database(entry)) for entry in change.rows]):
        connection.execute(_record_of(len(some)), tuple(chain.from_iterable(some)))
    for attempt in change.attempts:
        connection.execute(
            "INSERT INTO attempt (project, uid, number, step, seq) VALUES (?, ?, ?, ?, ?)", (*key, *attempt)
        )
    for writer in change.writers:
        connection.execute(
            upsert("writer", "project, uid, writer, attempt, ordinal, rival", "project, uid, writer"),
            (*key, *writer),
        )
    _apply_snapshots(connection, key, change)
    _apply_findings(connection, key, change)
    for event in change.events:
        add_event(connection, row.project, row.uid, row.name, event)


def keep_snapshot(connection: DatabaseConnection, run: StoredRun, snapshot: Snapshot) -> bool:
    """Add a snapshot to a run that is as it was read; whether it is."""
    row = run.row
    query = (
        f"SELECT 1 FROM run WHERE project = ? AND uid = ? AND next_seq = ? AND revision = ?{connection.dialect.lock}"
    )
    place = (row.project, row.uid, run.stored_seq, run.stored_revision)
    if connection.execute(query, place).fetchone() is None:
        return False
    _add_snapshot(connection, (row.project, row.uid), snapshot)
    return True


def _apply_snapshots(connection: DatabaseConnection, key: tuple[str, str], change: Change) -> None:
    for seq in change.dropped_snapshots:
        connection.execute("DELETE FROM snapshot WHERE project = ? AND uid = ? AND seq = ?", (*key, seq))
    for snapshot in change.snapshots:
        _add_snapshot(connection, key, snapshot)


def _add_snapshot(connection: DatabaseConnection, key: tuple[str, str], snapshot: Snapshot) -> None:
    connection.execute(
        upsert("snapshot", "project, uid, seq, step, detection_version, body", "project, uid, seq"),
        # not compressed: mantissas hardly shrink, and it took longer than to freeze them
        (*key, *snapshot[:3], zlib.compress(snapshot.body, 0)),
    )


def _apply_findings(connection: DatabaseConnection, key: tuple[str, str], change: Change) -> None:
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


def lock_runs(connection: DatabaseConnection, group: Sequence[Change]) -> None:
    """Wait for whoever changes these runs, in one order: two who wait for each other's runs would wait for ever."""
    keys = {(change.run.row.project, change.run.row.uid) for change in group if change.expected_seq is not None}
    held = connection.dialect.lock_runs(keys) if keys else None
    if held is not None:
        connection.execute(*held)


def append_together(connection: DatabaseConnection, appends: Sequence[Change]) -> bool:
    """Write changes that only append, to different runs, with few statements; False when a run is not as expected.

    Each statement gives the interpreter's lock away and has to wait for it again, for a while each time where the event
    loop is busy: 64 changes in two statements instead of 256 is what lets the loop and the writer share one process.
    """
    runs = [(*_changing(change.run), *_expected(change)) for change in appends]
    moved = 0
    dialect = connection.dialect
    for start in range(0, len(runs), _AT_ONCE):
        group = runs[start : start + _AT_ONCE]
        size = 1 << (len(group) - 1).bit_length()  # as for _portions, but one statement
        project = group[0][-4:-3] if dialect.one_project and size > 1 else ()
        group += [_NO_RUN] * (size - len(group))
        moved += connection.execute(_update_of(dialect, size), (*chain.from_iterable(group), *project)).rowcount
    if moved != len(appends):
        return False
    rows = [
        (change.run.row.project, change.run.row.uid, *to_database(row)) for change in appends for row in change.rows
    ]
    for some in _portions(rows):
        connection.execute(_record_of(len(some)), tuple(chain.from_iterable(some)))
    return True


def _portions(rows: Sequence[tuple[object, ...]]) -> list[Sequence[tuple[object, ...]]]:
    """In sizes that are powers of two, so that few different statements are ever prepared."""
    portions = []
    start = 0
    while left := len(rows) - start:
        size = min(_AT_ONCE, 1 << left.bit_length() - 1)
        portions.append(rows[start : start + size])
        start += size
    return portions


@cache
def _update_of(dialect: Dialect, count: int) -> str:
    if count == 1:
        return _UPDATE
    given = ", ".join([dialect.typed((*_MOVING, *_PLACE))] * count)
    moves = ", ".join(f"{name} = new.column{number}" for number, name in enumerate(_MOVING, 1))
    places = " AND ".join(f"run.{name} = new.column{number}" for number, name in enumerate(_PLACE, len(_MOVING) + 1))
    before, new = dialect.table(given)
    return f"{before}UPDATE run SET {moves} FROM {new} WHERE {places}{dialect.one_project}"


@cache
def _record_of(count: int) -> str:
    head, values = RECORD.split("VALUES ")
    return f"{head}VALUES {', '.join([values] * count)}"


def add_event(connection: DatabaseConnection, project: str, uid: str, run: str, event: NewEvent) -> None:
    """Put one event into the outbox."""
    if connection.dialect.before_event is not None:
        connection.execute(connection.dialect.before_event)
    connection.execute(
        connection.dialect.add_event("project, uid, run, kind, at, finding_id, body"),
        (project, uid, run, *event),
    )


def mark_finding(
    connection: DatabaseConnection,
    key: tuple[str, str, str],
    column: str,
    value: float | None,
    event: NewEvent,
    run: str,
) -> None:
    """Set ``acknowledged_at`` or ``muted_until`` of the finding (project, uid, id), with its event."""
    connection.execute(f"UPDATE finding SET {column} = ? WHERE project = ? AND uid = ? AND id = ?", (value, *key))
    add_event(connection, key[0], key[1], run, event)


def delete(connection: DatabaseConnection, project: str, uid: str, name: str, at: float, event: NewEvent) -> None:
    """Remove a run with all it has; remember its writers (GONE_WRITERS_KEPT_S); leave the one event that says so."""
    _hold(connection, (project, uid))
    connection.execute("DELETE FROM gone_writer WHERE gone_at < ?", (at - GONE_WRITERS_KEPT_S,))
    connection.execute(
        "INSERT INTO gone_writer (project, uid, name, writer, gone_at) "
        "SELECT project, uid, ?, writer, ? FROM writer WHERE project = ? AND uid = ? "
        "ON CONFLICT (project, name, writer) DO UPDATE SET uid = excluded.uid, gone_at = excluded.gone_at",
        (name, at, project, uid),
    )
    for table in RUN_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE project = ? AND uid = ?", (project, uid))
    connection.execute("DELETE FROM run_name WHERE project = ? AND name = ? AND uid = ?", (project, name, uid))
    add_event(connection, project, uid, name, event)


def swap_sealed(
    connection: DatabaseConnection, project: str, uid: str, old: Sequence[RecordRow], new: Sequence[RecordRow]
) -> bool:
    """Put ``new`` in the place of ``old``, unless they are no longer there as they were."""
    _hold(connection, (project, uid))
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
    for some in _portions([(project, uid, *to_database(row)) for row in new]):
        connection.execute(_record_of(len(some)), tuple(chain.from_iterable(some)))
    return True


def _hold(connection: DatabaseConnection, key: tuple[str, str]) -> None:
    """Nobody else writes to the run until this transaction ends."""
    if connection.dialect.lock:
        connection.execute(f"SELECT 1 FROM run WHERE project = ? AND uid = ?{connection.dialect.lock}", key)


def _create(connection: DatabaseConnection, run: StoredRun) -> None:
    row = run.row
    named = connection.execute(
        "INSERT INTO run_name (project, name, uid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (row.project, row.name, row.uid),
    )
    if named.rowcount != 1:
        taken = connection.execute(  # a damaged name leads nowhere
            "UPDATE run_name SET uid = ? WHERE project = ? AND name = ? AND NOT EXISTS "
            "(SELECT 1 FROM run r WHERE r.project = run_name.project AND r.uid = run_name.uid)",
            (row.uid, row.project, row.name),
        )
        if taken.rowcount != 1:
            raise RunMovedError(f"Run {row.name} was created by somebody else.")
    connection.execute(
        _INSERT,
        (*_changing(run), row.project, row.uid, row.name, row.created_at, context_text(row.context), run.report),
    )


def _update(connection: DatabaseConnection, change: Change) -> None:
    run, row = change.run, change.run.row
    key = (row.project, row.uid)
    updated = connection.execute(_UPDATE, (*_changing(run), *_expected(change)))
    if updated.rowcount != 1:
        raise RunMovedError(f"Run {row.name} was changed by somebody else.")
    if change.context_changed:
        context = context_text(row.context)
        connection.execute("UPDATE run SET context = ? WHERE project = ? AND uid = ?", (context, *key))
    if run.report is not None:
        connection.execute("UPDATE run SET report = ? WHERE project = ? AND uid = ?", (run.report, *key))


def _expected(change: Change) -> tuple[object, ...]:
    """Where the run must be, and as what."""
    row = change.run.row
    return row.project, row.uid, change.expected_seq, change.expected_revision


def _changing(run: StoredRun) -> tuple[object, ...]:
    row = run.row  # sqlite3 adapts subclasses of str slowly: pass their values
    return (
        row.attempt, row.step, row.points, row.version, row.detection_version, row.state.value, row.status.value,
        row.action.value, row.headline, row.last_seen_at, row.finished_at, row.paused_until, row.error,
        run.next_seq, run.unsealed, run.rhythm, run.revision,
    )  # fmt: skip
