"""The store on a database: a writer thread with group commit, a few reader threads, and what is asked of them.

``SqliteStore`` and ``postgres.PostgresStore`` say how their database is reached and looked after.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from losswatch_server.codec import damage
from losswatch_server.monitor.entries import Attempt, Entry
from losswatch_server.store import changes, outline, queries, searching, summary_tree, windows
from losswatch_server.store.beside import are_many, beside
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.errors import RAW, ConnectionBrokenError, StoreClosedError, StoreLostError, failed_read
from losswatch_server.store.lanes import WriterLanes, Writing
from losswatch_server.store.probe import TRUSTED_S
from losswatch_server.store.record_rows import Key
from losswatch_server.store.rows import (
    Change,
    FindingFilter,
    NewEvent,
    RecordRow,
    RunCounts,
    RunFilter,
    RunFinding,
    RunOrder,
    RunRow,
    Snapshot,
    StoredEvent,
    StoredFinding,
    StoredRun,
)
from losswatch_server.store.sealing import SEAL_POINTS, seal, seal_all
from losswatch_server.store.windows import Source, Window
from losswatch_server.store.writer import GroupWriter
from losswatch_server.workers import Elsewhere

T = TypeVar("T")
READERS = 4
WAITING_WRITES = 2048
"""Most writes that wait; more are refused as busy. At 250 commits a second (a contended disk) and 256 writes to a
commit that is a wait of well under a second."""
LANES = 8
"""Writers of a store whose database is spread over nodes. A commit waits there for two servers: one writer answered 84
requests a second of 64 runs in 64 projects, four 175, eight 240, at the same processor time; in 8 projects 104, 144 and
358 (medians of three, on a busy machine)."""


class Notices:
    """What passes between services that share a database."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        """Set when there is something to tell."""

    def start(self) -> None:
        """Begin to listen."""

    async def close(self) -> None:
        """Stop listening."""

    async def tell(self) -> float | None:
        """One pass: tell the others of commits; the seconds until the next, unless ``wake`` is set."""
        return 60.0


class SqlStore(ABC):
    """See ``interface.Store``."""

    @property
    def is_shared(self) -> bool:
        """Whether other services may have the database open, too."""
        return False

    def __init__(self, waiting_writes: int, *, is_distributed: bool = False) -> None:
        make = partial(GroupWriter, self._connect_writer, waiting_writes, self._vouch, by_project=is_distributed)
        self._writer: Writing = WriterLanes(make, LANES) if is_distributed else make()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="losswatch-reader")
        self._connections: set[DatabaseConnection] = set()
        self._local = threading.local()
        self._growing = asyncio.Lock()
        self._closed = False
        self.elsewhere = Elsewhere(None, 1)
        """Takes what is long."""
        self.on_events: Callable[[], None] = lambda: None
        """Called after each commit of a run that left events in the outbox."""

    @abstractmethod
    async def check(self, trusted_s: float = TRUSTED_S) -> None:
        """Whether a write would be kept now. Raises the StoreError that it would raise.

        A write that was kept in the last ``trusted_s`` is answer enough.
        """

    @abstractmethod
    def close(self) -> None:
        """Commit what is waiting, close every connection. Blocks."""

    @abstractmethod
    def _connect_writer(self) -> DatabaseConnection: ...

    @abstractmethod
    def _open_reader(self) -> DatabaseConnection: ...

    @abstractmethod
    def _vouch(self) -> None:
        """Raises where what was committed is not to be relied on."""

    @abstractmethod
    async def empty_log(self) -> None:
        """Leave nothing that was deleted in a log of the database."""

    @property
    def work(self) -> tuple[int, int, int]:
        """Commits and writes since the start, and how many writes wait."""
        return self._writer.commits, self._writer.writes, self._writer.waiting

    def notices(self, heard: Callable[[], None]) -> Notices:
        """What tells other services of commits, and calls ``heard`` when they do. Here there are none."""
        return Notices()

    def _end(self) -> None:
        """Commit what is waiting, and close every connection."""
        self._closed = True
        self._writer.close()
        self._readers.shutdown()
        for connection in self._connections:
            connection.close()

    async def write(self, work: Callable[[DatabaseConnection], T]) -> T:
        """What ``work`` returns, once its changes survive a power loss; see GroupWriter.write."""
        return await self._writer.write(work)

    async def read(self, work: Callable[[DatabaseConnection], T]) -> T:
        """What ``work`` returns, run on a reader thread and on one state of the database throughout.

        Raises StoreUnreadableError, StoreClosedError, StoreLostError.
        """
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _check_open(self) -> None:
        """Raises StoreClosedError, StoreLostError."""
        if self._closed:
            raise StoreClosedError("The store is closed.")
        if self._writer.lost is not None:
            raise StoreLostError(str(self._writer.lost))

    async def _searched(self, key: Key, work: Callable[[DatabaseConnection], T]) -> T:
        """The same for what is found through the summaries of a run: damaged ones are made anew first."""
        try:
            return await self.read(work)
        except summary_tree.DamagedSummariesError as error:
            await self._forget_summaries(key, error)
            await self.summarise(*key)
            return await self.read(work)

    async def _forget_summaries(self, key: Key, error: Exception) -> None:
        damage.note("summaries of run", key, error)
        await self.write(partial(summary_tree.forget, key=key))

    def _read(self, work: Callable[[DatabaseConnection], T]) -> T:
        try:
            try:
                return self._read_once(work)
            except ConnectionBrokenError:  # of a connection that may have been idle for long; a new one tells more
                return self._read_once(work)
        except Exception as error:
            told = failed_read(error)
            if told is error:
                raise
            raise told from error

    def _read_once(self, work: Callable[[DatabaseConnection], T]) -> T:
        try:
            connection = self._reader()
            connection.execute(connection.dialect.begin_reading)
            value = work(connection)
            connection.execute("ROLLBACK")
        except Exception:
            self._drop_reader()
            raise
        return value

    def _reader(self) -> DatabaseConnection:
        """The connection of this thread."""
        connection: DatabaseConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open_reader()
            self._connections.add(connection)
            self._local.connection = connection
        return connection

    def _drop_reader(self) -> None:
        """The next read of this thread opens a connection anew: after a failure this one is not trusted."""
        connection: DatabaseConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            self._connections.discard(connection)
            with contextlib.suppress(*RAW):
                connection.close()

    @property
    def failing_since(self) -> tuple[float, str] | None:
        """Since when (seconds since 1970) nothing could be stored, and why; None where the last write was kept."""
        last = self._writer.last
        return None if last.failed_since is None else (last.failed_since, str(last.error))

    @property
    def lost(self) -> str | None:
        """Why the database is lost to this process; None where it is not."""
        return None if self._writer.lost is None else str(self._writer.lost)

    @property
    def writes(self) -> bool:
        """Whether the writer's thread is there."""
        return self._writer.is_alive

    async def apply(self, change: Change) -> None:
        await self._writer.apply(change)
        if change.events:
            self.on_events()

    async def mark_finding(
        self, key: tuple[str, str, str], column: str, value: float | None, event: NewEvent, run: str
    ) -> None:
        await self._writer.write(lambda connection: changes.mark_finding(connection, key, column, value, event, run))
        self.on_events()

    async def delete_run(self, run: RunRow, at: float, event: NewEvent) -> None:
        await self._writer.write(
            lambda connection: changes.delete(connection, run.project, run.uid, run.name, at, event)
        )
        self.on_events()

    async def find_run(self, project: str, name: str) -> StoredRun | None:
        return await self.read(lambda connection: queries.find_run(connection, project, name))

    async def still_numbered(self, run: StoredRun) -> bool:
        return await self.read(lambda connection: queries.still_numbered(connection, run))

    async def place_of(self, project: str, name: str) -> tuple[str, object, object] | None:
        return await self.read(lambda connection: queries.place_of(connection, project, name))

    async def run_of(self, project: str, uid: str) -> RunRow | None:
        return await self.read(lambda connection: queries.run_of(connection, project, uid))

    async def is_gone(self, project: str, name: str, writer: str) -> bool:
        return await self.read(lambda connection: queries.is_gone(connection, project, name, writer))

    async def list_runs(
        self, project: str, wanted: RunFilter, order: RunOrder, *, before: tuple[object, object] | None, limit: int
    ) -> list[RunRow]:
        return await self.read(lambda connection: queries.list_runs(connection, project, wanted, order, before, limit))

    async def projects(self) -> dict[str, RunCounts]:
        return await self.read(queries.projects)

    async def record_page(self, project: str, uid: str, first_seq: int, max_points: int) -> list[RecordRow]:
        return await self.read(lambda connection: queries.record_page(connection, project, uid, first_seq, max_points))

    async def standing_page(
        self, project: str, uid: str, cuts: Cuts, first_seq: int, max_points: int
    ) -> list[RecordRow]:
        return await self._searched(
            (project, uid),
            lambda connection: searching.standing_rows(connection, (project, uid), cuts, first_seq, max_points),
        )

    async def record_at(
        self, project: str, uid: str, steps: Sequence[int], first_seq: int, max_points: int
    ) -> list[RecordRow]:
        return await self._searched(
            (project, uid),
            lambda connection: searching.rows_at(connection, (project, uid), steps, first_seq, max_points),
        )

    async def last_main_step(self, project: str, uid: str, before: int) -> int | None:
        return await self._searched(
            (project, uid), lambda connection: searching.last_main_step(connection, (project, uid), before)
        )

    async def rank_tails(self, project: str, uid: str, attempts: Sequence[Attempt]) -> Mapping[int, int]:
        return await self._searched(
            (project, uid), lambda connection: searching.all_rank_tails(connection, (project, uid), attempts)
        )

    async def column_names(self, project: str, uid: str) -> set[str]:
        return await self._searched(
            (project, uid), lambda connection: searching.all_column_names(connection, (project, uid))
        )

    async def next_window(
        self, project: str, uid: str, sources: Sequence[Source], low: int, high: int, points: int
    ) -> Window | None:
        return await self._searched(
            (project, uid),
            lambda connection: windows.next_window(connection, (project, uid), sources, low, high, points),
        )

    async def count_between(self, project: str, uid: str, low: int, high: int) -> int:
        return await self._searched(
            (project, uid), lambda connection: outline.count_between(connection, (project, uid), low, high)
        )

    async def outline(
        self, project: str, uid: str, attempts: Sequence[Attempt], low: int, high: int, stretches: int
    ) -> list[Entry]:
        return await self._searched(
            (project, uid),
            lambda connection: outline.outline(connection, (project, uid), attempts, low, high, stretches),
        )

    async def snapshot_marks(self, project: str, uid: str) -> Sequence[tuple[int, int, int]]:
        return await self.read(lambda connection: queries.snapshot_marks(connection, project, uid))

    async def keep_snapshot(self, run: StoredRun, snapshot: Snapshot) -> bool:
        return await self.write(lambda connection: changes.keep_snapshot(connection, run, snapshot))

    async def snapshot(self, project: str, uid: str, seq: int) -> Snapshot | None:
        return await self.read(lambda connection: queries.snapshot(connection, project, uid, seq))

    async def findings(self, project: str, uid: str) -> list[StoredFinding]:
        return await self.read(lambda connection: queries.findings(connection, project, uid))

    async def project_findings(
        self, project: str, wanted: FindingFilter, before: tuple[object, object, object] | None, limit: int
    ) -> tuple[list[RunFinding], tuple[object, object, object] | None]:
        return await self.read(lambda connection: queries.project_findings(connection, project, wanted, before, limit))

    async def events(self, project: str | None, after: int, uid: str | None, limit: int) -> list[StoredEvent]:
        return await self.read(lambda connection: queries.events(connection, project, after, uid, limit))

    async def newest_event(self) -> int:
        return await self.read(queries.newest_event)

    async def seal(self, project: str, uid: str) -> None:
        # Compressed on a reader thread or in another process; the writer only swaps the rows, unless they changed
        # meanwhile.
        for old in await self.read(lambda connection: queries.unsealed_stretches(connection, project, uid)):
            if are_many(old):
                new = await beside(self.elsewhere, seal_all, b"", old)
            else:
                new = await asyncio.get_running_loop().run_in_executor(self._readers, seal, old)
            await self.write(partial(changes.swap_sealed, project=project, uid=uid, old=old, new=new))
        await self.summarise(project, uid)

    async def heard_since(self, project: str, uid: str | None, since: float) -> list[RunRow]:
        return await self.read(lambda connection: queries.heard_since(connection, project, uid, since))

    async def leads(self, work: str, seconds: float) -> bool:
        return True

    async def runs_to_seal(self) -> list[tuple[str, str]]:
        return await self.read(lambda connection: queries.runs_to_seal(connection, SEAL_POINTS))

    async def summarise(self, project: str, uid: str) -> None:
        # Summed up on a reader thread or in another process, a bounded stretch at a time; the writer only keeps what
        # came of it.
        key = (project, uid)
        while True:
            async with self._growing:
                try:
                    grown = await self._growth(key)
                    if grown is None or not await self.write(partial(summary_tree.grow, growth=grown)):
                        return
                except summary_tree.DamagedSummariesError as error:
                    await self._forget_summaries(key, error)

    async def _growth(self, key: Key) -> summary_tree.Growth | None:
        rest = await self.read(lambda connection: summary_tree.not_summed_up(connection, key))
        if rest is None:
            return None
        found = await self._summed_up(rest)
        if not found.leaves and rest.goes_on:  # all of these are damaged
            rest = await self.read(
                lambda connection: summary_tree.not_summed_up(connection, key, summary_tree.EVERYTHING)
            )
            found = found if rest is None else await self._summed_up(rest)
        if rest is None:
            return None
        given = rest
        return await self.read(lambda connection: summary_tree.growth(connection, given, found))

    async def _summed_up(self, rest: summary_tree.NotSummedUp) -> summary_tree.Leaves:
        if are_many(rest.rows):
            return await beside(self.elsewhere, summary_tree.summed_up, b"", rest)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, summary_tree.summed_up, b"", rest)
