"""Several services over one PostgreSQL: what they write at once, and what they hear of one another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from house import House
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs.event_feed import EventFeed, Tidings
from losswatch_server.store import changes
from losswatch_server.store.places import open_store
from losswatch_server.store.rows import NewEvent, RunRow
from losswatch_server.store.sql_store import SqlStore

if TYPE_CHECKING:
    from postgres import PostgresServer

DEADLINE_S = 60.0


@pytest.fixture
def two(postgres: PostgresServer) -> Iterator[tuple[House, House]]:
    """Two services on one database."""
    url = postgres.url()
    houses = House(url), House(url)
    houses[1].uids = 1000
    yield houses
    for house in houses:
        house.close()


def at_once(houses: tuple[House, House], *works: list[Coroutine[Any, Any, Any]]) -> list[list[Any]]:
    """What the works of each house give, those of the two at the same time."""

    async def gathered(mine: list[Coroutine[Any, Any, Any]]) -> list[Any]:
        return await asyncio.gather(*mine)

    results: list[list[Any]] = [[], []]

    def run(index: int) -> None:
        results[index] = houses[index].do(gathered(works[index]))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_services_that_post_to_the_same_runs_lose_and_double_nothing(two: tuple[House, House]) -> None:
    names = ["a", "b", "c"]

    def works(house: House, first: int) -> list[Coroutine[Any, Any, Any]]:
        return [
            house.runs.record("default", name, [Point(step, metrics={"m": float(step)}, rank=first)])
            for step in range(8)
            for name in (names if first else names[::-1])
        ]

    at_once(two, works(two[0], 0), works(two[1], 1))
    for name in names:
        for house in two:
            ranks = [(one.point.step, one.point.rank) for one in house.stored(name)]
            assert sorted(ranks) == [(step, rank) for step in range(8) for rank in (0, 1)]
        assert two[0].report_bytes(name) == two[1].report_bytes(name)
        assert two[0].report(name).run.points == 8, "those of rank 0"
    assert sorted(two[0].kinds()) == ["run.created"] * 3


def test_a_service_sees_what_another_has_changed(two: tuple[House, House]) -> None:
    here, there = two
    here.record([Point(step, loss=1.0) for step in range(10)])
    assert there.record([Point(10, loss=1.0)]).run.points == 11
    assert here.report().run.points == 11
    assert here.record([Point(10, loss=1.0)]).duplicates == 1
    here.do(here.runs.finish("default", "run", RunState.FINISHED))
    assert there.report().run.state is RunState.FINISHED
    there.record([Point(11, loss=1.0)])
    assert here.report().run.state is RunState.RUNNING
    assert [kind for kind in here.kinds() if kind.startswith("run.")] == ["run.created", "run.finished", "run.reopened"]
    here.do(here.runs.delete("default", "run"))
    there.record([Point(0, loss=3.0)])
    assert here.report().run.points == 1


def test_events_are_seen_in_the_order_of_their_ids_however_many_services_write_them(two: tuple[House, House]) -> None:
    """A reader that has passed an id misses nothing that is committed later."""
    count = 100
    done = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        after = 0
        while True:
            last = done.is_set()
            found = asyncio.run(reader.events(None, after, None, 500))
            seen.extend(event.id for event in found)
            after = seen[-1] if seen else 0
            if last and not found:
                return

    def works(house: House) -> list[Coroutine[Any, Any, Any]]:
        event = NewEvent("run.slow", 1.0, None, b"{}")
        add = partial(changes.add_event, project="p", uid="u", run="r", event=event)
        return [house.store.write(lambda connection: add(connection)) for _ in range(count)]

    reader: SqlStore = open_store(two[0].path)
    thread = threading.Thread(target=follow)
    thread.start()
    at_once(two, works(two[0]), works(two[1]))
    done.set()
    thread.join()
    reader.close()
    assert seen == list(range(1, 2 * count + 1))
    assert two[0].do(two[0].store.newest_event()) == 2 * count


def test_one_service_at_a_time_has_a_lease_and_another_takes_it_when_it_ends(two: tuple[House, House]) -> None:
    def leads(house: House, seconds: float) -> bool:
        return house.do(house.store.leads("watch", seconds))

    assert leads(two[0], 0.0)
    assert leads(two[1], 1000.0)
    assert not leads(two[0], 1000.0)
    assert leads(two[1], 0.0), "who has it keeps it"
    assert leads(two[0], 1000.0)


@pytest.mark.slow
@pytest.mark.parametrize("is_told", [True, False])
def test_a_listener_hears_of_what_another_service_commits(two: tuple[House, House], is_told: bool) -> None:
    """With a notice, and without: where none arrives, the feed looks by itself."""
    here, there = two

    async def scenario() -> list[Tidings]:
        feed = EventFeed(
            here.store.events, here.store.newest_event, look=here.store.heard_since, clock=lambda: here.now, tick_s=0.0
        )
        heard = asyncio.Event()
        notices = here.store.notices(heard.set)
        others = there.store.notices(lambda: None)
        notices.start()
        told: list[Tidings] = []
        try:
            async for tidings in feed.listen("default"):
                told += tidings
                if any(isinstance(one.what, RunRow) for one in told):
                    break
                if len(told) == 1:
                    await asyncio.to_thread(there.record, [Point(step, loss=1.0) for step in range(3)])
                    if is_told:
                        async with asyncio.timeout(DEADLINE_S):
                            while not heard.is_set():  # until it listens
                                await others.tell()
                    assert await feed.pass_on() < 60.0
        finally:
            await notices.close()
            await others.close()
        return told

    told = here.do(scenario())
    assert [one.what if isinstance(one.what, str) else type(one.what).__name__ for one in told] == [
        "hello",
        "StoredEvent",
        "RunRow",
    ]


def test_two_services_send_one_message_at_a_time_to_a_target(two: tuple[House, House]) -> None:
    from losswatch_server.store.alerting import configuration, deliveries

    def row(number: int) -> deliveries.DeliveryRow:
        return deliveries.DeliveryRow(
            project="p", id=f"msg_{number}", target="t", number=0, lane=f"run {number}", key="k", reason="opened",
            state="pending", created_at=1.0, next_at=1.0, tries=0, claim=None, claimed_until=None, finished_at=None,
            status=None, detail="", attempts="[]", body="{}",
        )  # fmt: skip

    target = configuration.TargetRow("p", "t", "webhook", "api", "{}", "{}", "active", None, None, 1.0, 1.0)
    here, there = two
    here.do(here.store.write(lambda one: configuration.put_target(one, target)))
    adds = [[house.store.write(lambda one, n=n: deliveries.add(one, row(n))) for n in range(first, 40, 2)]  # type: ignore[misc]
            for first, house in enumerate(two)]  # fmt: skip
    at_once(two, *adds)
    rows = here.do(here.store.read(lambda one: deliveries.claimable(one, 2.0, 100)))
    assert [found.number for found in rows] == list(range(1, 41)), "each its own number"

    def claims(house: House) -> list[Coroutine[Any, Any, bool]]:
        return [
            house.store.write(lambda one, found=found: deliveries.claim(one, found, "w", 2.0, 100.0))  # type: ignore[misc]
            for found in rows
        ]

    taken = at_once(two, claims(here), claims(there))
    assert sum(map(sum, taken)) == 1
