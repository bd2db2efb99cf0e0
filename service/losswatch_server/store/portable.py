"""Writing out a run with all it has, on one state of the database, and putting it into another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

from losswatch_server.codec import portable
from losswatch_server.codec.contexts import context_of_text
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.codec.findings import finding_text
from losswatch_server.monitor.entries import EntryKind
from losswatch_server.store import changes, queries
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.damage import note_block
from losswatch_server.store.errors import RunMovedError
from losswatch_server.store.rows import Change, RecordRow, Snapshot, StoredFinding, StoredRun
from losswatch_server.store.sealing import opened
from losswatch_server.store.summary_tree import rows_between

RUN_FIELDS = (
    "name", "uid", "created_at", "last_seen_at", "attempt", "step", "points", "version", "detection_version", "state",
    "status", "action", "headline", "finished_at", "paused_until", "error",
)  # fmt: skip


def write_run(connection: DatabaseConnection, project: str, name: str, file: BinaryIO) -> bool:
    """Write all lines of a run; False where there is none of this name. What is damaged is left out, and noted."""
    run = queries.find_run(connection, project, name)
    if run is None:
        return False
    count = 0

    def put(kind: str, **fields: object) -> None:
        nonlocal count
        file.write(portable.line(kind, **fields))
        count += 1

    row = run.row
    put(
        "run",
        format=portable.FORMAT,
        **{field: getattr(row, field) for field in RUN_FIELDS},
        context=portable.exact_context(row.context),
        entries=run.next_seq,
        report=portable.packed(run.report),
    )
    for writer in run.writers:
        put("writer", **writer._asdict())
    for stored in rows_between(connection, (project, row.uid), 0, run.next_seq):
        _write_row(stored, put)
    for finding in queries.findings(connection, project, row.uid):
        put(
            "finding",
            exact=finding_text(finding.finding),
            opened_at=finding.opened_at,
            closed_at=finding.closed_at,
            acknowledged_at=finding.acknowledged_at,
            muted_until=finding.muted_until,
        )
    for seq, _, _ in queries.snapshot_marks(connection, project, row.uid)[-1:]:
        newest = queries.snapshot(connection, project, row.uid, seq)
        if newest is not None:
            put("state", **{**newest._asdict(), "body": None}, packed=portable.packed(newest.body))
    put("end", lines=count)
    return True


def _write_row(row: RecordRow, put: Callable[..., None]) -> None:
    if row.kind == EntryKind.ATTEMPT:
        put("attempt", attempt=row.attempt, step=row.first_step, writer=row.writer, received_ms=row.received_ms)
        return
    if row.kind == EntryKind.CONTEXT:
        try:
            context_of_text(row.body)
        except DamagedCellError as error:
            note_block(row, error)
            return
        text = row.body.decode()
        put("context", attempt=row.attempt, writer=row.writer, received_ms=row.received_ms, exact=text)
        return
    for part, points in opened(row):
        put(
            portable.ENTRIES[part.kind],
            attempt=part.attempt,
            writer=part.writer,
            received_ms=part.received_ms,
            points=portable.points_json(points),
        )


class NewRun(NamedTuple):
    """A run that came from elsewhere."""

    run: StoredRun
    rows: Sequence[RecordRow]
    findings: Sequence[StoredFinding]
    snapshots: Sequence[Snapshot]


def put_run(connection: DatabaseConnection, new: NewRun) -> None:
    """Keep all of a run that is not there yet. Raises RunMovedError where its name or its uid is taken."""
    row = new.run.row
    key = (row.project, row.uid)
    if connection.execute("SELECT 1 FROM run WHERE project = ? AND uid = ?", key).fetchone() is not None:
        raise RunMovedError("The run is there already.")
    change = Change(
        run=new.run,
        expected_seq=None,
        at=row.last_seen_at,
        rows=new.rows,
        attempts=new.run.attempts,
        writers=new.run.writers,
        snapshots=new.snapshots,
        findings=[stored.finding for stored in new.findings],
    )
    changes.apply(connection, change)
    for stored in new.findings:
        connection.execute(
            "UPDATE finding SET opened_at = ?, closed_at = ?, acknowledged_at = ?, muted_until = ? "
            "WHERE project = ? AND uid = ? AND id = ?",
            (
                stored.opened_at, stored.closed_at, stored.acknowledged_at, stored.muted_until,
                *key, stored.finding.id,
            ),
        )  # fmt: skip
