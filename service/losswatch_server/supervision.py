"""The one supervisor of all work in the background: nothing of it ends unseen, and what fails is tried again.

A job is a coroutine function that does one pass and returns the seconds until the next, or None when all is done.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Between two tries of a pass that fails: doubled each time up to here, then cut by up to a half at random."""

OVERDUE_S = 300.0
"""A pass that takes longer hangs, as far as anybody can tell."""

Pass = Callable[[], Awaitable[float | None]]


@dataclass(frozen=True, slots=True)
class NotRunning:
    """A job that does not do its work, ``since`` when (seconds since 1970), and why."""

    name: str
    since: float
    why: str


@dataclass(slots=True)
class _Supervised:
    name: str
    work: Pass
    wake: asyncio.Event | None
    longest_pause_s: float
    failures: int = 0
    """In all, for the metrics."""
    streak: int = 0
    """Without a pass that succeeded in between."""
    since: float = 0.0
    why: str = ""
    told: set[str] = field(default_factory=set)
    began: float | None = None
    """When the pass under way began, on the monotonic clock."""
    done: bool = False
    task: asyncio.Task[None] | None = None


class Supervisor:
    """Runs jobs until ``stop``. ``tell`` makes of an error what is logged and shown of it."""

    def __init__(
        self,
        *,
        tell: Callable[[BaseException], str] | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep,
    ) -> None:
        self._tell = tell or told
        self._rng = rng or random.Random()
        self._clock = clock
        self._sleep = sleep
        self._jobs: dict[str, _Supervised] = {}
        self._probes: dict[str, Callable[[], tuple[float, str] | None]] = {}

    def start(
        self, name: str, work: Pass, wake: asyncio.Event | None = None, *, longest_pause_s: float = LONGEST_PAUSE_S
    ) -> None:
        """Begin a job. ``wake`` ends the pause after a pass that succeeded; it is cleared before each pass."""
        if name in self._jobs and not self._jobs[name].done:
            raise ValueError(f"{name} is running already")
        job = self._jobs[name] = _Supervised(name, work, wake, longest_pause_s)
        job.task = asyncio.get_running_loop().create_task(self._run(job), name=name)

    def watch(self, name: str, probe: Callable[[], tuple[float, str] | None]) -> None:
        """Let work that runs elsewhere, in a thread, be seen here: ``probe`` says since when it fails and why."""
        self._probes[name] = probe

    async def stop(self) -> None:
        """End every job, and wait until all have ended."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._jobs.clear()
        self._probes.clear()

    @property
    def failures(self) -> dict[str, int]:
        """How many passes of each job have failed since the start."""
        return {job.name: job.failures for job in self._jobs.values()}

    @property
    def names(self) -> list[str]:
        """Everything that is supervised."""
        return [*self._jobs, *self._probes]

    def not_running(self) -> list[NotRunning]:
        """What does not do its work now."""
        found = [state for job in self._jobs.values() if (state := self._state(job)) is not None]
        for name, probe in self._probes.items():
            failing = probe()
            if failing is not None:
                found.append(NotRunning(name, *failing))
        return found

    def _state(self, job: _Supervised) -> NotRunning | None:
        if job.done:
            return None
        if job.task is not None and job.task.done():
            return NotRunning(job.name, job.since, job.why or "it ended")
        if job.streak:
            return NotRunning(job.name, job.since, job.why)
        under_way = 0.0 if job.began is None else time.monotonic() - job.began
        if under_way > OVERDUE_S:
            return NotRunning(job.name, self._clock() - under_way, f"one pass has taken {under_way:.0f} s so far")
        return None

    async def _run(self, job: _Supervised) -> None:
        try:
            while not job.done:
                await self._once(job)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            job.since, job.why = self._clock(), self._tell(error)
            logger.critical("%s has ended: %s", job.name, job.why)
            raise

    async def _once(self, job: _Supervised) -> None:
        if job.wake is not None:
            job.wake.clear()
        job.began = time.monotonic()
        try:
            pause = await job.work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            pause = self._failed(job, error)  # something that the pass waited for was cancelled, not the job
        except Exception as error:  # noqa: BLE001 - whatever it is, the next pass may succeed
            pause = self._failed(job, error)
        else:
            self._succeeded(job)
            if pause is None:
                job.done = True
                return
            await self._rest(job, pause)
            return
        finally:
            job.began = None
        await self._sleep(pause)

    async def _rest(self, job: _Supervised, pause: float) -> None:
        job.began = None
        if job.wake is None:
            await self._sleep(pause)
            return
        try:
            async with asyncio.timeout(pause):
                await job.wake.wait()
        except TimeoutError:
            return

    def _failed(self, job: _Supervised, error: BaseException) -> float:
        """Note a failure, log it if it says something new; the pause before the next try."""
        if not job.streak:
            job.since = self._clock()
        job.failures += 1
        job.streak += 1
        job.why = self._tell(error)
        kind = type(error).__name__
        if kind not in job.told:
            job.told.add(kind)
            logger.error("%s failed and is tried again: %s", job.name, job.why)
        longest = min(job.longest_pause_s, FIRST_PAUSE_S * 2.0 ** min(job.streak - 1, 16))
        return longest * self._rng.uniform(0.5, 1.0)

    def _succeeded(self, job: _Supervised) -> None:
        if job.streak:
            took = self._clock() - job.since
            logger.warning("%s works again, after %d failures in %.0f s", job.name, job.streak, took)
            job.streak, job.why = 0, ""
            job.told.clear()


def told(error: BaseException) -> str:
    """What an error says, and where it was raised: enough to find it, without values that a traceback may show."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" ({Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno})"
    return f"{type(error).__name__}: {error}{where}" if str(error) else f"{type(error).__name__}{where}"
