"""Reading the row of a run: what is damaged in it is made again from the record where that is possible, and named."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from losswatch_server.codec.contexts import context_of_text
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.monitor.entries import EntryKind
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context
from losswatch_server.monitor.vocabulary import LoopAction, RunState, Status
from losswatch_server.store.cells import MOST, GuardedRow, given, moment, text, whole
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.record_rows import RECORD, Key, attempts_of, from_database, past_record
from losswatch_server.store.rows import RecordRow, RunRow, StoredRun, Writer
from losswatch_server.store.sealing import SEAL_POINTS

RUN = (
    "project, name, uid, attempt, step, points, version, detection_version, state, status, action, headline, context, "
    "created_at, last_seen_at, finished_at, paused_until, error"
)
NUMBERING = "(SELECT max(at) FROM thinned t WHERE t.project = r.project AND t.uid = r.uid)"
"""When the record of the run ``r`` was last thinned, and numbered anew."""
OF_AN_OLDER_VERSION = 0
"""No version of the rules: a run of which it cannot be told is judged anew at its next point."""


def run_row(connection: DatabaseConnection, found: Sequence[Any], name: str | None = None) -> RunRow | None:
    """The row of ``RUN``; ``name`` is the run's, where it is known. None where the key is damaged."""
    project, uid = found[0], found[2]
    if type(project) is not str or type(uid) is not str:
        GuardedRow("run", project, uid).cell("uid", lambda: text(None), str)
        return None
    key = (project, uid)
    row = GuardedRow("run", project, found[1], uid)
    cell = row.cell
    created_at = cell("created_at", lambda: moment(found[13]), lambda: _created_at(connection, key))
    seen_at = cell("last_seen_at", lambda: moment(found[14]), lambda: last_seen_at(connection, key))
    listed = (found[13], found[14]) if row.damaged else None
    return RunRow(
        project=project,
        name=name or cell("name", lambda: text(found[1], 1), lambda: _name(connection, key)),
        uid=uid,
        attempt=cell("attempt", lambda: whole(found[3], 1), lambda: _attempt(connection, key)),
        step=cell("step", lambda: given(whole, found[4]), lambda: _step(connection, key)),
        points=cell("points", lambda: whole(found[5]), lambda: past_record(connection, key, None)),
        version=cell("version", lambda: whole(found[6]), lambda: past_record(connection, key, None)),
        detection_version=cell("detection_version", lambda: whole(found[7]), lambda: OF_AN_OLDER_VERSION),
        state=cell(
            "state",
            lambda: RunState(found[8]),
            lambda: RunState.RUNNING if found[15] is None else RunState.FINISHED,
        ),
        status=cell("status", lambda: Status(found[9]), lambda: Status.WAITING),
        action=cell("action", lambda: LoopAction(found[10]), lambda: LoopAction.CONTINUE),
        headline=cell("headline", lambda: text(found[11]), str),
        context=cell("context", lambda: context_of_text(found[12]), lambda: _context(connection, key)),
        created_at=created_at,
        last_seen_at=seen_at,
        finished_at=cell("finished_at", lambda: given(moment, found[15]), lambda: None),
        paused_until=cell("paused_until", lambda: given(moment, found[16]), lambda: None),
        error=cell("error", lambda: given(text, found[17]) or "", str),
        damaged=tuple(row.damaged),
        listed=listed,
    )


def stored_run(connection: DatabaseConnection, found: Sequence[Any], name: str) -> StoredRun | None:
    """The run of a row of ``RUN`` and ``next_seq, unsealed, rhythm, report, revision, NUMBERING``, with attempts and
    writers."""
    row = run_row(connection, found, name)
    if row is None:
        return None
    key = (row.project, row.uid)
    next_seq, unsealed, rhythm, report, revision, numbering = found[-6:]
    past = past_record(connection, key, next_seq)
    more = GuardedRow("run", row.project, name, row.uid)
    more.cell("next_seq", lambda: whole(next_seq, past, past), lambda: past)
    return StoredRun(
        row=row._replace(damaged=(*row.damaged, *more.damaged)),
        next_seq=past,
        stored_seq=next_seq,
        revision=more.cell("revision", lambda: whole(revision), lambda: 0),
        stored_revision=revision,
        unsealed=more.cell("unsealed", lambda: whole(unsealed), lambda: SEAL_POINTS),
        rhythm=rhythm if type(rhythm) is bytes else b"",
        report=report if type(report) is bytes else None,
        numbering=repr(numbering),
        attempts=tuple(attempts_of(connection, key)),
        writers=tuple(_writers(connection, key)),
    )


def _writers(connection: DatabaseConnection, key: Key) -> list[Writer]:
    """In the order in which they began. One of which that cannot be told counts as the last, in the attempt under
    way: it is the one that posts."""
    query = (
        "SELECT writer, attempt, ordinal, rival FROM writer WHERE project = ? AND uid = ? "
        "ORDER BY ordinal NULLS FIRST, writer"
    )
    writers: list[Writer] = []
    for cells in connection.execute(query, key):
        writer = _writer(connection, key, cells, len(writers))
        if writer is not None:
            writers.append(writer)
    return writers


def _writer(connection: DatabaseConnection, key: Key, cells: Sequence[Any], place: int) -> Writer | None:
    name, attempt, ordinal, rival = cells
    row = GuardedRow("writer", *key, name)
    if not row.cell("name", lambda: text(name, 1), str):
        return None
    order = row.cell("ordinal", lambda: given(whole, ordinal), lambda: None if attempt is None else MOST + place)
    number = None
    if order is not None:
        number = row.cell("attempt", lambda: whole(attempt, 1), lambda: _attempt(connection, key))
    return Writer(name, number, order, row.cell("rival", lambda: given(text, rival), lambda: None))


def last_seen_at(connection: DatabaseConnection, key: Key) -> float:
    """When the last row of the record came; 0 where there is none."""
    row = _last_row(connection, key)
    return 0.0 if row is None else row.received_ms / 1000


def _created_at(connection: DatabaseConnection, key: Key) -> float:
    """When the first row of the record came."""
    query = "SELECT received_ms FROM record WHERE project = ? AND uid = ? ORDER BY seq LIMIT 1"
    found = connection.execute(query, key).fetchone()
    try:
        return 0.0 if found is None else moment(found[0] / 1000)
    except (ValueError, TypeError):
        return last_seen_at(connection, key)


def _last_row(connection: DatabaseConnection, key: Key) -> RecordRow | None:
    query = f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? ORDER BY seq DESC LIMIT 1"
    return next(from_database(connection, key, connection.execute(query, key).fetchall()), None)


def _name(connection: DatabaseConnection, key: Key) -> str:
    query = "SELECT name FROM run_name WHERE project = ? AND uid = ? AND CAST(name AS TEXT) = name LIMIT 1"
    found = connection.execute(query, key).fetchone()
    return key[1] if found is None else str(found[0])


def _attempt(connection: DatabaseConnection, key: Key) -> int:
    return max((attempt.number for attempt in attempts_of(connection, key)), default=1)


def _step(connection: DatabaseConnection, key: Key) -> int | None:
    row = _last_row(connection, key)
    return None if row is None else row.last_step


def _context(connection: DatabaseConnection, key: Key) -> Context:
    """As the record has it last: the column of the run is only a copy."""
    query = f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? AND kind = ? ORDER BY seq DESC"
    found = connection.execute(query, (*key, EntryKind.CONTEXT.value))
    for row in from_database(connection, key, found):
        with suppress(DamagedCellError):
            return context_of_text(row.body)
    return EMPTY_CONTEXT
