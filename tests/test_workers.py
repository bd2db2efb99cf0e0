"""Long work in processes of its own: it answers, refuses, can be broken off, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import work_beside
from losswatch_server import workers as workers_module
from losswatch_server.codec import BodyRefusedError, Problem
from losswatch_server.workers import MUCH, NICE, WorkerLostError, Workers

DEADLINE_S = 60.0
pytestmark = pytest.mark.usefixtures("importable")


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Workers]:
    workers = Workers()
    try:
        yield workers
    finally:
        await workers.close()


def is_there(pid: int) -> bool:
    """Whether the process works; one that has ended may be kept until its parent asks for it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    try:
        return ") Z " not in state.read_text()
    except FileNotFoundError:
        return not state.parent.parent.exists()


async def until(holds: Callable[[], bool]) -> None:
    """What happens in another process wakes nobody here."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def pid_at(place: Path) -> int:
    await until(place.exists)
    return int(await asyncio.to_thread(place.read_text))


def test_an_answer_comes_back_and_the_process_is_used_again() -> None:
    async def story() -> None:
        async with opened() as workers:
            assert await workers.run(work_beside.backwards, b"abc", 2) == b"cbacba"
            first = await workers.run(work_beside.pid, b"")
            assert first != os.getpid()
            assert await workers.run(work_beside.pid, b"") == first
            both = await asyncio.gather(*(workers.run(work_beside.pid, b"") for _ in range(2)))
            assert len(set(both)) == 2

    asyncio.run(story())


def test_what_is_raised_is_raised_here_as_it_was() -> None:
    async def story() -> None:
        async with opened() as workers:
            with pytest.raises(BodyRefusedError, match="too long") as refused:
                await workers.run(work_beside.refuse, b"too long")
            assert refused.value.problems == (Problem("/points/3/loss", "too long"),)
            assert refused.value.total == 7
            with pytest.raises(RuntimeError, match="ValueError"):
                await workers.run(work_beside.hold_what_stays_here, b"")
            assert await workers.run(work_beside.backwards, b"ab", 1) == b"ba"

    asyncio.run(story())


def test_a_process_that_has_read_much_or_is_idle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with opened() as workers:
            large = await workers.run(work_beside.pid, bytes(MUCH))
            await until(lambda: not is_there(large))
            monkeypatch.setattr(workers_module, "IDLE_S", 0.0)
            idle = await workers.run(work_beside.pid, b"")
            await until(lambda: not is_there(idle))

    asyncio.run(story())


def test_work_that_nobody_waits_for_any_more_is_killed(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened() as workers:
            task = asyncio.create_task(workers.run(work_beside.go_on, b"", str(tmp_path / "pid")))
            pid = await pid_at(tmp_path / "pid")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: not is_there(pid))
            assert await workers.run(work_beside.backwards, b"ab", 1) == b"ba"

    asyncio.run(story())


def test_a_process_that_is_killed_costs_its_caller_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened() as workers:
            task = asyncio.create_task(workers.run(work_beside.go_on, b"", str(tmp_path / "pid")))
            os.kill(await pid_at(tmp_path / "pid"), signal.SIGKILL)
            with pytest.raises(WorkerLostError):
                await task
            assert await workers.run(work_beside.backwards, b"ab", 1) == b"ba"

    asyncio.run(story())


def test_the_end_of_the_service_is_the_end_of_all_work(tmp_path: Path) -> None:
    async def story() -> None:
        workers = Workers()
        idle = await workers.run(work_beside.pid, b"")
        task = asyncio.create_task(workers.run(work_beside.go_on, b"", str(tmp_path / "pid")))
        pid = await pid_at(tmp_path / "pid")
        await workers.close()
        with pytest.raises(WorkerLostError):
            await task
        assert not is_there(pid)
        assert not is_there(idle)
        with pytest.raises(WorkerLostError):
            await workers.run(work_beside.pid, b"")

    asyncio.run(story())


def test_a_process_ends_when_the_service_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, work_beside\nfrom losswatch_server.workers import Workers\n"
        f"asyncio.run(Workers().run(work_beside.go_on, b'', {str(tmp_path / 'pid')!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as service:
        pid = asyncio.run(pid_at(tmp_path / "pid"))
        service.kill()
    asyncio.run(until(lambda: not is_there(pid)))


@pytest.mark.parametrize("program", ["false", "no such program"])
def test_where_no_process_can_be_started_the_caller_hears_it(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with opened() as workers:
            monkeypatch.setattr(sys, "executable", shutil.which(program) or program)
            with pytest.raises(OSError, match=r"as soon as|No such file"):
                await workers.run(work_beside.pid, b"")

    asyncio.run(story())


@pytest.mark.skipif(not hasattr(os, "nice"), reason="needs priorities")
def test_a_process_works_at_a_lower_priority() -> None:
    async def story() -> None:
        async with opened() as workers:
            assert await workers.run(work_beside.priority, b"") >= min(19, os.nice(0) + NICE)

    asyncio.run(story())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_process_has_none_of_the_files_of_the_service(tmp_path: Path) -> None:
    async def story() -> None:
        with (tmp_path / "database").open("w") as database:
            os.set_inheritable(database.fileno(), True)
            async with opened() as workers:
                found = await workers.run(work_beside.open_files, b"")
        assert not any(str(tmp_path) in name or name.startswith("socket:") for name in found)

    asyncio.run(story())
