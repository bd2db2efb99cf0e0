"""A connection to PostgreSQL with what ``store.connection`` describes: psycopg's, in the store's words.

A server that is gone without a word (a cable, a firewall, a frozen machine) says nothing for ever: every statement has
a deadline, after which the connection is taken for broken.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg import abc, conninfo, pq
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrDumperUnknown

from losswatch_server.store.errors import (
    ConnectionBrokenError,
    ContradictionError,
    DamageFoundError,
    DatabaseError,
    TransactionOvertakenError,
)
from losswatch_server.store.postgres.dialect import CITUS, POSTGRES, PostgresDialect

T = TypeVar("T")

PATIENCE_S = 30.0
"""A statement that takes longer has lost its server. The longest of them writes 256 requests, in some milliseconds."""
SESSION = {
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 30_000,
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}
"""For each connection; times without a unit are milliseconds, of keepalives seconds. A service whose machine is gone
without a word must not hold the rows that it had locked for longer than that."""
DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "losswatch",
    "target_session_attrs": "read-write",
}
"""What the address of the database does not say itself."""
_OVERTAKEN = frozenset({"40001", "40P01", "55P03"})
"""serialization_failure, deadlock_detected, lock_not_available"""
_BROKEN = ("08", "57P")
"""Classes of errors after which the connection is of no use: connection exceptions, the server's shutdown."""
_DAMAGED = frozenset({"XX001", "XX002"})
"""data_corrupted, index_corrupted"""


class Database:
    """Where the database is: an address as libpq takes it, ``postgresql://user:password@host:5432/name?…``."""

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        self.is_distributed = False
        """Whether its tables are spread over nodes by project."""
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise DatabaseError(_line(error)) from None
        more = {name: value for name, value in DEFAULTS.items() if name not in given}
        self._conninfo = conninfo.make_conninfo(url, **more)
        self._patience_s = patience_s

    def connect_plainly(self) -> psycopg.Connection[Any]:
        """A connection as psycopg has it, for Alembic."""
        return psycopg.connect(self._conninfo)

    def connect(self) -> PostgresConnection:
        """A new connection. Raises ConnectionBrokenError."""
        try:
            raw = _Patient.connect(self._conninfo, autocommit=True, cursor_factory=psycopg.RawCursor)
        except psycopg.Error as error:
            raise ConnectionBrokenError(_line(error)) from error
        raw.patience_s = self._patience_s
        raw.adapters.register_dumper(int, Int8BinaryDumper)
        raw.adapters.register_dumper(str, _TextDumper)
        connection = PostgresConnection(raw, CITUS if self.is_distributed else POSTGRES)
        for name, value in SESSION.items():
            connection.execute(f"SET {name} = {value}")
        # What was acknowledged survives a crash of the server, whatever its configuration says.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        return connection


class PostgresConnection:
    """See ``store.connection.Connection``."""

    def __init__(self, raw: _Patient, dialect: PostgresDialect) -> None:
        self.raw = raw
        self.dialect: PostgresDialect = dialect

    @property
    def in_transaction(self) -> bool:
        """See Connection."""
        return self.raw.info.transaction_status in (
            pq.TransactionStatus.INTRANS,
            pq.TransactionStatus.INERROR,
            pq.TransactionStatus.ACTIVE,
        )

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """See Connection."""
        try:
            return self.raw.execute(_numbered(statement), values or None)
        except psycopg.Error as error:
            self._raise(error)

    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> None:
        """See Connection. The statements go out together: one wait for all of them."""
        try:
            with self.raw.cursor() as cursor:
                cursor.executemany(_numbered(statement), values)
        except psycopg.Error as error:
            self._raise(error)

    def close(self) -> None:
        """See Connection."""
        with contextlib.suppress(psycopg.Error):
            self.raw.close()

    def wait_for_notices(self, seconds: float) -> Iterator[str]:
        """The payloads of what was notified to this connection, until so many seconds have passed."""
        try:
            yield from (notice.payload for notice in self.raw.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:
            self._raise(error)

    def _raise(self, error: psycopg.Error) -> NoReturn:
        state = error.sqlstate or ""
        if isinstance(error, psycopg.IntegrityError):
            raise ContradictionError(_line(error)) from error
        if state in _OVERTAKEN:
            raise TransactionOvertakenError(_line(error)) from error
        if state.startswith(_BROKEN) or self.raw.closed or isinstance(error, psycopg.InterfaceError):
            self.close()
            raise ConnectionBrokenError(_line(error)) from error
        if state in _DAMAGED:
            raise DamageFoundError(_line(error)) from error
        raise DatabaseError(_line(error)) from error


class _Patient(psycopg.Connection[Any]):
    """Waits for an answer for so long only, and then closes: what comes later belongs to nobody."""

    patience_s = PATIENCE_S

    def wait(self, gen: abc.PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """See psycopg.Connection."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        began = time.monotonic()
        try:
            return super().wait(gen, interval, self.patience_s)
        except psycopg.OperationalError as error:
            if time.monotonic() - began < self.patience_s:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.patience_s:g} s") from error


class _TextDumper(StrDumperUnknown):
    """No text of PostgreSQL holds U+0000. Where one may come in is checked before; here nothing fails of it."""

    def dump(self, obj: str) -> Any:
        """See StrDumperUnknown."""
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


@cache
def _numbered(statement: str) -> str:
    """``?`` as ``$1``, ``$2``, … No statement of the store has a question mark elsewhere."""
    parts = statement.split("?")
    return "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], 1)) + parts[-1]


def _line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
