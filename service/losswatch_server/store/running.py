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
