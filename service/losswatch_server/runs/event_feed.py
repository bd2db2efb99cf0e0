"""What happens to runs, told to whoever listens: each event of the outbox once, and how each changed run now stands.

One job serves all listeners. It sleeps while nobody listens or nothing happens, and passes at most once a second: it
reads the new events of the outbox and takes the runs that changed since, and gives both to every listener whose they
are. A listener who does not keep up loses what waits for it and is told to read everything again (``reset``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from losswatch_server.monitor.points import Point
from losswatch_server.store.rows import RunRow, StoredEvent

TICK_S = 1.0
"""Seconds between two passes: a run that posts a thousand times a second is told of once."""
WAITING = 1000
"""Tidings that wait for one listener before they are dropped for a ``reset``."""
PAGE = 500
IDLE_S = 60.0
LOOK_S = 2.0
"""Seconds between two passes where other services change runs, and none of them says so."""
HEARD_S = 15.0
"""So far back they are looked for: their clocks may be behind."""
MOST_MISSED = 5000
"""Events that are told to a listener who returns; one who missed more reads everything again sooner."""

ReadEvents = Callable[[str | None, int, str | None, int], Awaitable[list[StoredEvent]]]
"""Events of a project (None: all) with an id above one, of one run by its uid (None: all), at most so many."""


LookAtRuns = Callable[[str, str | None, float], Awaitable[list[RunRow]]]
"""The run of this uid, or (None) those under way in the project that were heard of since."""


@dataclass(eq=False, slots=True)
class Tidings:
    """One thing that listeners are told, all of them the same object. ``id`` is where they can go on from; None where
    that is no such place. ``last``: the newest point of a run, where it came to this service."""

    what: StoredEvent | RunRow | Literal["hello", "reset"]
    id: int | None = None
    last: Point | None = None
    written: bytes | None = None
    """As it goes over the line, from the first listener on who is told: written for each, it was half of what a hundred
    listeners cost."""


@dataclass(eq=False, slots=True)
class _Listener:
    project: str
    uid: str | None
    waiting: deque[Tidings] = field(default_factory=deque)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def is_of(self, project: str, uid: str) -> bool:
        return self.project == project and self.uid in (None, uid)

    def tell(self, tidings: Tidings) -> None:
        if len(self.waiting) >= WAITING:
            self.waiting.clear()
            tidings = Tidings("reset", tidings.id)
        self.waiting.append(tidings)
        self.woken.set()


class EventFeed:
    """``read`` reads the outbox, ``newest`` the id of its last event. Where other services change runs too, ``look``
    finds those."""

    def __init__(
        self,
        read: ReadEvents,
        newest: Callable[[], Awaitable[int]],
        *,
        look: LookAtRuns | None = None,
        clock: Callable[[], float] = time.time,
        tick_s: float = TICK_S,
    ) -> None:
        self._read = read
        self._newest = newest
        self._look = look
        self._clock = clock
        self._told: dict[str, tuple[object, ...]] = {}
        self._tick_s = tick_s
        self._listeners: set[_Listener] = set()
        self._changed: dict[str, tuple[RunRow, Point | None]] = {}
        self.wake = asyncio.Event()
        """Set when there is something to pass on."""
        self._read_up_to: int | None = None
        self._stopping = asyncio.Event()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def changed(self, row: RunRow, last: Point | None = None) -> None:
        """A run was committed; its newest point is ``last`` where the caller knows it. Costs nothing while nobody
        listens: this is on the hot path."""
        if self._listeners:
            self._changed[row.uid] = row, last
            self.wake.set()

    def close(self) -> None:
        """Let every listener go, and take no more: open streams would keep the service from stopping."""
        self._stopping.set()
        for listener in self._listeners:
            listener.woken.set()

    async def listen(
        self, project: str, uid: str | None = None, *, after: int | None = None, quiet_s: float = 15.0
    ) -> AsyncIterator[list[Tidings]]:
        """What happens to the runs of a project, or to one run, from now on; an empty list after ``quiet_s`` without.

        ``after`` is the id of the last event that the listener knows: what happened since comes first. The end of the
        iterator is the end of the service. First of all comes ``hello`` with the place to go on from, or ``reset``
        where what was missed cannot be told any more.
        """
        if self._stopping.is_set():
            return
        newest = self._read_up_to if self._read_up_to is not None else await self._newest()
        if self._read_up_to is None:  # nobody else came meanwhile
            self._read_up_to = newest
        known = self._read_up_to
        listener = _Listener(project, uid)
        self._listeners.add(listener)
        try:
            missed, start = await self._missed(project, uid, after, known)
            yield [Tidings(start, known), *missed]
            while not self._stopping.is_set():
                if not listener.waiting:
                    listener.woken.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(quiet_s):  # wait_for makes a task each time
                            await listener.woken.wait()
                if self._stopping.is_set():
                    return
                told, listener.waiting = list(listener.waiting), deque()
                yield told
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._changed.clear()
                self._told.clear()
                self._read_up_to = None

    async def _missed(
        self, project: str, uid: str | None, after: int | None, up_to: int
    ) -> tuple[list[Tidings], Literal["hello", "reset"]]:
        """What happened after ``after`` and up to ``up_to``, or that it cannot be told: forgotten, or too much."""
        if after is None or after == up_to:
            return [], "hello"
        first = await self._read(None, after, None, 1)
        if after > up_to or (first and first[0].id != after + 1):
            return [], "reset"
        missed: list[Tidings] = []
        while after < up_to:
            page = await self._read(project, after, uid, PAGE)
            missed += [Tidings(event, event.id) for event in page if event.id <= up_to]
            if len(missed) > MOST_MISSED:
                return [], "reset"
            if len(page) < PAGE:
                break
            after = page[-1].id
        return missed, "hello"

    async def pass_on(self) -> float:
        """One pass; the seconds until the next, unless ``wake`` is set sooner."""
        start = self._read_up_to
        if start is None:
            return IDLE_S
        page = await self._read(None, start, None, PAGE)
        if self._read_up_to != start:  # all left meanwhile, and others came
            return 0.0
        changed, self._changed = self._changed, {}
        if self._look is not None:
            changed = {**await self._changed_elsewhere(self._look), **changed}
            self._told |= {uid: _standing(row) for uid, (row, _) in changed.items()}
        for event in page:
            self._read_up_to = event.id
            self._tell(event.project, event.uid, Tidings(event, event.id))
            if event.kind == "run.deleted":
                changed.pop(event.uid, None)
        for row, last in changed.values():
            self._tell(row.project, row.uid, Tidings(row, last=last))
        if len(page) == PAGE:
            return 0.0
        if page or changed:
            await asyncio.sleep(self._tick_s)
        return IDLE_S if self._look is None else LOOK_S

    async def _changed_elsewhere(self, look: LookAtRuns) -> dict[str, tuple[RunRow, None]]:
        """The runs that somebody listens to and that stand otherwise than was told last."""
        since = self._clock() - HEARD_S
        found: dict[str, tuple[RunRow, None]] = {}
        for project, uid in {(listener.project, listener.uid) for listener in self._listeners}:
            for row in await look(project, uid, since):
                if self._told.get(row.uid) != _standing(row):
                    found[row.uid] = row, None
        return found

    def _tell(self, project: str, uid: str, tidings: Tidings) -> None:
        for listener in self._listeners:
            if listener.is_of(project, uid):
                listener.tell(tidings)


def _standing(row: RunRow) -> tuple[object, ...]:
    return row.version, row.state, row.status, row.last_seen_at
