"""Reading: runs, pages of a record, snapshots, findings, events."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from losswatch_server.codec import damage
from losswatch_server.codec.findings import finding_from_text, finding_of_columns
from losswatch_server.monitor.entries import EntryKind
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.vocabulary import RunState, Status
from losswatch_server.store.cells import MOST, GuardedRow, given, moment, sound_rows
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.dialect import contains
from losswatch_server.store.record_rows import RECORD, Key, as_written
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
)
from losswatch_server.store.run_rows import NUMBERING, RUN, run_row, stored_run
from losswatch_server.store.sealing import is_full
from losswatch_server.store.summary_tree import ROWS_AT_ONCE, rows_between

_RANKS = " ".join(f"WHEN '{status}' THEN {n}" for n, status in enumerate(Status))
_PLACES = {
    RunOrder.CREATED: "created_at",
    RunOrder.SEEN: "last_seen_at",
    RunOrder.STATUS: f"CASE status {_RANKS} ELSE 0 END",
}
"""``RunOrder.place`` in SQL."""
_FINDING = "body, opened_at, closed_at, acknowledged_at, muted_until, id, condition, severity, opened_step, closed_by"


def find_run(connection: DatabaseConnection, project: str, name: str) -> StoredRun | None:
    """The run that has this name now, with its attempts and writers."""
    columns = ", ".join(f"r.{column}" for column in RUN.split(", "))
    columns += f", next_seq, unsealed, rhythm, report, revision, {NUMBERING}"
    found = connection.execute(
        f"SELECT {columns} FROM run_name n JOIN run r ON r.project = n.project AND r.uid = n.uid "
        "WHERE n.project = ? AND n.name = ?",
        (project, name),
    ).fetchone()
    if found is None:
        query = "SELECT uid FROM run_name WHERE project = ? AND name = ?"
        if (dangling := connection.execute(query, (project, name)).fetchone()) is None:
            return None
        damage.note("name of run", (project, name), f"there is no run of uid {dangling[0]!r:.40}")
        query = f"SELECT {columns} FROM run r WHERE project = ? AND name = ? ORDER BY created_at DESC LIMIT 1"
        if (found := connection.execute(query, (project, name)).fetchone()) is None:
            return None
    return stored_run(connection, found, name)


def still_numbered(connection: DatabaseConnection, run: StoredRun) -> bool:
    """Whether the record of the run is there, numbered as it was when the run was read."""
    query = f"SELECT {NUMBERING} FROM run r WHERE project = ? AND uid = ?"
    found = connection.execute(query, (run.row.project, run.row.uid)).fetchone()
    return found is not None and repr(found[0]) == run.numbering


def place_of(connection: DatabaseConnection, project: str, name: str) -> tuple[str, object, object] | None:
    """Uid, next sequence number and revision of the run that has this name now."""
    query = (
        "SELECT r.uid, r.next_seq, r.revision FROM run_name n JOIN run r ON r.project = n.project AND r.uid = n.uid "
        "WHERE n.project = ? AND n.name = ?"
    )
    found: tuple[str, object, object] | None = connection.execute(query, (project, name)).fetchone()
    return found


def run_of(connection: DatabaseConnection, project: str, uid: str) -> RunRow | None:
    """The run of this uid."""
    found = connection.execute(f"SELECT {RUN} FROM run WHERE project = ? AND uid = ?", (project, uid)).fetchone()
    return None if found is None else run_row(connection, found)


MOST_HEARD = 1000


def heard_since(connection: DatabaseConnection, project: str, uid: str | None, since: float) -> list[RunRow]:
    """The run of this uid, or (None) those under way in the project that were heard of since, at most MOST_HEARD."""
    if uid is not None:
        run = run_of(connection, project, uid)
        return [] if run is None else [run]
    query = f"SELECT {RUN} FROM run WHERE project = ? AND state = 'running' AND last_seen_at >= ? LIMIT {MOST_HEARD}"
    found = connection.execute(query, (project, since)).fetchall()
    return [row for row in (run_row(connection, cells) for cells in found) if row is not None]


def is_gone(connection: DatabaseConnection, project: str, name: str, writer: str) -> bool:
    """Whether this writer posted to a deleted run of this name."""
    query = "SELECT 1 FROM gone_writer WHERE project = ? AND name IN (?, '') AND writer = ?"  # '': of an erased project
    return connection.execute(query, (project, name, writer)).fetchone() is not None


def list_runs(
    connection: DatabaseConnection,
    project: str,
    wanted: RunFilter,
    order: RunOrder,
    before: tuple[object, object] | None,
    limit: int,
) -> list[RunRow]:
    """Runs of a project in an order, from ``before`` (place, uid) on, that fit every filter given."""
    place = _PLACES[order]
    dialect = connection.dialect
    where, values = ["project = ?"], [project]
    for column, value in (("status", wanted.status), ("state", wanted.state), (dialect.group("run"), wanted.group)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    arguments: list[Any] = [*values]
    if wanted.tag is not None:
        key, tagged = wanted.tag
        fits = "" if tagged is None else " AND t.value = ?"
        where.append(f"EXISTS (SELECT 1 FROM {dialect.tags('run')} t WHERE t.key = ?{fits})")
        arguments += [key] if tagged is None else [key, tagged]
    if wanted.text is not None:
        where.append("lower(name) LIKE lower(?) ESCAPE '!'")
        arguments.append(contains(wanted.text))
    runs: list[RunRow] = []
    after = before
    while len(runs) < limit:
        past = "" if after is None else f" AND ({place}, uid) < (?, ?)"
        query = (
            f"SELECT {RUN}, {place} FROM run WHERE {' AND '.join(where)}{past} ORDER BY {place} DESC, uid DESC LIMIT ?"
        )
        found = connection.execute(query, (*arguments, *(after or ()), limit - len(runs))).fetchall()
        runs += [row for row in (run_row(connection, cells) for cells in found) if row is not None]
        if not found or len(runs) == limit:
            break
        after = (found[-1][-1], found[-1][2])  # some could not be read
    return runs


def projects(connection: DatabaseConnection) -> dict[str, RunCounts]:
    """Every project that has runs, by name, with how many."""
    found: dict[str, RunCounts] = {}
    query = "SELECT project, status, state, count(*) FROM run GROUP BY project, status, state ORDER BY project"
    for project, status, state, count in connection.execute(query):
        if type(project) is not str:
            continue
        if project not in found:
            found[project] = RunCounts(dict.fromkeys(Status, 0), dict.fromkeys(RunState, 0))
        counts = found[project]
        counts.statuses[status if status in counts.statuses else Status.WAITING] += count
        counts.states[state if state in counts.states else RunState.RUNNING] += count
    return found


def runs_to_seal(connection: DatabaseConnection, at_least: int) -> list[tuple[str, str]]:
    """(project, uid) of runs with this many unsealed rows, or of whose entries so many are not summed up that an older
    version must have kept them."""
    query = (
        "SELECT project, uid FROM run WHERE unsealed >= ? OR next_seq - coalesce((SELECT past FROM summary s WHERE "
        "s.project = run.project AND s.uid = run.uid AND level = 0 ORDER BY seq DESC LIMIT 1), 0) >= ?"
    )
    return connection.execute(query, (at_least, 4 * at_least)).fetchall()


def record_page(
    connection: DatabaseConnection, project: str, uid: str, first_seq: int, max_points: int
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


def unsealed_stretches(connection: DatabaseConnection, project: str, uid: str) -> list[list[RecordRow]]:
    """Adjacent rows at the end of a record that can become one: back to the last block that is full or cannot grow."""
    stretches: list[list[RecordRow]] = [[]]
    for cells in _backwards(connection, (project, uid)):
        row = as_written(cells)
        if row is None or row.kind in (EntryKind.CONTEXT, EntryKind.ATTEMPT):  # a damaged one stays as it is
            stretches.append([])
            continue
        if stretches[-1] and row.seq + row.n != stretches[-1][-1].seq:  # a row between them is missing
            stretches.append([])
        if row.kind == EntryKind.SEALED and (is_full(row) or len(stretches) > 1):
            break
        stretches[-1].append(row)
    return [stretch[::-1] for stretch in stretches if len(stretch) > 1]


def _backwards(connection: DatabaseConnection, key: Key) -> Iterator[Sequence[Any]]:
    """The rows of a record from its end, as they are stored."""
    past: object = None
    while True:
        before = "" if past is None else " AND seq < ?"
        found = connection.execute(
            f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ?{before} ORDER BY seq DESC LIMIT ?",
            (*key, *(() if past is None else (past,)), ROWS_AT_ONCE),
        ).fetchall()
        yield from found
        if len(found) < ROWS_AT_ONCE:
            return
        past = found[-1][0]


def snapshot_marks(connection: DatabaseConnection, project: str, uid: str) -> list[tuple[int, int, int]]:
    """(seq, step, detection_version) of a run's snapshots, oldest first."""
    query = "SELECT seq, step, detection_version FROM snapshot WHERE project = ? AND uid = ? ORDER BY seq"
    found = connection.execute(query, (project, uid))
    return [mark for mark in found if all(type(cell) is int and -1 <= cell <= MOST for cell in mark)]


