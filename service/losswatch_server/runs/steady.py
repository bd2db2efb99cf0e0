"""Reading a run in several reads, between which retention may thin it: its record is numbered anew then.

What was read of the one numbering says nothing of the other. So who has read asks whether the numbering still holds,
and reads again where it does not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from losswatch_server.runs.answers import RunNotFoundError
from losswatch_server.runs.walk import Passage, Place, passages
from losswatch_server.store import RunMovedError, Store
from losswatch_server.store.rows import StoredRun

T = TypeVar("T")
Find = Callable[[], Awaitable[StoredRun]]
"""Gives the run as it is stored now, or raises RunNotFoundError."""

TRIES = 3
"""A run is thinned once after each end: twice while it is read is a clock that jumps."""
_EVERY_RANK = 1 << 62


async def steadily(store: Store, find: Find, read: Callable[[StoredRun], Awaitable[T]]) -> T:
    """What ``read`` makes of the run that ``find`` gives, all of it from one numbering. Raises RunMovedError."""
    for _ in range(TRIES):
        run = await find()
        try:
            found = await read(run)
        except Exception:
            if await store.still_numbered(run):
                raise
            continue
        if await store.still_numbered(run):
            return found
    raise RunMovedError(f"Run {run.row.name!r} changes faster than it can be read.")


async def whole_passages(
    store: Store, run: StoredRun, find: Find, *, low: int, high: int, attempt: int | None
) -> AsyncIterator[Passage]:
    """``passages`` of the run from its beginning to its end; where it is thinned on the way, the rest is what is left.

    Raises RunNotFoundError where it is deleted on the way: the rest is gone, and that is no end of the series.
    """
    uid = run.row.uid
    after: Place | None = None
    while True:
        async for passage in passages(store, run, low=low, high=high, attempt=attempt, after=after):
            if not await store.still_numbered(run):
                break
            yield passage
            after = Place(passage.attempt, passage.window.high, _EVERY_RANK, True)
        else:
            if await store.still_numbered(run):
                return
        run = await find()
        if run.row.uid != uid:
            raise RunNotFoundError(f"Run {run.row.name!r} is another one by now.")
