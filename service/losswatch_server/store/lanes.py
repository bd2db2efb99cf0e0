"""Several writers side by side, for a database that is spread over nodes: each has the projects that fall to it.

There a commit holds the writes to one project, and takes a way to the node and back for each of its statements. So
one writer alone would make many projects wait for one another, while its process has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.errors import StoreLostError
from losswatch_server.store.rows import Change
from losswatch_server.store.writer import Committed, GroupWriter

T = TypeVar("T")


class Writing(Protocol):
    """What ``GroupWriter`` does, alone or as one of several."""

    @property
    def commits(self) -> int:
        """Commits since the start."""
        ...

    @property
    def writes(self) -> int:
        """Writes since the start."""
        ...

    @property
    def lost(self) -> StoreLostError | None:
        """Why the database is lost to this process."""
        ...

    @property
    def last(self) -> Committed:
        """How the last commit ended."""
        ...

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether every thread is there."""
        ...

    def write(self, work: Callable[[DatabaseConnection], T]) -> Coroutine[Any, Any, T]:
        """See GroupWriter."""
        ...

    def apply(self, change: Change) -> Coroutine[Any, Any, None]:
        """See GroupWriter."""
        ...

    def close(self) -> None:
        """See GroupWriter."""
        ...


class WriterLanes:
    """``count`` writers that ``make`` makes. What is no Change of a run is written by the first."""

    def __init__(self, make: Callable[[], GroupWriter], count: int) -> None:
        self._lanes = [make() for _ in range(count)]

    @property
    def commits(self) -> int:
        """Of all together."""
        return sum(lane.commits for lane in self._lanes)

    @property
    def writes(self) -> int:
        """Of all together."""
        return sum(lane.writes for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """How many writes wait, in all of them."""
        return sum(lane.waiting for lane in self._lanes)

    @property
    def is_alive(self) -> bool:
        """Whether every thread is there."""
        return all(lane.is_alive for lane in self._lanes)

    @property
    def lost(self) -> StoreLostError | None:
        """See GroupWriter."""
        return next((lane.lost for lane in self._lanes if lane.lost is not None), None)

    @property
    def last(self) -> Committed:
        """How the last commit ended; where some fail, that of the one that has failed for longest."""
        failing = [lane.last for lane in self._lanes if lane.last.error is not None]
        if failing:
            return min(failing, key=lambda last: last.failed_since or 0.0)
        return max((lane.last for lane in self._lanes), key=lambda last: last.at)

    def write(self, work: Callable[[DatabaseConnection], T]) -> Coroutine[Any, Any, T]:
        """See GroupWriter."""
        return self._lanes[0].write(work)

    def apply(self, change: Change) -> Coroutine[Any, Any, None]:
        """See GroupWriter. The changes of a project keep their order."""
        return self._lanes[hash(change.run.row.project) % len(self._lanes)].apply(change)

    def close(self) -> None:
        """Commit what is waiting, then stop. Blocks until then."""
        for lane in self._lanes:
            lane.close()
