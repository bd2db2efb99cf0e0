"""The store on PostgreSQL: several services may have it open at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.errors import RAW, StoreFailedError
from losswatch_server.store.postgres import schema
from losswatch_server.store.postgres.connection import Database, PostgresConnection
from losswatch_server.store.postgres.notices import PostgresNotices
from losswatch_server.store.probe import TRUSTED_S, WriteProbe
from losswatch_server.store.sql_store import WAITING_WRITES, SqlStore


class PostgresStore(SqlStore):
    """Open with ``PostgresStore.open(url)``; close with ``close()``."""

    @property
    def is_shared(self) -> bool:
        """See SqlStore."""
        return True

    def __init__(self, database: Database, *, waiting_writes: int = WAITING_WRITES) -> None:
        self._database = database
        self._holder = secrets.token_hex(8)
        super().__init__(waiting_writes, is_distributed=database.is_distributed)
        self._probe = WriteProbe(self._writer, _touch)

    @classmethod
    def open(cls, url: str, *, waiting_writes: int = WAITING_WRITES) -> PostgresStore:
        """Open the store in a database, and bring its schema up to date.

        Raises SchemaTooNewError, and StoreFailedError where the database cannot be reached, made or read.
        """
        try:
            database = Database(url)
            schema.migrate(database)
            database.is_distributed = schema.is_distributed(database)
        except RAW as error:
            raise StoreFailedError(f"The database cannot be opened: {error}.") from error
        return cls(database, waiting_writes=waiting_writes)

    def close(self) -> None:
        """Commit what is waiting, and close every connection. Blocks."""
        if not self._closed:
            self._end()

    def notices(self, heard: Callable[[], None]) -> PostgresNotices:
        """What tells other services of commits, and calls ``heard`` when they do."""
        return PostgresNotices(self._database, heard)

    async def leads(self, work: str, seconds: float) -> bool:
        """See ``transactions.Transactions``. The clock is the server's: those of the services may differ."""
        return await self.write(partial(_lease, work=work, holder=self._holder, seconds=seconds))

    def _vouch(self) -> None:
        """The server alone says what it has kept."""

    def _open_reader(self) -> PostgresConnection:
        return self._database.connect()

    def _connect_writer(self) -> PostgresConnection:
        return self._database.connect()

    async def check(self, trusted_s: float = TRUSTED_S) -> None:
        """Whether a write would be kept now. Raises the StoreError that it would raise.

        A write that was kept in the last ``trusted_s`` is answer enough.
        """
        self._check_open()
        await self._probe.check(trusted_s)

    async def empty_log(self) -> None:
        """The server's log and the room of deleted rows are the server's: VACUUM and its archive settings decide."""


def _lease(connection: DatabaseConnection, work: str, holder: str, seconds: float) -> bool:
    held = connection.execute(
        "INSERT INTO lease (name, holder, until) VALUES (?, ?, extract(epoch FROM clock_timestamp()) + ?) "
        "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until "
        "WHERE lease.holder = excluded.holder OR lease.until < extract(epoch FROM clock_timestamp())",
        (work, holder, seconds),
    )
    return held.rowcount == 1


def _touch(connection: DatabaseConnection) -> None:
    """Write one row: a server that only reads (a standby) refuses it."""
    connection.execute("UPDATE event_number SET last = last WHERE name = 'event'")