def snapshot(connection: DatabaseConnection, project: str, uid: str, seq: int) -> Snapshot | None:
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


def findings(connection: DatabaseConnection, project: str, uid: str) -> list[StoredFinding]:
    """Every finding of a run, in the order in which they opened."""
    query = f"SELECT {_FINDING} FROM finding WHERE project = ? AND uid = ? ORDER BY opened_at, opened_step, id"
    found = (_stored_finding(project, uid, columns) for columns in connection.execute(query, (project, uid)))
    return [stored for stored in found if stored is not None]


def project_findings(
    connection: DatabaseConnection,
    project: str,
    wanted: FindingFilter,
    before: tuple[object, object, object] | None,
    limit: int,
) -> tuple[list[RunFinding], tuple[object, object, object] | None]:
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
    return [
        RunFinding(name, uid, stored)
        for name, uid, stored in page
        if stored is not None and type(name) is str and type(uid) is str
    ], place


def _stored_finding(project: str, uid: str, columns: Sequence[Any]) -> StoredFinding | None:
    """The finding of a row; None where nothing of it can be read."""
    body, opened, closed, known, muted, *others = columns
    row = GuardedRow("finding", project, uid, others[0])

    def of_columns() -> Finding | None:
        return finding_of_columns(*others)

    finding = row.cell("body", lambda: finding_from_text(body), of_columns)
    if finding is None:
        return None
    return StoredFinding(
        finding=finding,
        opened_at=row.cell("opened_at", lambda: moment(opened), lambda: 0.0),
        closed_at=row.cell("closed_at", lambda: given(moment, closed), lambda: None),
        acknowledged_at=row.cell("acknowledged_at", lambda: given(moment, known), lambda: None),
        muted_until=row.cell("muted_until", lambda: given(moment, muted), lambda: None),
    )


