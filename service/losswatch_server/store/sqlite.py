"""The store on one SQLite file, which it alone has open, and which it looks after."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from losswatch_server.store import schema
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.datadir import DataDirectory
from losswatch_server.store.errors import StoreLostError, failed_write
from losswatch_server.store.identity import OpenFiles, draw_mark
from losswatch_server.store.probe import TRUSTED_S, WriteProbe
from losswatch_server.store.sql_store import WAITING_WRITES, SqlStore

WRITTEN_BY_A_POINT = ("run", "record", "attempt", "writer", "snapshot", "finding", "event")
"""The tables that a probe opens: a database can take a counter and yet refuse every point."""


class SqliteStore(SqlStore):
    """Open with ``SqliteStore.open(directory)``; close with ``close()``. One process at a time per directory."""

    def __init__(
        self,
        directory: DataDirectory,
        *,
        waiting_writes: int = WAITING_WRITES,
        connect: Callable[[Path], schema.SqliteConnection] = schema.connect,
        connect_reader: Callable[[Path], schema.SqliteConnection] = schema.connect_reader,
        mark: int | None = None,
    ) -> None:
        self._directory = directory
        self._connect = connect
        self._connect_reader = connect_reader
        self._files = OpenFiles(directory.database, mark)
        super().__init__(waiting_writes)
        self._probe = WriteProbe(self._writer, _touch)

    @classmethod
    def open(cls, path: Path, *, waiting_writes: int = WAITING_WRITES) -> SqliteStore:
        """Create or open the store in a directory.

        Raises DataDirectoryError, SchemaTooNewError, and StoreFailedError where the database cannot be made or read.
        """
        directory = DataDirectory(path)
        try:
            schema.migrate(directory.database)
            mark = draw_mark(directory.database, schema.connect)
        except BaseException:
            directory.release()
            raise
        return cls(directory, waiting_writes=waiting_writes, mark=mark)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._directory.database

    def close(self) -> None:
        """Commit what is waiting, close every connection, let another process have the directory. Blocks."""
        if self._closed:
            return
        self._end()
        with contextlib.suppress(StoreLostError, sqlite3.Error, OSError):  # the log is as safe as the file is
            self._files.check()
            last = self._connect(self.path)
            try:
                last.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                last.close()
        self._files.close()
        self._directory.release()

    def _vouch(self) -> None:
        self._files.check()

    def _open_reader(self) -> DatabaseConnection:
        return self._connect_reader(self.path)

    def _connect_writer(self) -> schema.SqliteConnection:
        self._files.check()
        connection = self._connect(self.path)
        try:
            connection.execute("SELECT 1 FROM run LIMIT 1").fetchone()
            self._files.log_opened()
        except BaseException:
            connection.close()
            raise
        return connection

    async def check(self, trusted_s: float = TRUSTED_S) -> None:
        """Whether a write would be kept now. Raises the StoreError that it would raise.

        A write that was kept in the last ``trusted_s`` is answer enough; else one page is written, however many ask.
        """
        self._check_open()
        try:
            self._files.check()
        except StoreLostError:
            await self._writer.write(lambda connection: None)  # so that the writer knows, and says so
        except OSError as error:
            raise failed_write(error) from error
        await self._probe.check(trusted_s)

    async def empty_log(self) -> None:
        """Copy what was committed into the file and cut the log off, where no reader is in the way."""
        await asyncio.to_thread(schema.empty_log, self.path)


def _touch(connection: DatabaseConnection) -> None:
    """Change one page, and open each table that a point is written to: its root page may be the one that fails.

    SQLite knows a row that is written as it was, and writes nothing; a counter it does not use itself always moves.
    """
    for table in WRITTEN_BY_A_POINT:
        connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
    (count,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {(count + 1) % 1_000_000}")
