"""The simulation of live runs accounts for every point, and its model is plain arithmetic. How fast it was is judged by
``make bench-scale``."""

from __future__ import annotations

import asyncio
import contextlib
import os

import httpx
import pytest

from benchmarks.scale.__main__ import Effort, Measured, bytes_of_a_point, measure, text
from benchmarks.scale.load import Level, built, connected, posted
from benchmarks.scale.model import Model, Size
from benchmarks.scale.services import services

RUNS = [f"run-{number}" for number in range(30)]
HISTORY = 20


@pytest.fixture(autouse=True)
def started_services_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")]))


async def stored(port: int, run: str) -> list[int]:
    """The steps of a run, as a service gives them."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        answer = await client.get(f"/v1/runs/{run}/points", params={"limit": 10_000})
        return [point["step"] for point in answer.json()["points"]]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("sqlite", 1), ("postgresql", 2)])
def test_every_point_that_was_taken_is_stored_once_whichever_service_it_came_to(
    kind: str, count: int, postgres: object
) -> None:
    async def scenario(ports: list[int]) -> None:
        connections = await connected(RUNS, ports)
        first = await built(connections, HISTORY)
        then = await posted(connections, 1.5, pace_s=0.5)
        assert first.refused == then.refused == 0
        assert first.points == len(RUNS) * HISTORY
        assert then.taken == then.points > 0
        sent = {run: points for one in connections for run, points in one.sent.items()}
        assert sum(sent.values()) == first.points + then.points
        for run in RUNS:
            for port in ports:
                assert await stored(port, run) == list(range(sent[run]))
        for one in connections:
            one.close()

    with services(kind, count, len(RUNS), safe=False) as here:
        asyncio.run(scenario(here.ports))
        assert here.used().service_s > 0
        assert asyncio.run(bytes_of_a_point(here, 4000, 1000)) < 200, "two numbers of eight bytes, and what is beside"
        grown = here.memory()
        assert grown < count * (400 << 20) + len(RUNS) * (1 << 20), "of a run less than a MiB"


@pytest.mark.slow
def test_the_simulation_measures_every_kind_of_services() -> None:
    effort = Effort(most=20, history=10, like_a_run=(5, 50), long=2000)
    found = measure([("sqlite", 1)], seconds=0.5, effort=effort, safe=False)
    shown = text(found)
    assert "sqlite, 1 service" in shown
    assert found[0].model is not None
    assert len(found[0].sizes) >= 3


def size(name: str, runs: int, us: float, services: int = 1, **more: float) -> Size:
    known = {"p99_ms": 50.0, "refused": 0, "per_second": float(runs), **more}
    return Size(name=name, services=services, runs=runs, p50_ms=5.0, service_us=us, database_us=us / 4, load_us=50.0,
                memory=(100 << 20) * services + runs * (1 << 18), **known)  # type: ignore[arg-type]  # fmt: skip


def test_the_model_is_the_difference_between_two_sizes_and_is_put_beside_a_third() -> None:
    # 0.1 cores without a run, and 400 us a request: 100 a second cost 1400 us each, 400 a second 650 us.
    model = Model.of(
        size("x", 100, 1400.0), size("x", 400, 650.0), empty=100 << 20, memory_of_a_run=1 << 18, bytes_of_a_point=20.0
    )
    assert model.service_us == pytest.approx(400.0)
    assert model.idle_cores == pytest.approx(0.1)
    assert model.service_cores(1000, 1) == pytest.approx(0.5)
    assert model.memory(1000, 2) == pytest.approx((200 << 20) + 1000 * (1 << 18))
    assert [model.services(runs) for runs in (1, 1500, 1501, 15_000)] == [1, 1, 2, 10]
    found = Measured("x", full_speed=1000.0, sizes=[size("x", 100, 1400.0), size("x", 400, 650.0),
                                                    size("x", 900, 520.0)], model=model)  # fmt: skip
    assert "900 runs: 0.46 cores said, 0.47 measured" in text([found])


def test_services_that_fall_behind_or_refuse_have_not_carried_their_runs() -> None:
    assert size("x", 100, 1.0).is_carried(500.0)
    assert not size("x", 100, 1.0, per_second=90.0).is_carried(500.0)
    assert not size("x", 100, 1.0, p99_ms=501.0).is_carried(500.0)
    assert not size("x", 100, 1.0, refused=1).is_carried(500.0)


def test_two_services_are_compared_by_what_a_request_costs_them() -> None:
    found = []
    for services_, us in ((1, 400.0), (2, 480.0)):
        sizes = [size("postgresql", runs, us, services=services_) for runs in (100, 400, 900)]
        model = Model.of(
            sizes[0], sizes[1], empty=services_ * (100 << 20), memory_of_a_run=1 << 18, bytes_of_a_point=20.0
        )
        found.append(Measured("postgresql", full_speed=1000.0 * services_, sizes=sizes, model=model))
    shown = text(found)
    assert "two services / one: 2.00" in shown
    assert "a request costs 1.20" in shown
    assert "two would carry 1.67 times as much" in shown
    assert "100,000" in shown


def test_what_falls_behind_is_given_up_as_soon_as_that_is_decided() -> None:
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            (connection,) = await connected(RUNS[:25], [server.sockets[0].getsockname()[1]])
            level = Level(bound_s=0.0, may_be_late=5.0)  # any answer is late
            answers = await posted([connection], 600.0, pace_s=0.01, level=level)
            connection.close()
            await asyncio.gather(*(task for task in serving if task is not None))
        assert (level.is_lost, answers.taken) == (True, 6)

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_connection_that_a_service_closes_is_counted_and_opened_again() -> None:
    """The service here answers every other request, and closes the connection at the others."""
    asked: list[bytes] = []
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                asked.append(head)
                if len(asked) % 2 == 0:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            (connection,) = await connected(RUNS[:5], [server.sockets[0].getsockname()[1]])
            answers = await connection.build(1)
            connection.close()
            await asyncio.gather(*(task for task in serving if task is not None))
        assert (answers.taken, answers.refused) == (3, 2)

    asyncio.run(scenario())