def events(
    connection: DatabaseConnection, project: str | None, after: int, uid: str | None, limit: int
) -> list[StoredEvent]:
    """Events with a greater id, oldest first; of one project or of all, of one run or of all."""
    where = "id > ?"
    arguments: list[Any] = [after]
    if connection.dialect.settle_events:
        where += " AND id <= ?"
        arguments.append(newest_event(connection))
        for statement in connection.dialect.settle_events:
            connection.execute(statement)
    for column, value in (("project", project), ("uid", uid)):
        if value is not None:
            where += f" AND {column} = ?"
            arguments.append(value)
    query = f"SELECT id, project, uid, run, kind, at, finding_id, body FROM event WHERE {where} ORDER BY id LIMIT ?"
    found = connection.execute(query, (*arguments, limit))
    return [StoredEvent(**row._asdict()) for row in sound_rows(_EventRow, "event", 3, found)]


def newest_event(connection: DatabaseConnection) -> int:
    """The id of the last event that was ever written, also where it was forgotten since; 0 before the first."""
    found = connection.execute(connection.dialect.newest_event).fetchone()
    return 0 if found is None else found[0] if type(found[0]) is int else 0


class _EventRow(NamedTuple):
    id: int
    project: str
    uid: str
    run: str
    kind: str
    at: float
    finding_id: str | None
    body: bytes
