"""Reading from SQLite: runs, pages of a record, snapshots, findings, events."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from losswatch_server.codec import damage
from losswatch_server.codec.contexts import context_of_text
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.codec.findings import finding_from_text, finding_of_columns
from losswatch_server.monitor.entries import Attempt, EntryKind
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context
from losswatch_server.monitor.vocabulary import LoopAction, RunState, Status
from losswatch_server.store.rows import (
    FindingFilter,
    RecordRow,
    RunCounts,
    RunFilter,
    RunFinding,
    RunOrder,
    RunRow,
    Snapshot,
    StoredEvent,
    StoredFinding,
    StoredRun,
    Writer,
)
from losswatch_server.store.sealing import is_full
from losswatch_server.store.summary_tree import RECORD, record_row, rows_between

T = TypeVar("T")
_RUN = (
    "project, name, uid, attempt, step, points, version, detection_version, state, status, action, headline, context, "
    "created_at, last_seen_at, finished_at, paused_until, error"
)
_RANKS = " ".join(f"WHEN '{status}' THEN {n}" for n, status in enumerate(Status))
_PLACES = {
    RunOrder.CREATED: "created_at",
    RunOrder.SEEN: "last_seen_at",
    RunOrder.STATUS: f"CASE status {_RANKS} ELSE 0 END",
}
"""``RunOrder.place`` in SQL."""
SOUND_CONTEXT = "CASE WHEN json_valid(context) THEN context ELSE '{}' END"
"""SQLite's JSON functions end the whole statement at the first text that is no JSON."""
_FINDING = "body, opened_at, closed_at, acknowledged_at, muted_until, id, condition, severity, opened_step, closed_by"


def find_run(connection: sqlite3.Connection, project: str, name: str) -> StoredRun | None:
    """The run that has this name now, with its attempts and writers."""
    found = connection.execute(
        f"SELECT {', '.join('r.' + column for column in _RUN.split(', '))}, next_seq, unsealed, rhythm, report "
        "FROM run_name n JOIN run r ON r.project = n.project AND r.uid = n.uid WHERE n.project = ? AND n.name = ?",
        (project, name),
    ).fetchone()
    if found is None:
        return None
    row = _run_row(connection, found)
    key = (project, row.uid)
    attempts = connection.execute(
        "SELECT number, step, seq FROM attempt WHERE project = ? AND uid = ? ORDER BY number", key
    )
    writers = connection.execute(
        "SELECT writer, attempt, ordinal, rival FROM writer WHERE project = ? AND uid = ? ORDER BY ordinal, writer", key
    )
    return StoredRun(
        row=row,
        next_seq=found[18],
        unsealed=found[19],
        rhythm=found[20],
        report=found[20],
        attempts=tuple(map(Attempt._make, attempts)),
        writers=tuple(map(Writer._make, writers)),
    )


def run_of(connection: sqlite3.Connection, project: str, uid: str) -> RunRow | None:
    """The run of this uid."""
    found = connection.execute(f"SELECT {_RUN} FROM run WHERE project = ? AND uid = ?", (project, uid)).fetchone()
    return None if found is None else _run_row(connection, found)


def is_gone(connection: sqlite3.Connection, project: str, name: str, writer: str) -> bool:
    """Whether this writer posted to a deleted run of this name."""
    query = "SELECT 1 FROM gone_writer WHERE project = ? AND name = ? AND writer = ?"
    return connection.execute(query, (project, name, writer)).fetchone() is not None


