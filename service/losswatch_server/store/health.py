"""What a database tells of its own health, without changing anything in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from losswatch_server.store.connection import DatabaseConnection


class Health(NamedTuple):
    """What was found. Times are seconds since 1970."""

    runs: int
    newest: float | None
    """When the last point came."""
    unread_events: int
    """Events that the notifications have not got to."""
    targets: dict[str, int]
    """Notification targets by state."""
    overdue: float | None
    """Since when the oldest message waits that should have been sent."""
    active_keys: int


_OVERDUE = "SELECT min(next_at) FROM delivery WHERE state IN ('pending', 'sending') AND next_at < ?"


def health(connection: DatabaseConnection, now: float) -> Health:
    """Look at everything but the data."""
    return Health(
        runs=int(_one(connection, "SELECT count(*) FROM run") or 0),
        newest=_number(_one(connection, "SELECT max(last_seen_at) FROM run")),
        unread_events=int(
            _one(
                connection,
                "SELECT count(*) FROM event WHERE id > (SELECT coalesce(min(event_id), 0) FROM alert_cursor)",
            )
            or 0
        ),
        targets={
            str(state): count
            for state, count in connection.execute("SELECT state, count(*) FROM target GROUP BY state")
        },
        overdue=_number(
            _one(
                connection,
                "SELECT min(next_at) FROM delivery WHERE state IN ('pending', 'sending') AND next_at < ?",
                now,
            )
        ),
        active_keys=int(
            _one(
                connection,
                "SELECT count(*) FROM api_key WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
                now,
            )
            or 0
        ),
    )


def damage(connection: DatabaseConnection) -> str | None:
    """What SQLite's own check complains about; None: nothing. Reads the whole file."""
    (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if told == "ok" else str(told)


def _one(connection: DatabaseConnection, query: str, *values: float) -> Any:
    found = connection.execute(query, values).fetchone()
    return None if found is None else found[0]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
