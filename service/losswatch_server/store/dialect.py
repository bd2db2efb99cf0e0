"""What SQLite and PostgreSQL say differently. All other SQL of the store is standard and said once, for both."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any, Protocol


class Dialect(Hashable, Protocol):
    """Parts of statements. ``run`` is the name or alias of the table ``run`` in the statement."""

    begin: str
    """Begins a transaction that writes."""
    begin_reading: str
    """Begins a transaction that reads one state of the database throughout."""
    lock: str
    """At the end of a SELECT: nobody else changes these rows until the transaction ends."""
    one_project: str
    """At the end of a WHERE that says of several runs which they are: that their project is one, given once more. Empty
    where nothing is gained by that."""
    lock_free: str
    """The same, without the rows that somebody else has locked."""
    begin_erasing: tuple[str, ...]
    """What is deleted from here on is overwritten, where the database would else only mark its room as free."""
    end_erasing: tuple[str, ...]
    before_event: str | None
    """Goes before ``add_event``; None where nothing needs to."""
    settle_events: tuple[str, ...]
    """Go after the newest id was read. Then all events up to it can be seen; without them they can be anyway."""
    newest_event: str
    """Selects the id of the last event that was ever written, also where it was forgotten since."""

    def lock_runs(self, runs: Collection[tuple[str, str]]) -> tuple[str, Sequence[Any]] | None:
        """Locks the runs of these projects and uids, in one order, with the values of the statement; None where nobody
        else can hold one."""
        ...

    def add_event(self, columns: str) -> str:
        """Inserts an event of these columns and gives it the next id. Ids become visible in their order: whoever has
        read up to one has read all that are smaller."""
        ...

    def typed(self, columns: Sequence[str]) -> str:
        """A row of a VALUES list that stands alone, with values for these columns of ``run``."""
        ...

    def table(self, values: str) -> tuple[str, str]:
        """Rows of VALUES as a table ``new`` with the columns column1, column2, …: what stands before a statement with
        it, and what stands there in the place of a table."""
        ...

    def group(self, run: str) -> str:
        """The group that the context of a run names; NULL where it names none."""
        ...

    def expected_gap_s(self, run: str) -> str:
        """The gap between posts that the context of a run announces, in seconds; NULL where it announces none."""
        ...

    def tags(self, run: str) -> str:
        """The tags of a run as a table of ``key`` and ``value``."""
        ...


class SqliteDialect:
    """SQLite has one writer, so rows need no locks and events are numbered by the file."""

    begin: str = "BEGIN IMMEDIATE"
    begin_reading: str = "BEGIN"
    lock: str = ""
    one_project: str = ""
    lock_free: str = ""
    begin_erasing: tuple[str, ...] = ("PRAGMA secure_delete = ON",)
    end_erasing: tuple[str, ...] = ("PRAGMA secure_delete = OFF",)
    before_event: str | None = None
    settle_events: tuple[str, ...] = ()
    newest_event: str = "SELECT seq FROM sqlite_sequence WHERE name = 'event'"

    def lock_runs(self, runs: Collection[tuple[str, str]]) -> None:
        """See Dialect."""

    def add_event(self, columns: str) -> str:
        """See Dialect."""
        return f"INSERT INTO event ({columns}) VALUES {marks(columns)}"

    def typed(self, columns: Sequence[str]) -> str:
        """See Dialect."""
        return marks(", ".join(columns))

    def table(self, values: str) -> tuple[str, str]:
        """See Dialect. Of a statement that begins with WITH, Python's sqlite3 does not say how many rows it changed."""
        return "", f"(VALUES {values}) AS new"

    def group(self, run: str) -> str:
        """See Dialect."""
        return f"json_extract({_sound(run)}, '$.group')"

    def expected_gap_s(self, run: str) -> str:
        """See Dialect."""
        return f"json_extract({_sound(run)}, '$.expected_gap_s')"

    def tags(self, run: str) -> str:
        """See Dialect."""
        return f"json_each({_sound(run)}, '$.tags')"


def _sound(run: str) -> str:
    """SQLite's JSON functions end the whole statement at the first text that is no JSON."""
    return f"CASE WHEN json_valid({run}.context) THEN {run}.context ELSE '{{}}' END"


SQLITE = SqliteDialect()


def upsert(table: str, columns: str, key: str) -> str:
    """A statement that inserts a row, or replaces the one with the same ``key``; both are lists of columns."""
    names, keys = columns.split(", "), key.split(", ")
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    return f"INSERT INTO {table} ({columns}) VALUES {marks(columns)} ON CONFLICT ({key}) DO UPDATE SET {changes}"


def marks(columns: str) -> str:
    """A row of a VALUES list, with a value for each of the columns."""
    return "(" + ", ".join("?" * len(columns.split(", "))) + ")"


def contains(text: str) -> str:
    """The pattern of texts that hold ``text``, for ``LIKE ? ESCAPE '!'``."""
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%"
