"""API keys as rows; what they mean is the business of ``keys``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.dialect import marks

KEY = (
    "id, project, digest, scopes, name, created_at, expires_at, revoked_at, last_used_at, requests_per_minute, "
    "points_per_minute, points_per_day"
)


def key_rows(connection: DatabaseConnection) -> list[Sequence[Any]]:
    """The cells of ``KEY`` of all keys, oldest first; each may be damaged."""
    return connection.execute(f"SELECT {KEY} FROM api_key ORDER BY created_at, id").fetchall()


def is_any(connection: DatabaseConnection) -> bool:
    """Whether there is a key, in whatever state."""
    return connection.execute("SELECT id FROM api_key LIMIT 1").fetchone() is not None


def add_key(connection: DatabaseConnection, cells: Sequence[Any]) -> None:
    """Keep a new key."""
    connection.execute(f"INSERT INTO api_key ({KEY}) VALUES {marks(KEY)}", cells)


def change_digest(connection: DatabaseConnection, id_: str, digest: str) -> bool:
    """Give a key another digest; whether it is there."""
    return connection.execute("UPDATE api_key SET digest = ? WHERE id = ?", (digest, id_)).rowcount > 0


def revoke_key(connection: DatabaseConnection, id_: str, at: float) -> bool:
    """End a key; one that is revoked already keeps its time. Whether it is there."""
    query = "UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?"
    return connection.execute(query, (at, id_)).rowcount > 0


def change_limits(
    connection: DatabaseConnection, id_: str, requests: int | None, points: int | None, of_a_day: int | None
) -> bool:
    """Let a key send so much in a minute, and so many points on a day; whether it is there."""
    query = "UPDATE api_key SET requests_per_minute = ?, points_per_minute = ?, points_per_day = ? WHERE id = ?"
    return connection.execute(query, (requests, points, of_a_day, id_)).rowcount > 0


def touch_keys(connection: DatabaseConnection, used: Mapping[str, float]) -> None:
    """Keep when each key was last used, by its id."""
    connection.executemany("UPDATE api_key SET last_used_at = ? WHERE id = ?", [(at, id_) for id_, at in used.items()])
