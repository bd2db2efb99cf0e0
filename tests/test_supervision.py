"""The supervisor: work in the background goes on after any failure, and a failure is seen as long as it lasts."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import pytest

from losswatch_server.supervision import LONGEST_PAUSE_S, Supervisor


class Time:
    """A clock that moves when somebody sleeps; ``until`` runs the supervisor until something holds."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def supervisor(self) -> Supervisor:
        return Supervisor(rng=random.Random(1), clock=lambda: self.now, sleep=self.sleep)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - one turn of the loop after another, on a clock of its own
            await asyncio.sleep(0)


ERRORS = [
    OSError(5, "Input/output error"),
    MemoryError(),
    ValueError("a bug"),
    RecursionError(),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_pass_that_fails_in_any_way_is_done_again(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        time, passes = Time(), 0

        async def work() -> float:
            nonlocal passes
            passes += 1
            if passes <= 12:
                raise error
            return 5.0

        supervisor = time.supervisor()
        supervisor.start("looking", work)
        await until(lambda: passes == 12)
        (failing,) = supervisor.not_running()
        assert (failing.name, failing.since) == ("looking", 1_000.0)
        assert type(error).__name__ in failing.why
        await until(lambda: passes == 14)
        assert supervisor.not_running() == []
        assert supervisor.failures == {"looking": 12}
        pauses = time.slept[:12]
        assert all(0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses[:6])), pauses
        assert all(0.5 * LONGEST_PAUSE_S <= pause <= LONGEST_PAUSE_S for pause in pauses[6:]), pauses
        await supervisor.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"], "once, and once when it works again"
    assert "after 12 failures" in caplog.text


def test_another_kind_of_failure_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        errors = [OSError("disk"), OSError("disk again"), KeyError("bug"), OSError("disk"), KeyError("bug")]
        left = list(errors)

        async def work() -> float:
            if left:
                raise left.pop(0)
            return 5.0

        supervisor = Time().supervisor()
        supervisor.start("looking", work)
        await until(lambda: not left and not supervisor.not_running())
        await supervisor.stop()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scene())
    assert ["OSError" in r.getMessage() for r in caplog.records] == [True, False]


def test_a_wake_ends_the_pause_and_one_that_comes_during_a_pass_is_not_lost() -> None:
    async def scene() -> None:
        wake, passes = asyncio.Event(), 0

        async def work() -> float:
            nonlocal passes
            passes += 1
            if passes == 2:
                wake.set()
            return 3600.0

        supervisor = Supervisor()
        supervisor.start("sending", work, wake)
        await until(lambda: passes == 1)
        wake.set()
        await until(lambda: passes == 3)
        await supervisor.stop()

    asyncio.run(scene())


def test_a_job_that_is_done_is_not_missed() -> None:
    async def scene() -> None:
        async def work() -> None:
            return None

        supervisor = Supervisor()
        supervisor.start("once", work)
        for _ in range(5):
            await asyncio.sleep(0)
        assert supervisor.not_running() == []
        supervisor.start("once", work)
        await supervisor.stop()

    asyncio.run(scene())


def test_a_pass_that_hangs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async def work() -> float:
            await asyncio.Event().wait()
            return 1.0

        supervisor = Supervisor()
        supervisor.start("hanging", work)
        await asyncio.sleep(0)
        assert supervisor.not_running() == []
        monkeypatch.setattr("losswatch_server.supervision.OVERDUE_S", -1.0)
        assert [found.name for found in supervisor.not_running()] == ["hanging"]
        await supervisor.stop()

    asyncio.run(scene())


def test_stopping_ends_jobs_wherever_they_are() -> None:
    async def scene() -> None:
        ended: list[str] = []

        hanging = asyncio.Event()

        async def hangs() -> float:
            hanging.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("hangs")
            return 1.0

        async def fails() -> float:
            raise OSError

        async def rests() -> float:
            return 3600.0

        supervisor = Supervisor()
        for work in (hangs, fails, rests):
            supervisor.start(work.__name__, work)
        async with asyncio.timeout(60):
            await hanging.wait()
            await supervisor.stop()
        assert ended == ["hangs"]

    asyncio.run(scene())


def test_work_elsewhere_is_seen_through_its_probe() -> None:
    async def scene() -> None:
        state: list[tuple[float, str] | None] = [None]
        supervisor = Supervisor()
        supervisor.watch("writing", lambda: state[0])
        assert supervisor.not_running() == []
        state[0] = (12.0, "the disk is full")
        (found,) = supervisor.not_running()
        assert (found.name, found.since, found.why) == ("writing", 12.0, "the disk is full")

    asyncio.run(scene())
