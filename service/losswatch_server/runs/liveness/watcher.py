"""Watch: looks every few seconds at the runs that are under way, for those that fell silent or slowed down.

It decides on what the store says and asks the use cases to write the change, which they do only if the run was not
heard of meanwhile: several watches over one store do no harm.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from losswatch_server.runs.finding_changes import event
from losswatch_server.runs.liveness.rhythm import Rhythm
from losswatch_server.runs.liveness.silence_rule import SHORTEST_S, grace_s, is_given_up, silent_at
from losswatch_server.runs.liveness.speed import Pace
from losswatch_server.store.changes import add_event
from losswatch_server.store.errors import StoreError
from losswatch_server.store.queries import run_of
from losswatch_server.store.rows import NewEvent
from losswatch_server.store.running import RunningRow, SilentRow, running, silent
from losswatch_server.store.transactions import Transactions

logger = logging.getLogger(__name__)

TICK_S = 5.0
LONGEST_RETRY_S = 15.0
"""Between two tries where the store cannot be read: well under DEAF_S, so that a run keeps what it has of its grace."""
LONGEST_PAUSE_S = 15.0
"""However long a look takes: a run is found silent some seconds late, and not never."""
DEAF_S = 30.0
"""A tick that comes so much later than planned means that the process was stopped or its loop stalled: it may have
heard nobody."""

LEASE_S = 45.0
"""So long another service leaves the watch to the one that looked last: three of its longest pauses."""
GIVE_UP_EVERY_S = 300.0
"""Between two looks for silent runs that nobody waits for any more."""

SHARE = 20
"""At most one twentieth of the time goes into looking, however many runs there are."""

Key = tuple[str, str]


class SilenceMarker(Protocol):
    """The use case that the watch needs; ``Runs`` has it."""

    async def mark_silent(
        self, project: str, uid: str, at: float, last_seen: float, heard_at: float | None = None
    ) -> bool:
        """Write that a run fell silent, unless it was heard of after ``last_seen``, as the store says it.

        ``heard_at`` is when that was where the store cannot be right: it lies in the future.
        """
        ...

    async def give_up(self, project: str, uid: str, at: float) -> bool:
        """Write that nobody waits for a silent run any more."""
        ...


class Watch:
    """Call ``tick`` every few seconds, or let a supervisor call ``look``. Paces are relearnt after a restart."""

    def __init__(
        self,
        store: Transactions,
        runs: SilenceMarker,
        clock: Callable[[], float],
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._runs = runs
        self._clock = clock
        self._stopwatch = stopwatch
        self._planned_s = TICK_S
        self._listening_since = self._ticked_at = clock()
        self._paces: dict[Key, tuple[float, Pace]] = {}
        self._ahead: dict[Key, tuple[float, float]] = {}
        self._skipped: set[Key] = set()
        self._gave_up_at = clock()

    async def look(self) -> float:
        """Look once, where no other service does; after how many seconds to look again."""
        if not await self._store.leads("watch for silent runs", LEASE_S):
            self._has_woken_up(self._clock())
            return TICK_S
        began = self._stopwatch()
        await self.tick()
        took = self._stopwatch() - began
        pause = min(LONGEST_PAUSE_S, max(TICK_S, SHARE * took))
        self._planned_s = took + pause
        return pause

    async def tick(self) -> None:
        """Look once."""
        now = self._clock()
        woke_up = self._has_woken_up(now)
        rows = await self._store.read(running)
        heard = self._heard_at(rows, now)
        for row in rows:
            async with self._alone(row):
                heard_at = heard[row.project, row.uid]
                at = self._silent_at(row, heard_at, now)
                if at is not None and now >= at:
                    await self._runs.mark_silent(row.project, row.uid, now, row.last_seen_at, heard_at)
        for row in self._slowed(rows, woke_up):
            async with self._alone(row):
                await self._tell_slow(row, now)
        if not 0 <= now - self._gave_up_at < GIVE_UP_EVERY_S:
            self._gave_up_at = now
            await self._give_up(now)

    def _has_woken_up(self, now: float) -> bool:
        """Whether this service may have heard nobody since the last time."""
        woke_up = now - self._ticked_at > self._planned_s + DEAF_S
        if woke_up:
            self._listening_since = now
        self._ticked_at = now
        self._listening_since = min(self._listening_since, now)  # the clock may have been ahead when that was set
        return woke_up

    async def _give_up(self, now: float) -> None:
        for row in await self._store.read(silent):
            if is_given_up(row.since, row.replaced, now):
                async with self._alone(row):
                    await self._runs.give_up(row.project, row.uid, now)

    @contextlib.asynccontextmanager
    async def _alone(self, row: RunningRow | SilentRow) -> AsyncIterator[None]:
        """What is wrong with one run costs that run alone; what is wrong with the store is for whoever calls."""
        try:
            yield
        except StoreError:
            raise
        except Exception:
            key = (row.project, row.uid)
            if key not in self._skipped:
                self._skipped.add(key)
                logger.exception("run %s of project %s cannot be watched; the others are", row.uid, row.project)

    def _heard_at(self, rows: list[RunningRow], now: float) -> dict[Key, float]:
        """When each run was last heard of. What the store says of the future was written while the clock was ahead:
        then it was now or before, and the first look that finds it says when."""
        ahead: dict[Key, tuple[float, float]] = {}
        heard: dict[Key, float] = {}
        for row in rows:
            key = (row.project, row.uid)
            written, noticed = self._ahead.get(key, (None, now))
            if row.last_seen_at == written or row.last_seen_at > now:
                ahead[key] = (row.last_seen_at, noticed if row.last_seen_at == written else now)
            heard[key] = ahead[key][1] if key in ahead else row.last_seen_at
        self._ahead = ahead
        return heard

    def _silent_at(self, row: RunningRow, heard_at: float, now: float) -> float | None:
        if now < heard_at + SHORTEST_S:
            return None
        rhythm = Rhythm.unpack(row.rhythm)
        grace = grace_s(rhythm.requests, rhythm.gaps, row.expected_gap_s, rhythm.habit)
        return silent_at(heard_at, grace, row.paused_until, self._listening_since)

    def _slowed(self, rows: list[RunningRow], woke_up: bool) -> list[RunningRow]:
        """The runs that have just been found slow; brings all paces up to date."""
        paces: dict[Key, tuple[float, Pace]] = {}
        slowed: list[RunningRow] = []
        for row in rows:
            key = (row.project, row.uid)
            seen_at, pace = self._paces.get(key, (0.0, Pace()))
            if row.last_seen_at < seen_at - SHORTEST_S:  # the clock was ahead: its pace was measured with it
                seen_at, pace = 0.0, Pace()
            if row.step is not None and row.last_seen_at > seen_at:
                paused = row.paused_until is not None and row.paused_until >= seen_at > 0
                after = pace.seen(row.last_seen_at, row.step, interrupted=woke_up or paused)
                if after.is_slow and not pace.is_slow:
                    slowed.append(row)
                seen_at, pace = row.last_seen_at, after
            paces[key] = (seen_at, pace)
        self._paces = paces
        return slowed

    async def _tell_slow(self, row: RunningRow, now: float) -> None:
        pace = self._paces[row.project, row.uid][1]
        run = await self._store.read(lambda connection: run_of(connection, row.project, row.uid))
        if run is None:
            return
        told = event("run.slow", now, run)
        notice = (
            f"The run has slowed down to {_speed(pace.now)}; before it made {_speed(pace.slow_from or 0.0)}. "
            "Look for another job on the same machine, or a slow disk or network."
        )
        body = json.dumps({**json.loads(told.body), "notice": notice}, ensure_ascii=False).encode()
        slow = NewEvent(told.kind, told.at, None, body)
        await self._store.write(lambda connection: add_event(connection, row.project, row.uid, run.name, slow))


def _speed(steps_per_s: float) -> str:
    if steps_per_s >= 1:
        return f"{steps_per_s:.3g} steps a second"
    if steps_per_s * 60 >= 1:
        return f"{steps_per_s * 60:.3g} steps a minute"
    return f"{steps_per_s * 3600:.3g} steps an hour"
