"""What was sent on a day, as rows: for each project, and for each key that has a quota of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from losswatch_server.store.connection import DatabaseConnection

KEPT_DAYS = 7


def add_points(connection: DatabaseConnection, day: int, sent: Mapping[tuple[str, str], int]) -> None:
    """Count more of a day, by (project, caller); in one order, so that two services do not wait for each other."""
    connection.executemany(
        "INSERT INTO points_of_day (project, caller, day, points) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (project, caller, day) DO UPDATE SET points = points_of_day.points + excluded.points",
        [(*whose, day, points) for whose, points in sorted(sent.items())],
    )


def points_of(connection: DatabaseConnection, day: int) -> list[Sequence[Any]]:
    """(project, caller, points) of a day; each cell may be damaged."""
    query = "SELECT project, caller, points FROM points_of_day WHERE day = ?"
    return connection.execute(query, (day,)).fetchall()


def forget_days(connection: DatabaseConnection, today: int) -> None:
    """Delete what was sent on days long past."""
    connection.execute("DELETE FROM points_of_day WHERE day < ?", (today - KEPT_DAYS,))
