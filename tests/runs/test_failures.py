"""Whatever write fails, nothing is half stored, and the run goes on as if the failed request had never been made."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.store import StoreFailedError
from losswatch_server.store.rows import Change


def points(first: int, count: int) -> list[Point]:
    return [Point(step, loss=0.5 * 1.2 ** (step % 40), grad_norm=1.0) for step in range(first, first + count)]


def broken(first: int, count: int) -> list[Point]:
    return [
        Point(step, loss=1.5 ** (step - first) if step < first + 60 else math.nan)
        for step in range(first, first + count)
    ]


def state(house: House) -> list[Any]:
    tables = ("run", "record", "finding", "snapshot", "writer", "attempt", "event")
    return [house.sql(f"SELECT * FROM {table}") for table in tables]


@pytest.mark.slow
@pytest.mark.parametrize("fails_at", range(1, 9))
def test_a_write_that_fails_anywhere_leaves_the_store_as_it_was(house: House, fails_at: int) -> None:
    """The k-th table that a request writes to refuses, for every k: a trigger raises inside the transaction."""
    house.record(points(0, 300), Context(learning_rate=0.1), "first")
    before, report = state(house), house.report_bytes()
    order = ["run", "record", "attempt", "writer", "snapshot", "finding", "event", "run"]
    table = order[fails_at - 1]
    when = "UPDATE" if table == "run" else "INSERT"
    house.sql(f"CREATE TRIGGER fail BEFORE {when} ON {table} BEGIN SELECT RAISE(ABORT, 'disk'); END")
    with pytest.raises(Exception, match="disk"):
        house.record(broken(100, 400), Context(learning_rate=0.2), "second")
    house.sql("DROP TRIGGER fail")
    assert state(house) == before
    assert house.report_bytes() == report
    recorded = house.record(broken(100, 400), Context(learning_rate=0.2), "second")
    assert (recorded.accepted, recorded.attempt) == (400, 2)


def test_a_full_disk_refuses_requests_and_keeps_what_was_acknowledged(house: House) -> None:
    house.record(points(0, 10))
    pages = house.sql("PRAGMA page_count")[0][0]
    house.sql(f"PRAGMA max_page_count = {pages + 6}")
    kept = 10
    with pytest.raises(StoreFailedError):  # noqa: PT012 - the disk fills up after some of them
        for start in range(10, 10_000, 100):
            kept += house.record(points(start, 100)).accepted
    house.restart()
    assert [stored.point.step for stored in house.stored()] == list(range(kept))
    assert house.sql("PRAGMA integrity_check") == [("ok",)]
    assert house.record(points(kept, 5)).accepted == 5


def test_a_request_that_is_cancelled_while_it_commits_is_all_there_or_not_at_all(house: House) -> None:
    house.record(points(0, 10))

    async def cancelled() -> None:
        task = asyncio.create_task(house.runs.record("default", "run", points(10, 5)))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    house.do(cancelled())
    again = house.record(points(10, 5))
    assert again.accepted + again.duplicates == 5
    assert [stored.point.step for stored in house.stored()] == list(range(15))


def test_requests_for_one_run_at_the_same_time_are_taken_one_after_another(house: House) -> None:
    async def together() -> list[Any]:
        return await asyncio.gather(*(house.runs.record("default", "run", points(0, n + 1)) for n in range(20)))

    answers = house.do(together())
    assert sum(answer.accepted for answer in answers) == 20
    assert len(house.stored()) == 20


def test_a_store_that_somebody_else_changed_is_read_again(house: House) -> None:
    """What a second service would do: the request is repeated on what is there now."""
    house.record(points(0, 10))
    house.sql("UPDATE run SET revision = revision + 1, paused_until = 1.0")
    assert house.record(points(10, 1)).accepted == 1
    assert house.sql("SELECT revision FROM run") == [(3,)]


def test_every_kth_commit_failing_loses_no_acknowledged_point(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    tries = 0

    real = house.store.apply

    async def flaky(change: Change) -> None:
        nonlocal tries
        tries += 1
        if tries % 3 == 0:
            raise StoreFailedError("the disk is full")
        await real(change)

    house.store.apply = flaky
    try:
        acknowledged = []
        for step in range(60):
            try:
                house.record([Point(step, loss=math.exp(-step))])
                acknowledged.append(step)
            except StoreFailedError:
                continue
        assert [stored.point.step for stored in house.stored()] == acknowledged
        assert len(acknowledged) == 40
    finally:
        house.close()
