"""Reading from SQLite: runs, pages of a record, snapshots, findings, events."""

from __future__ import annotations

import sqlite3
import zlib
from typing import Any

from losswatch_server.monitor.vocabulary import LoopAction, RunState, Status
from losswatch_server.store.documents import context_from, finding_from
from losswatch_server.store.rows import (
    Attempt,
    EntryKind,
    RecordRow,
    RunRow,
    Snapshot,
    StoredEvent,
    StoredFinding,
    StoredRun,
    Writer,
)
from losswatch_server.store.sealing import is_full
from losswatch_server.store.summary_tree import RECORD, record_row, rows_between

_RUN = (
    "project, name, uid, attempt, step, points, version, detection_version, state, status, action, headline, context, "
    "created_at, last_seen_at, finished_at, paused_until"
)
_FINDING = "body, opened_at, closed_at, acknowledged_at, muted_until"


def find_run(connection: sqlite3.Connection, project: str, name: str) -> StoredRun | None:
    """The run that has this name now, with its attempts and writers."""
    found = connection.execute(
        f"SELECT {', '.join('r.' + column for column in _RUN.split(', '))}, next_seq, unsealed, rhythm, report "
        "FROM run_name n JOIN run r ON r.project = n.project AND r.uid = n.uid WHERE n.project = ? AND n.name = ?",
        (project, name),
    ).fetchone()
    if found is None:
        return None
    row = _run_row(found)
    key = (project, row.uid)
    attempts = connection.execute(
        "SELECT number, step, seq FROM attempt WHERE project = ? AND uid = ? ORDER BY number", key
    )
    writers = connection.execute(
        "SELECT writer, attempt, ordinal, rival FROM writer WHERE project = ? AND uid = ? ORDER BY ordinal, writer", key
    )
    return StoredRun(
        row=row,
        next_seq=found[17],
        unsealed=found[18],
        rhythm=found[19],
        report=found[20],
        attempts=tuple(map(Attempt._make, attempts)),
        writers=tuple(map(Writer._make, writers)),
    )


def run_of(connection: sqlite3.Connection, project: str, uid: str) -> RunRow | None:
    """The run of this uid."""
    found = connection.execute(f"SELECT {_RUN} FROM run WHERE project = ? AND uid = ?", (project, uid)).fetchone()
    return None if found is None else _run_row(found)


def is_gone(connection: sqlite3.Connection, project: str, name: str, writer: str) -> bool:
    """Whether this writer posted to a deleted run of this name."""
    query = "SELECT 1 FROM gone_writer WHERE project = ? AND name = ? AND writer = ?"
    return connection.execute(query, (project, name, writer)).fetchone() is not None


