"""What the dispatcher looks up of runs and findings while it plans."""

from __future__ import annotations

from typing import NamedTuple

from losswatch_server.store.cells import sound_rows
from losswatch_server.store.connection import DatabaseConnection


def muted_until(connection: DatabaseConnection, project: str, uid: str, finding: str) -> float | None:
    """Until when a finding is muted."""
    query = "SELECT muted_until FROM finding WHERE project = ? AND uid = ? AND id = ?"
    found = connection.execute(query, (project, uid, finding)).fetchone()
    return found[0] if found is not None and type(found[0]) in (int, float) else None


MOST_RUNS = 10_000


class SweepRow(NamedTuple):
    """A run of a sweep; ``context`` is JSON."""

    uid: str
    status: str
    context: str


def sweep(connection: DatabaseConnection, project: str, group: str) -> list[SweepRow]:
    """The runs that say they belong to this group, the newest of a very large one."""
    found = connection.execute(
        f"SELECT uid, status, context FROM run WHERE project = ? AND {connection.dialect.group('run')} = ? "
        f"ORDER BY created_at DESC LIMIT {MOST_RUNS}",
        (project, group),
    )
    return list(sound_rows(SweepRow, "run", 1, found))
