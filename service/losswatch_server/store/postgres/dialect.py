"""How PostgreSQL says what databases say differently."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

_TYPES = {
    "attempt": "integer",
    "step": "bigint",
    "points": "bigint",
    "version": "bigint",
    "detection_version": "integer",
    "last_seen_at": "double precision",
    "finished_at": "double precision",
    "paused_until": "double precision",
    "next_seq": "bigint",
    "unsealed": "integer",
    "rhythm": "bytea",
    "revision": "bigint",
}

EVENTS_LOCK = 7_162_004_214
"""Of whoever takes a number for an event, where its row is not enough; any number that others do not use."""


class PostgresDialect:
    """Contexts are JSON that the service wrote, without the characters that PostgreSQL's JSON cannot give as text:
    nothing in a cell of PostgreSQL is anything else than what its column may hold."""

    begin: str = "BEGIN"
    begin_reading: str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    lock: str = " FOR UPDATE"
    one_project: str = ""
    lock_free: str = " FOR UPDATE SKIP LOCKED"
    begin_erasing: tuple[str, ...] = ()
    end_erasing: tuple[str, ...] = ()
    before_event: str | None = None
    settle_events: tuple[str, ...] = ()
    newest_event: str = "SELECT last FROM event_number WHERE name = 'event'"

    def lock_runs(self, runs: Collection[tuple[str, str]]) -> tuple[str, Sequence[Any]]:
        """See Dialect."""
        return (
            "SELECT 1 FROM run WHERE (project, uid) IN (SELECT * FROM unnest(?::text[], ?::text[])) "
            "ORDER BY project, uid FOR UPDATE",
            [[project for project, _ in runs], [uid for _, uid in runs]],
        )

    def add_event(self, columns: str) -> str:
        """See Dialect. Who adds an event holds the one row of ``event_number`` until its transaction ends: a sequence
        would let a later number be seen before an earlier one, and a reader that has passed it would miss that."""
        given = ", ".join("?" * len(columns.split(", ")))
        return (
            "WITH number AS (UPDATE event_number SET last = last + 1 WHERE name = 'event' RETURNING last) "
            f"INSERT INTO event (id, {columns}) SELECT last, {given} FROM number"
        )

    def typed(self, columns: Sequence[str]) -> str:
        """See Dialect."""
        return "(" + ", ".join(f"?::{_TYPES.get(column, 'text')}" for column in columns) + ")"

    def table(self, values: str) -> tuple[str, str]:
        """See Dialect."""
        return f"WITH new AS (VALUES {values}) ", "new"

    def group(self, run: str) -> str:
        """See Dialect."""
        return f"({run}.context::json ->> 'group')"

    def expected_gap_s(self, run: str) -> str:
        """See Dialect."""
        return f"({run}.context::json ->> 'expected_gap_s')::double precision"

    def tags(self, run: str) -> str:
        """See Dialect."""
        return f"json_each_text({run}.context::json -> 'tags')"


class CitusDialect(PostgresDialect):
    """Events lie on the nodes of their projects, their number on the coordinator. A commit ends there first and on the
    other node a moment later, and who reads several nodes reads each at a moment of its own. So a number alone does
    not say that all before it can be seen: whoever takes one holds a lock that ends after both, and who reads events
    waits for it, and reads no further than the numbers were before."""

    one_project: str = " AND run.project = ?"
    before_event: str | None = f"SELECT pg_advisory_xact_lock({EVENTS_LOCK})"
    settle_events: tuple[str, ...] = (
        f"SELECT pg_advisory_lock_shared({EVENTS_LOCK})",
        f"SELECT pg_advisory_unlock_shared({EVENTS_LOCK})",
    )

    def lock_runs(self, runs: Collection[tuple[str, str]]) -> tuple[str, Sequence[Any]]:
        """See Dialect. They are of one project, which the statement must name for itself to be sent to one node."""
        (project,) = {project for project, _ in runs}
        query = "SELECT 1 FROM run WHERE project = ? AND uid = ANY (?::text[]) ORDER BY uid FOR UPDATE"
        return query, [project, [uid for _, uid in runs]]


POSTGRES = PostgresDialect()
CITUS = CitusDialect()
