"""Reading from SQLite: runs, pages of a record, snapshots, findings, events."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping
from itertools import islice
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
from losswatch_server.store.sealing import is_full, row_points, unseal

_RUN = (
    "project, name, uid, attempt, step, points, version, detection_version, state, status, action, headline, context, "
    "created_at, last_seen_at, finished_at, paused_until"
)
_RECORD = "seq, n, kind, attempt, writer, received_ms, first_step, last_step, body"
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
    """(project, uid) of runs with this many unsealed rows."""
    return connection.execute("SELECT project, uid FROM run WHERE unsealed >= ?", (at_least,)).fetchall()


def record_page(
    connection: sqlite3.Connection, project: str, uid: str, first_seq: int, max_points: int
) -> list[RecordRow]:
    """Rows of a record from the one that holds ``first_seq`` on, in order, until about ``max_points`` points."""
    rows: list[RecordRow] = []
    points = 0
    cursor = connection.execute(
        f"SELECT {_RECORD} FROM record WHERE project = ? AND uid = ? AND seq >= coalesce("
        "(SELECT max(seq) FROM record WHERE project = ? AND uid = ? AND seq <= ?), 0) ORDER BY seq",
        (project, uid, project, uid, first_seq),
    )
    for found in cursor:
        row = _record_row(found)
        if row.seq + row.n <= first_seq:
            continue
        rows.append(row)
        points += row.n
        if points >= max_points:
            break
    cursor.close()
    return rows


def record_back_to(
    connection: sqlite3.Connection, project: str, uid: str, wanted: Mapping[int, int]
) -> list[RecordRow]:
    """The end of a record, in order: back to where, for each rank of ``wanted``, its points begin at or before a step.

    What is said about a step by the attempt that is under way is said after the last row of new points that begins
    at or before that step; so these rows hold all of it.
    """
    rows: list[RecordRow] = []
    missing = dict(wanted)
    cursor = connection.execute(
        f"SELECT {_RECORD} FROM record WHERE project = ? AND uid = ? ORDER BY seq DESC", (project, uid)
    )
    for found in cursor:
        row = _record_row(found)
        rows.append(row)
        for rank in [rank for rank, step in missing.items() if _begins_by(row, rank, step)]:
            del missing[rank]
        if not missing:
            break
    cursor.close()
    return rows[::-1]


def record_range(
    connection: sqlite3.Connection, project: str, uid: str, first_step: int, last_step: int
) -> list[RecordRow]:
    """Rows of a record with points at steps from ``first_step`` to ``last_step``, in order; some have others too."""
    query = (
        f"SELECT {_RECORD} FROM record WHERE project = ? AND uid = ? AND last_step >= ? AND first_step <= ? "
        "AND kind NOT IN (?, ?) ORDER BY seq"
    )
    kinds = (EntryKind.CONTEXT, EntryKind.ATTEMPT)
    return [_record_row(found) for found in connection.execute(query, (project, uid, first_step, last_step, *kinds))]


def _begins_by(row: RecordRow, rank: int, step: int) -> bool:
    if row.kind in (EntryKind.POINTS, EntryKind.SEALED) and rank == 0:
        return any(part.kind == EntryKind.POINTS and part.first_step <= step for part in unseal(row))
    if row.kind in (EntryKind.OTHER_RANKS, EntryKind.SEALED) and rank != 0:
        points = iter(row_points(row))
        for part in unseal(row):
            mine = list(islice(points, part.n))
            if part.kind == EntryKind.OTHER_RANKS and any(p.rank == rank and p.step <= step for p in mine):
                return True
    return False


def unsealed_stretches(connection: sqlite3.Connection, project: str, uid: str) -> list[list[RecordRow]]:
    """Adjacent rows at the end of a record that can become one: back to the last block that is full or cannot grow."""
    stretches: list[list[RecordRow]] = [[]]
    cursor = connection.execute(
        f"SELECT {_RECORD} FROM record WHERE project = ? AND uid = ? ORDER BY seq DESC", (project, uid)
    )
    for found in cursor:
        row = _record_row(found)
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


def _record_row(found: tuple[Any, ...]) -> RecordRow:
    return RecordRow(found[0], found[1], EntryKind(found[2]), *found[3:])


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
