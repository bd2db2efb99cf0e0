"""The running runs, as the watch for silent and slow ones needs them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from losswatch_server.store.queries import SOUND_CONTEXT


class RunningRow(NamedTuple):
    """A run that is neither over nor silent. Times are seconds since 1970; ``rhythm`` is packed by ``runs``."""

    project: str
    uid: str
    step: int | None
    last_seen_at: float
    paused_until: float | None
    expected_gap_s: float | None
    rhythm: bytes


def running(connection: sqlite3.Connection) -> list[RunningRow]:
    """All of them."""
    found = connection.execute(
        "SELECT project, uid, step, last_seen_at, paused_until, "
        f"json_extract({SOUND_CONTEXT}, '$.expected_gap_s'), rhythm "
        "FROM run WHERE state = 'running'"
    )
    return [row if isinstance(row.expected_gap_s, (int, float, type(None))) else row._replace(expected_gap_s=None)
            for row in map(RunningRow._make, found)]  # fmt: skip


def muted_until(connection: sqlite3.Connection, project: str, uid: str, finding: str) -> float | None:
    """Until when a finding is muted."""
    query = "SELECT muted_until FROM finding WHERE project = ? AND uid = ? AND id = ?"
    found = connection.execute(query, (project, uid, finding)).fetchone()
    return None if found is None else found[0]


MOST_RUNS = 10_000


class SweepRow(NamedTuple):
    """A run of a sweep; ``context`` is JSON."""

    uid: str
    status: str
    context: str


def sweep(connection: sqlite3.Connection, project: str, group: str) -> list[SweepRow]:
    """The runs that say they belong to this group, the newest of a very large one."""
    found = connection.execute(
        f"SELECT uid, status, context FROM run WHERE project = ? AND json_extract({SOUND_CONTEXT}, '$.group') = ? "
        f"ORDER BY created_at DESC LIMIT {MOST_RUNS}",
        (project, group),
    )
    return [SweepRow._make(row) for row in found]
