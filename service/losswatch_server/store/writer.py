"""The one writer: a thread that lets many writes share one durable commit.

While a commit waits for the disk the next writes gather in the queue; the next commit takes all of them. So one
client alone pays one fsync per request, and 64 clients share a few: on the machine where this was measured, 7.1
instead of 2.6 thousand answers a second. What one turn of the event loop brings is handed over at its end, at once:
handed over one by one the first would be committed alone, and the thread woken for each.

Where the tables are spread over several nodes by project, a commit holds the writes to one project alone: one that
spans nodes is prepared on each of them first, and holds its rows for as long as that takes.

Whatever goes wrong with a group, its callers are told and the thread lives on, with a new connection where the old
one may no longer be trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from losswatch_server.store import changes
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.errors import (
    RAW,
    CommitInDoubtError,
    ConnectionBrokenError,
    StoreBusyError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreFailedError,
    StoreLostError,
    TransactionOvertakenError,
    failed_write,
)
from losswatch_server.store.group_commit import Decided, Job, WriteResult, commit
from losswatch_server.store.rows import Change

T = TypeVar("T")
logger = logging.getLogger(__name__)

GROUP = 256
"""Most writes in one commit: bounds how long the first of a group waits for the last."""
TRIES = 5
"""Times that a group is run while other transactions are in its way: two that locked each other cost one of them a
second try, seldom a third."""
HELD_AGAINST_S = 15.0
"""Points that could not be kept say so long that nothing can be, whatever else is written meanwhile: room for one small
row is none for those of a run. Longer than the ten seconds after which who is told so comes again."""
BREATH_S = 0.1
"""After a failure without memory, before the result is handed over once more."""


class Committed(NamedTuple):
    """How the last commit ended, ``at`` seconds of the monotonic clock; ``failed_since`` (seconds since 1970) and
    ``error`` where it and those before it failed."""

    at: float
    failed_since: float | None = None
    error: Exception | None = None
    of_points: bool = False
    """Whether it was the points of a run that could not be kept."""

    @property
    def tells_of_all(self) -> bool:
        """Whether points failed so lately that nothing else that is kept says more."""
        return self.of_points and time.monotonic() - self.at < HELD_AGAINST_S


class GroupWriter:
    """Runs writes one after another on its own thread and connection; answers after their common COMMIT.

    ``vouch`` is called after each COMMIT, before anybody is told: what it raises is told instead. A StoreLostError
    of it is for good. With ``by_project`` each project has a COMMIT of its own.
    """

    def __init__(
        self,
        connect: Callable[[], DatabaseConnection],
        capacity: int,
        vouch: Callable[[], None] = lambda: None,
        *,
        by_project: bool = False,
    ) -> None:
        self._connect = connect
        self._capacity = capacity
        self._vouch = vouch
        self._by_project = by_project
        self._connection: DatabaseConnection | None = None
        self._doubtful: DatabaseConnection | None = None
        self._arriving: list[Job] = []
        """What the loop's turn under way has brought."""
        self._handing_over: asyncio.AbstractEventLoop | None = None
        """The loop at the end of whose turn that is handed over."""
        self._jobs: deque[Job] = deque()
        self._asleep = False
        self._bell: SimpleQueue[None] = SimpleQueue()
        """Rung when the thread is asleep and there is something to do: jobs, or to end."""
        self._taking = threading.Lock()
        self._closing = False
        self.lost: StoreLostError | None = None
        self.last = Committed(time.monotonic())
        self.commits = 0
        self.writes = 0
        """Since the start: how many share a commit is what both tell together."""
        self._thread = threading.Thread(target=self._run, name="losswatch-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        return len(self._jobs) + len(self._arriving)

    @property
    def is_alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    async def write(self, work: Callable[[DatabaseConnection], T]) -> T:
        """What ``work`` returns, after its COMMIT. An error of ``work`` undoes its own changes alone.

        Raises StoreBusyError, StoreClosedError, StoreFailedError, StoreConflictError, StoreLostError. A caller that is
        cancelled meanwhile ends only when it is decided.
        """
        value: T = await self._take(work)
        return value

    async def apply(self, change: Change) -> None:
        """Write a Change, in the same way."""
        if change.only_appends:
            await self._take(change, change)
        else:
            await self._take(partial(changes.apply, change=change), change)

    def _take(self, work: Change | Callable[[DatabaseConnection], Any], change: Change | None = None) -> Decided:
        loop = asyncio.get_running_loop()
        decision = Decided(loop=loop)
        with self._taking:  # nothing may follow the end
            if self._closing:
                raise StoreClosedError("The store is closed.")
            if len(self._jobs) + len(self._arriving) >= self._capacity:
                raise StoreBusyError(f"{self._capacity} writes are waiting already.")
            self._arriving.append(Job(work, loop, decision, change))
            if self._handing_over is not loop:
                self._handing_over = loop
                loop.call_soon(self._turn_over)
        return decision

    def _turn_over(self) -> None:
        """Hand what has arrived over to the thread."""
        with self._taking:
            self._handing_over = None
            self._wake()

    def _wake(self) -> None:
        self._jobs += self._arriving
        self._arriving.clear()
        if self._asleep:
            self._asleep = False
            self._bell.put(None)

    def close(self) -> None:
        """Commit what is waiting, then stop. Blocks until then."""
        with self._taking:
            self._closing = True
            self._wake()
        self._thread.join()

    def _run(self) -> None:
        group: list[Job] = []
        try:
            ended = False
            while not ended:
                group = []
                try:
                    ended = self._gather(group)
                    parts = self._parts(group)
                except Exception as error:  # noqa: BLE001 - as below
                    self._hand_over(group, self._all_failed(group, error))
                    continue
                for part in parts:
                    try:
                        results = self._written(part)
                    except Exception as error:  # noqa: BLE001 - a thread that ends here lets every later write hang
                        self._doubt()
                        results = self._all_failed(part, error)
                    self._hand_over(part, results)
        except BaseException:
            with self._taking:
                self._closing = True
                group += self._jobs
                group += self._arriving
                self._jobs.clear()
                self._arriving.clear()
            self._hand_over(group, self._all_failed(group, StoreClosedError("The writer has ended.")))
            raise
        finally:
            for connection in (self._connection, self._doubtful):
                if connection is not None:
                    connection.close()

    def _gather(self, group: list[Job]) -> bool:
        """Put what is waiting into ``group``, once there is something; whether the end was reached."""
        jobs = self._jobs
        with self._taking:
            self._asleep = asleep = not jobs and not self._closing
        if asleep:
            self._bell.get()
        while jobs and len(group) < GROUP:
            group.append(jobs.popleft())
        with self._taking:
            return self._closing and not jobs

    def _parts(self, group: list[Job]) -> Collection[list[Job]]:
        """What shares a commit. In the order of the first of each."""
        if not self._by_project:
            return (group,)
        parts: dict[object, list[Job]] = {}
        for job in group:
            parts.setdefault(job.node, []).append(job)
        return parts.values()

    def _written(self, group: list[Job]) -> list[WriteResult]:
        if not group:
            return []
        if self.lost is not None:
            return self._all_failed(group, StoreLostError(str(self.lost)))
        connection, results = self._committed(group)
        self.commits += 1
        self.writes += len(group)
        try:
            self._vouch()
        except RAW as error:
            raise CommitInDoubtError(f"what became of the file cannot be told: {error}") from error
        refused = [result.error for result in results if isinstance(result.error, StoreFailedError)]
        if refused:  # a page that could not be read stays in the connection's cache, also when the file is whole again
            self._connection, self._doubtful = None, connection
        points = [result.error for job, result in zip(group, results, strict=True) if job.change is not None]
        if points and all(_is_for_want_of_room(error) for error in points):
            self._note(points[0], of_points=True)
        else:
            failure = refused[0] if len(refused) == len(results) else None
            self._note(failure, of_points=failure is None and None in points)
        return results

    def _committed(self, group: list[Job]) -> tuple[DatabaseConnection, list[WriteResult]]:
        """Run the group, and again where another transaction was in the way, or (once) the connection had broken
        before its COMMIT went out: nothing of it was kept then."""
        tries, reconnected = 1, False
        while True:
            try:
                connection = self._connected()
                return connection, commit(connection, group)
            except TransactionOvertakenError:
                if tries == TRIES:
                    raise
                tries += 1
            except ConnectionBrokenError:
                if reconnected:
                    raise
                reconnected = True
            self._doubt()

    def _note(self, error: Exception | None, *, of_points: bool) -> None:
        last, at = self.last, time.monotonic()
        if error is None and last.tells_of_all and not of_points:
            return
        if error is not None and last.error is None and not isinstance(error, StoreLostError):  # that is told already
            logger.error("Nothing can be written: %s", error)
        if error is None and last.error is not None:
            logger.info("Writing works again.")
        if error is None:
            self.last = Committed(at)
        else:
            since = time.time() if last.failed_since is None else last.failed_since
            self.last = Committed(at, since, error, of_points or last.of_points)

    def _connected(self) -> DatabaseConnection:
        if self._connection is None:
            # The new one is opened before the old one is closed: with the last connection SQLite takes away the log.
            self._connection = self._connect()
            if self._doubtful is not None:
                with contextlib.suppress(*RAW):
                    self._doubtful.close()
                self._doubtful = None
        return self._connection

    def _doubt(self) -> None:
        """Roll back, and replace the connection before the next write: what it has cached may be what failed."""
        connection = self._connection
        if connection is None:
            return
        self._connection, self._doubtful = None, connection
        with contextlib.suppress(*RAW):
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _all_failed(self, group: list[Job], error: Exception) -> list[WriteResult]:
        told = failed_write(error)
        if isinstance(told, StoreLostError) and self.lost is None:
            self.lost = told
            logger.critical("%s Nothing is stored any more: the service must be started again.", told)
        if not isinstance(told, StoreError):
            told = StoreFailedError(f"The write ended unexpectedly: {type(error).__name__}: {error}")
            logger.error("%s", told)
        self._note(told, of_points=_is_for_want_of_room(told) and any(job.change is not None for job in group))
        return [WriteResult(job.future, None, told) for job in group]

    def _hand_over(self, group: list[Job], results: list[WriteResult]) -> None:
        """Tell the callers, on their loops. Without memory it is tried until it is done: nobody may wait for ever."""
        for loop in {job.loop for job in group}:
            while not loop.is_closed():
                try:
                    mine = [result for job, result in zip(group, results, strict=True) if job.loop is loop]
                    loop.call_soon_threadsafe(_settle, mine)
                except RuntimeError:  # the loop was closed in between
                    break
                except MemoryError:
                    time.sleep(BREATH_S)
                else:
                    break


def _is_for_want_of_room(error: Exception | None) -> bool:
    """Whether a write failed for what others would meet, too. Damage is of what that one had to read."""
    return isinstance(error, StoreFailedError) and not isinstance(error, StoreDamagedError)


def _settle(results: list[WriteResult]) -> None:
    for future, value, error in results:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