def list_runs(
    connection: sqlite3.Connection,
    project: str,
    wanted: RunFilter,
    order: RunOrder,
    before: tuple[float, str] | None,
    limit: int,
) -> list[RunRow]:
    """Runs of a project in an order, from ``before`` (place, uid) on, that fit every filter given."""
    place = _PLACES[order]
    group = f"json_extract({SOUND_CONTEXT}, '$.group')"
    where, values = ["project = ?"], [project]
    for column, value in (("status", wanted.status), ("state", wanted.state), (group, wanted.group)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    arguments: list[Any] = [*values]
    if wanted.tag is not None:
        key, tagged = wanted.tag
        where.append(
            f"EXISTS (SELECT 1 FROM json_each({SOUND_CONTEXT}, '$.tags') t "
            "WHERE t.key = ? AND (? IS NULL OR t.value = ?))"
        )
        arguments += [key, tagged, tagged]
    if wanted.text is not None:
        where.append("instr(lower(name), lower(?)) > 0")
        arguments.append(wanted.text)
    if before is not None:
        where.append(f"({place}, uid) < (?, ?)")
        arguments += before
    query = f"SELECT {_RUN} FROM run WHERE {' AND '.join(where)} ORDER BY {place} DESC, uid DESC LIMIT ?"
    return [_run_row(connection, found) for found in connection.execute(query, (*arguments, limit)).fetchall()]


def projects(connection: sqlite3.Connection) -> dict[str, RunCounts]:
    """Every project that has runs, by name, with how many."""
    found: dict[str, RunCounts] = {}
    query = "SELECT project, status, state, count(*) FROM run GROUP BY project, status, state ORDER BY project"
    for project, status, state, count in connection.execute(query):
        if project not in found:
            found[project] = RunCounts(dict.fromkeys(Status, 0), dict.fromkeys(RunState, 0))
        counts = found[project]
        counts.statuses[status] = counts.statuses.get(status, 0) + count
        counts.states[state] = counts.states.get(state, 0) + count
    return found


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
    """One snapshot; None where there is none that can be read."""
    query = "SELECT seq, step, detection_version, body FROM snapshot WHERE project = ? AND uid = ? AND seq = ?"
    found = connection.execute(query, (project, uid, seq)).fetchone()
    if found is None:
        return None
    try:
        return Snapshot(found[0], found[1], found[2], zlib.decompress(found[3]))
    except (zlib.error, TypeError) as error:  # as good as none: an older one will do, or the record alone
        damage.note("snapshot", (project, uid, seq), error)
        return None


def findings(connection: sqlite3.Connection, project: str, uid: str) -> list[StoredFinding]:
    """Every finding of a run, in the order in which they opened."""
    query = f"SELECT {_FINDING} FROM finding WHERE project = ? AND uid = ? ORDER BY opened_at, opened_step, id"
    found = (_stored_finding(project, uid, columns) for columns in connection.execute(query, (project, uid)))
    return [stored for stored in found if stored is not None]


def project_findings(
    connection: sqlite3.Connection,
    project: str,
    wanted: FindingFilter,
    before: tuple[float, str, str] | None,
    limit: int,
) -> tuple[list[RunFinding], tuple[float, str, str] | None]:
    """At most ``limit`` findings of all runs of a project, the one that opened last first, and the place (opened_at,
    uid, id) of the last of them where there are more."""
    where: list[str] = ["f.project = ?"]
    arguments: list[Any] = [project]
    if wanted.is_open is not None:
        where.append("f.closed_by IS NULL" if wanted.is_open else "f.closed_by IS NOT NULL")
    for column, value in (("severity", wanted.severity), ("condition", wanted.condition)):
        if value is not None:
            where.append(f"f.{column} = ?")
            arguments.append(value)
    if before is not None:
        where.append("(f.opened_at, f.uid, f.id) < (?, ?, ?)")
        arguments += before
    columns = ", ".join(f"f.{column}" for column in _FINDING.split(", "))
    rows = connection.execute(
        f"SELECT r.name, f.uid, {columns} FROM finding f JOIN run r ON r.project = f.project AND r.uid = f.uid "
        f"WHERE {' AND '.join(where)} ORDER BY f.opened_at DESC, f.uid DESC, f.id DESC LIMIT ?",
        (*arguments, limit + 1),
    ).fetchall()
    page = [(name, uid, _stored_finding(project, uid, found)) for name, uid, *found in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    place = None if last is None else (last[3], last[1], last[7])
    return [RunFinding(name, uid, stored) for name, uid, stored in page if stored is not None], place


def _stored_finding(project: str, uid: str, columns: Sequence[Any]) -> StoredFinding | None:
    """The finding of a row; None where nothing of it can be read."""
    body, opened, closed, known, muted, *others = columns
    try:
        finding = finding_from_text(body)
    except DamagedCellError as error:
        damage.note("finding", (project, uid, others[0]), error)
        rest = finding_of_columns(*others)
        if rest is None:
            return None
        finding = rest
    return StoredFinding(finding=finding, opened_at=opened, closed_at=closed, acknowledged_at=known, muted_until=muted)


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


def newest_event(connection: sqlite3.Connection) -> int:
    """The id of the last event that was ever written, also where it was forgotten since; 0 before the first."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    return 0 if found is None else int(found[0])


def _run_row(connection: sqlite3.Connection, found: tuple[Any, ...]) -> RunRow:
    """A row of ``_RUN``. A damaged cell is made again where that is possible, and named."""
    damaged: list[str] = []

    def cell(column: str, read: Callable[[], T], otherwise: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, KeyError) as error:
            damage.note(f"{column} of run", (found[0], found[1], found[2]), error)
            damaged.append(column)
            return otherwise()

    return RunRow(
        project=found[0],
        name=found[1],
        uid=found[2],
        attempt=found[3],
        step=found[4],
        points=found[5],
        version=found[6],
        detection_version=found[7],
        state=cell(
            "state",
            lambda: RunState(found[8]),
            lambda: RunState.RUNNING if found[15] is None else RunState.FINISHED,
        ),
        status=cell("status", lambda: Status(found[9]), lambda: Status.WAITING),
        action=cell("action", lambda: LoopAction(found[10]), lambda: LoopAction.CONTINUE),
        headline=found[11] if isinstance(found[11], str) else "",
        context=cell(
            "context", lambda: context_of_text(found[12]), lambda: _context_of_record(connection, found[0], found[2])
        ),
        created_at=found[13],
        last_seen_at=found[14],
        finished_at=found[15],
        paused_until=found[16],
        error=found[17] if isinstance(found[17], str) else "",
        damaged=tuple(damaged),
    )


def _context_of_record(connection: sqlite3.Connection, project: str, uid: str) -> Context:
    """The context as the record has it last: the column of the run is only a copy."""
    query = "SELECT body FROM record WHERE project = ? AND uid = ? AND kind = ? ORDER BY seq DESC"
    for (body,) in connection.execute(query, (project, uid, EntryKind.CONTEXT)):
        with suppress(DamagedCellError):
            return context_of_text(body)
    return EMPTY_CONTEXT
