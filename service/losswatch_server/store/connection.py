"""What the store needs of a connection to a database: SQLite's own has it, PostgreSQL's is made to have it.

Statements are standard SQL with ``?`` for each value. What the two databases say differently is in ``dialect``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from losswatch_server.store.dialect import Dialect


class Rows(Protocol):
    """What came of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """The next row as a tuple; None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class DatabaseConnection(Protocol):
    """One connection, used by one thread at a time. Begins no transaction by itself."""

    @property
    def dialect(self) -> Dialect:
        """How its database says what databases say differently."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or failed and not rolled back yet."""
        ...

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> object:
        """Run one statement for each row of values."""
        ...

    def close(self) -> None:
        """Close it; an open transaction is rolled back."""
        ...