def list_runs(
    connection: sqlite3.Connection,
    project: str,
    status: str | None,
    state: str | None,
    tag: tuple[str, str | None] | None,
    group: str | None,
    text: str | None,
    before: tuple[float, str] | None,
    limit: int,
) -> list[RunRow]:
    """Runs of a project, newest first, from ``before`` (created_at, uid) on, that fit every filter given."""
    where, values = ["project = ?"], [project]
    for column, value in (("status", status), ("state", state), ("json_extract(context, '$.group')", group)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    arguments: list[Any] = [*values]
    if tag is not None:
        key, wanted = tag
        where.append(
            "EXISTS (SELECT 1 FROM json_each(context, '$.tags') t WHERE t.key = ? AND (? IS NULL OR t.value = ?))"
        )
        arguments += [key, wanted, wanted]
    if text is not None:
        where.append("instr(lower(name), lower(?)) > 0")
        arguments.append(text)
    if before is not None:
        where.append("(created_at, uid) < (?, ?)")
        arguments += before
    query = f"SELECT {_RUN} FROM run WHERE {' AND '.join(where)} ORDER BY created_at DESC, uid DESC LIMIT ?"
    return [_run_row(found) for found in connection.execute(query, (*arguments, limit))]


def runs_to_seal(connection: sqlite3.Connection, at_least: int) -> list[tuple[str, str]]:
    """(project, uid) of runs with this many unsealed rows, or of whose entries so many are not summed up that an older
    version must have kept them."""
    query = (
        "SELECT project, uid FROM run WHERE unsealed >= ? OR next_seq - coalesce((SELECT past FROM summary s WHERE "
        "s.project = run.project AND s.uid = run.uid AND level = 0 ORDER BY seq DESC LIMIT 1), 0) >= ?"
    )
    return connection.execute(query, (at_least, 4 * at_least)).fetchall()


def record_page(
    connection: sqlite3.Connection, project: str, uid: str, first_seq: int, max_points: int
) -> list[RecordRow]:
    """Rows of a record from the one that holds ``first_seq`` on, in order, until about ``max_points`` points."""
    rows: list[RecordRow] = []
    points = 0
    for row in rows_between(connection, (project, uid), first_seq, 1 << 62):
        rows.append(row)
        points += row.n
        if points >= max_points:
            break
    return rows


def unsealed_stretches(connection: sqlite3.Connection, project: str, uid: str) -> list[list[RecordRow]]:
    """Adjacent rows at the end of a record that can become one: back to the last block that is full or cannot grow."""
    stretches: list[list[RecordRow]] = [[]]
    cursor = connection.execute(
        f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? ORDER BY seq DESC", (project, uid)
    )
    for found in cursor:
        row = record_row(found)
        if row.kind in (EntryKind.CONTEXT, EntryKind.ATTEMPT):
            stretches.append([])
            continue
        if row.kind == EntryKind.SEALED and (is_full(row) or len(stretches) > 1):
            break
        stretches[-1].append(row)
    cursor.close()
    return [stretch[::-1] for stretch in stretches if len(stretch) > 1]


def snapshot_marks(connection: sqlite3.Connection, project: str, uid: str) -> list[tuple[int, int, int]]:
    """(seq, step, detection_version) of a run's snapshots, oldest first."""
    query = "SELECT seq, step, detection_version FROM snapshot WHERE project = ? AND uid = ? ORDER BY seq"
    return connection.execute(query, (project, uid)).fetchall()


def snapshot(connection: sqlite3.Connection, project: str, uid: str, seq: int) -> Snapshot | None:
    """One snapshot."""
    query = "SELECT seq, step, detection_version, body FROM snapshot WHERE project = ? AND uid = ? AND seq = ?"
    found = connection.execute(query, (project, uid, seq)).fetchone()
    return None if found is None else Snapshot(found[0], found[1], found[2], zlib.decompress(found[3]))


def findings(connection: sqlite3.Connection, project: str, uid: str) -> list[StoredFinding]:
    """Every finding of a run, in the order in which they opened."""
    query = f"SELECT {_FINDING} FROM finding WHERE project = ? AND uid = ? ORDER BY opened_at, opened_step, id"
    return [
        StoredFinding(
            finding=finding_from(body), opened_at=opened, closed_at=closed, acknowledged_at=known, muted_until=muted
        )
        for body, opened, closed, known, muted in connection.execute(query, (project, uid))
    ]


def events(
    connection: sqlite3.Connection, project: str | None, after: int, uid: str | None, limit: int
) -> list[StoredEvent]:
    """Events with a greater id, oldest first; of one project or of all, of one run or of all."""
    where, values = "id > ?", [after]
    arguments: list[Any] = [*values]
    for column, value in (("project", project), ("uid", uid)):
        if value is not None:
            where += f" AND {column} = ?"
            arguments.append(value)
    query = f"SELECT id, project, uid, run, kind, at, finding_id, body FROM event WHERE {where} ORDER BY id LIMIT ?"
    return [
        StoredEvent(
            id=found[0], project=found[1], uid=found[2], run=found[3], kind=found[4], at=found[5],
            finding_id=found[6], body=found[7],
        )
        for found in connection.execute(query, (*arguments, limit))
    ]  # fmt: skip


def _run_row(found: tuple[Any, ...]) -> RunRow:
    return RunRow(
        project=found[0],
        name=found[1],
        uid=found[2],
        attempt=found[3],
        step=found[4],
        points=found[5],
        version=found[6],
        detection_version=found[7],
        state=RunState(found[8]),
        status=Status(found[9]),
        action=LoopAction(found[10]),
        headline=found[11],
        context=context_from(found[12]),
        created_at=found[13],
        last_seen_at=found[14],
        finished_at=found[15],
        paused_until=found[16],
    )
