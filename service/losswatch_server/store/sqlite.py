"""The store on one SQLite file: a writer thread with group commit, and a few reader threads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from losswatch_server.store import changes, queries, schema
from losswatch_server.store.datadir import DataDirectory
from losswatch_server.store.errors import StoreClosedError
from losswatch_server.store.rows import (
    Change,
    NewEvent,
    RecordRow,
    RunRow,
    Snapshot,
    StoredEvent,
    StoredFinding,
    StoredRun,
)
from losswatch_server.store.sealing import SEAL_POINTS, seal
from losswatch_server.store.writer import GroupWriter

T = TypeVar("T")
READERS = 4
WAITING_WRITES = 2048
"""Most writes that wait; more are refused as busy. At 250 commits a second (a contended disk) and 256 writes to a
commit that is a wait of well under a second."""


class SqliteStore:
    """Open with ``SqliteStore.open(directory)``; close with ``close()``. One process at a time per directory."""

    def __init__(self, directory: DataDirectory, *, waiting_writes: int = WAITING_WRITES) -> None:
        self._directory = directory
        self._writer = GroupWriter(partial(schema.connect, directory.database), waiting_writes)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="losswatch-reader")
        self._connections: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, waiting_writes: int = WAITING_WRITES) -> SqliteStore:
        """Create or open the store in a directory. Raises DataDirectoryLockedError, SchemaTooNewError."""
        directory = DataDirectory(path)
        try:
            schema.migrate(directory.database)
        except BaseException:
            directory.release()
            raise
        return cls(directory, waiting_writes=waiting_writes)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._directory.database

    def close(self) -> None:
        """Commit what is waiting, close every connection, let another process have the directory. Blocks."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()
        last = schema.connect(self.path)
        last.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        last.close()
        self._directory.release()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, once its changes survive a power loss; see GroupWriter.write."""
        return await self._writer.write(work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, run on a reader thread and on one state of the database throughout."""
        if self._closed:
            raise StoreClosedError("The store is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = schema.connect_reader(self.path)
            self._connections.append(connection)
        connection.execute("BEGIN")
        try:
            return work(connection)
        finally:
            connection.execute("ROLLBACK")

    async def apply(self, change: Change) -> None:
        await self._writer.apply(change)

    async def mark_finding(
        self, key: tuple[str, str, str], column: str, value: float | None, event: NewEvent, run: str
    ) -> None:
        await self._writer.write(lambda connection: changes.mark_finding(connection, key, column, value, event, run))

    async def delete_run(self, run: RunRow, at: float, event: NewEvent) -> None:
        await self._writer.write(
            lambda connection: changes.delete(connection, run.project, run.uid, run.name, at, event)
        )

    async def find_run(self, project: str, name: str) -> StoredRun | None:
        return await self.read(lambda connection: queries.find_run(connection, project, name))

    async def run_of(self, project: str, uid: str) -> RunRow | None:
        return await self.read(lambda connection: queries.run_of(connection, project, uid))

    async def is_gone(self, project: str, name: str, writer: str) -> bool:
        return await self.read(lambda connection: queries.is_gone(connection, project, name, writer))

    async def list_runs(
        self,
        project: str,
        *,
        status: str | None,
        state: str | None,
        tag: tuple[str, str | None] | None,
        group: str | None,
        text: str | None,
        before: tuple[float, str] | None,
        limit: int,
    ) -> list[RunRow]:
        return await self.read(
            lambda connection: queries.list_runs(connection, project, status, state, tag, group, text, before, limit)
        )

    async def record_page(self, project: str, uid: str, first_seq: int, max_points: int) -> list[RecordRow]:
        return await self.read(lambda connection: queries.record_page(connection, project, uid, first_seq, max_points))

    async def record_back_to(self, project: str, uid: str, wanted: Mapping[int, int]) -> list[RecordRow]:
        return await self.read(lambda connection: queries.record_back_to(connection, project, uid, wanted))

    async def record_range(self, project: str, uid: str, first_step: int, last_step: int) -> list[RecordRow]:
        return await self.read(lambda connection: queries.record_range(connection, project, uid, first_step, last_step))

    async def snapshot_marks(self, project: str, uid: str) -> Sequence[tuple[int, int, int]]:
        return await self.read(lambda connection: queries.snapshot_marks(connection, project, uid))

    async def snapshot(self, project: str, uid: str, seq: int) -> Snapshot | None:
        return await self.read(lambda connection: queries.snapshot(connection, project, uid, seq))

    async def findings(self, project: str, uid: str) -> list[StoredFinding]:
        return await self.read(lambda connection: queries.findings(connection, project, uid))

    async def events(self, project: str | None, after: int, uid: str | None, limit: int) -> list[StoredEvent]:
        return await self.read(lambda connection: queries.events(connection, project, after, uid, limit))

    async def seal(self, project: str, uid: str) -> None:
        """Compress on a reader thread; the writer only swaps the rows, unless they changed meanwhile."""
        for old in await self.read(lambda connection: queries.unsealed_stretches(connection, project, uid)):
            new = await asyncio.get_running_loop().run_in_executor(self._readers, seal, old)
            await self.write(partial(changes.swap_sealed, project=project, uid=uid, old=old, new=new))

    async def seal_leftovers(self) -> int:
        """Seal every run that a stop left with many small rows; how many there were."""
        left = await self.read(lambda connection: queries.runs_to_seal(connection, SEAL_POINTS))
        for project, uid in left:
            await self.seal(project, uid)
        return len(left)
