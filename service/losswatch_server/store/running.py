"""The runs that are not over, as the watch for silent and slow ones needs them."""

from __future__ import annotations

from typing import Any, NamedTuple

from losswatch_server.store.cells import GuardedRow, given, moment, whole
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.run_rows import last_seen_at


class RunningRow(NamedTuple):
    """A run that is neither over nor silent. Times are seconds since 1970; ``rhythm`` is packed by ``runs``."""

    project: str
    uid: str
    step: int | None
    last_seen_at: float
    paused_until: float | None
    expected_gap_s: float | None
    rhythm: bytes


def running(connection: DatabaseConnection) -> list[RunningRow]:
    """All of them."""
    found = connection.execute(
        "SELECT project, uid, step, last_seen_at, paused_until, "
        f"{connection.dialect.expected_gap_s('run')}, rhythm "
        "FROM run WHERE state = 'running'"
    )
    return [row for row in (_row(connection, *cells) for cells in found) if row is not None]


def _row(
    connection: DatabaseConnection, project: Any, uid: Any, step: Any, seen: Any, paused: Any, gap: Any, rhythm: Any
) -> RunningRow | None:
    """What lists say of the run, where a cell is damaged; None where its key is."""
    if type(project) is not str or type(uid) is not str:
        return None
    cell = GuardedRow("run", project, uid).cell
    return RunningRow(
        project,
        uid,
        cell("step", lambda: given(whole, step), lambda: None),
        cell("last_seen_at", lambda: moment(seen), lambda: last_seen_at(connection, (project, uid))),
        cell("paused_until", lambda: given(moment, paused), lambda: None),
        gap if type(gap) in (int, float) else None,
        rhythm if type(rhythm) is bytes else b"",
    )


class SilentRow(NamedTuple):
    """A run with an open finding that it is silent. ``replaced``: its group has gone on with new runs since."""

    project: str
    uid: str
    since: float
    replaced: bool


def silent(connection: DatabaseConnection) -> list[SilentRow]:
    """All of them."""
    group = connection.dialect.group
    found = connection.execute(
        "SELECT f.project, f.uid, f.opened_at, EXISTS (SELECT 1 FROM run later WHERE later.project = r.project "
        f"AND later.created_at > f.opened_at AND {group('later')} = {group('r')}) "
        "FROM finding f JOIN run r ON r.project = f.project AND r.uid = f.uid "
        "WHERE f.closed_at IS NULL AND f.condition = 'silent'"
    )
    return [
        SilentRow(project, uid, since if type(since) in (int, float) else 0.0, bool(replaced))
        for project, uid, since, replaced in found
        if type(project) is str and type(uid) is str
    ]
