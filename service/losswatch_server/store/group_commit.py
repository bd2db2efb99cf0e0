"""One commit of several writes, each of which may fail by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from losswatch_server.store import changes
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.errors import (
    RAW,
    REFUSED,
    CommitInDoubtError,
    ConnectionBrokenError,
    DatabaseError,
    TransactionOvertakenError,
    failed_write,
    is_io_error,
)
from losswatch_server.store.rows import Change


class Decided(asyncio.Future[Any]):
    """What becomes of a write. It can no longer be taken back: who waits for it and is cancelled still waits until it
    is decided, so that nobody reads the state in between."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Not possible; the task that waits is cancelled afterwards."""
        return False


class Job(NamedTuple):
    """``work`` is a Change that only appends, which is written together with others, or a function of its own."""

    work: Change | Callable[[DatabaseConnection], Any]
    loop: asyncio.AbstractEventLoop
    future: Decided
    change: Change | None = None
    """The Change that it writes, if it writes one."""

    @property
    def node(self) -> object:
        """What lies on one node for certain: a project. What a function writes is known to nobody."""
        return self.future if self.change is None else self.change.run.row.project


class WriteResult(NamedTuple):
    future: Decided
    value: Any
    error: Exception | None


def commit(connection: DatabaseConnection, group: list[Job]) -> list[WriteResult]:
    """Run every job, then commit them together; a failed commit fails all of them."""
    connection.execute(connection.dialect.begin)
    if len(group) > 1:
        changes.lock_runs(connection, [job.change for job in group if job.change is not None])
    together = _together(connection, group)
    results = [
        _kept(job) if together and isinstance(job.work, Change) else _run_alone(connection, job) for job in group
    ]
    try:
        connection.execute("COMMIT")
    except ConnectionBrokenError as error:
        raise CommitInDoubtError(f"the connection broke while it committed: {error}") from error
    except sqlite3.Error as error:
        # What the log has of it may be taken for whole after a crash, though the connection rolls it back.
        if is_io_error(error):
            raise CommitInDoubtError(f"it failed while it committed: {error}") from error
        raise
    return results


def _kept(job: Job, value: Any = None) -> WriteResult:
    return WriteResult(job.future, value, None)


def _together(connection: DatabaseConnection, group: Sequence[Job]) -> bool:
    """Write all changes that only append at once; False where that cannot be, and then nothing of them is written."""
    appends = [job.work for job in group if isinstance(job.work, Change)]
    try:
        if changes.append_together(connection, appends):
            return True
    except REFUSED:  # a row that is there already: found out one by one, whose it is
        pass
    connection.execute("ROLLBACK")
    connection.execute(connection.dialect.begin)
    return False


def _run_alone(connection: DatabaseConnection, job: Job) -> WriteResult:
    """Run one job in a savepoint of its own."""
    work = partial(changes.apply, change=job.work) if isinstance(job.work, Change) else job.work
    connection.execute("SAVEPOINT job")
    try:
        value = work(connection)
    except (TransactionOvertakenError, ConnectionBrokenError):
        raise
    except Exception as error:
        if not connection.in_transaction:  # a full disk may have ended the whole transaction
            if isinstance(error, RAW):
                raise
            raise DatabaseError(str(error)) from error
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return WriteResult(job.future, None, failed_write(error))
    connection.execute("RELEASE job")
    return _kept(job, value)
