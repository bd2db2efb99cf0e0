"""PostgreSQL: what happens when its server goes away, and when several services write to it at once."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from house import House
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import Runs
from losswatch_server.runs.event_feed import EventFeed, Tidings
from losswatch_server.store import StoreFailedError, StoreUnreadableError, changes, places
from losswatch_server.store.places import open_store
from losswatch_server.store.rows import NewEvent, RunRow
from losswatch_server.store.sql_store import SqlStore
from postgres import missing

if TYPE_CHECKING:
    from postgres import PostgresServer

DEADLINE_S = 60.0


async def until(work: Any) -> Any:
    """What ``work`` returns, once the database is there again."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await work()
            except (StoreFailedError, StoreUnreadableError):
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", ["SIGINT", "SIGQUIT"])
def test_a_server_that_restarts_costs_only_what_was_not_acknowledged(postgres: PostgresServer, how: str) -> None:
    import signal

    house = House(postgres.url())
    try:
        house.record([Point(0, loss=1.0)])
        postgres.stop(signal.Signals[how])
        with pytest.raises(StoreFailedError):
            house.record([Point(1, loss=1.0)])
        with pytest.raises(StoreUnreadableError):
            house.stored()
        assert house.store.failing_since is not None
        postgres.start()
        house.do(until(lambda: house.runs.record("default", "run", [Point(1, loss=1.0)])))
        assert [one.point.step for one in house.stored()] == [0, 1]
        assert house.store.failing_since is None
        house.do(house.store.check())
    finally:
        house.close()


def test_connections_that_broke_while_nothing_was_asked_are_made_anew_without_an_error(
    postgres: PostgresServer,
) -> None:
    import signal

    house = House(postgres.url())
    try:
        house.record([Point(0, loss=1.0)])
        assert len(house.stored()) == 1
        postgres.stop(signal.SIGINT)
        postgres.start()
        house.record([Point(1, loss=1.0)])
        assert len(house.stored()) == 2
    finally:
        house.close()


class Silent:
    """A way to the server that can fall silent: it takes everything, passes nothing on, and closes nothing."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.is_silent = threading.Event()
        self.after_a_commit = False
        """Whether it falls silent when it has passed on a COMMIT, so that nobody hears what became of it."""
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._to))
            self._open += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if not self.is_silent.is_set():
                    if self.after_a_commit and b"COMMIT" in data:
                        self.is_silent.set()
                    other.sendall(data)
            other.close()
        except OSError:
            return

    def close(self) -> None:
        for one in (self._listening, *self._open):
            one.close()


@pytest.mark.slow
def test_a_server_that_says_nothing_more_is_taken_for_gone_and_a_new_connection_is_made(
    postgres: PostgresServer,
) -> None:
    from losswatch_server.store.postgres import Database, PostgresStore

    way = Silent(postgres.port)
    url = postgres.url().replace(str(postgres.port), str(way.port))
    store = PostgresStore(Database(f"{url}?connect_timeout=2", patience_s=1.0))
    try:
        asyncio.run(store.write(lambda one: one.execute("INSERT INTO run_name VALUES ('p', 'a', 'u')")))
        way.is_silent.set()
        with pytest.raises(StoreFailedError):
            asyncio.run(store.write(lambda one: one.execute("INSERT INTO run_name VALUES ('p', 'b', 'u')")))
        way.is_silent.clear()
        write = partial(store.write, lambda one: one.execute("INSERT INTO run_name VALUES ('p', 'c', 'u')"))
        asyncio.run(until(write))
        query = "SELECT name FROM run_name ORDER BY name"
        assert asyncio.run(store.read(lambda one: one.execute(query).fetchall())) == [("a",), ("c",)]
    finally:
        store.close()
        way.close()


class Impatient(House):
    """Takes a server for gone after a second."""

    def _open(self) -> None:
        from losswatch_server.store.postgres import Database, PostgresStore

        self.store = PostgresStore(Database(str(self.path), patience_s=1.0))
        self.runs = Runs(self.store, lambda: self.now, uid=self._uid)


@pytest.mark.slow
def test_points_whose_commit_nobody_heard_of_are_counted_once_when_they_come_again(postgres: PostgresServer) -> None:
    way = Silent(postgres.port)
    url = postgres.url().replace(str(postgres.port), str(way.port))
    house = Impatient(f"{url}?connect_timeout=2")
    try:
        house.record([Point(0, loss=1.0)])
        way.after_a_commit = True
        with pytest.raises(StoreFailedError):
            house.record([Point(1, loss=0.5)])
        way.after_a_commit = False
        way.is_silent.clear()
        again = house.do(until(lambda: house.runs.record("default", "run", [Point(1, loss=0.5)])))
        assert (again.accepted, again.duplicates, again.attempt) == (0, 1, 1)
        house.record([Point(2, loss=0.4)])
        assert [one.point.step for one in house.stored()] == [0, 1, 2]
    finally:
        house.close()
        way.close()


FULL = {
    "at a row": "CREATE TRIGGER no_room BEFORE INSERT ON record FOR EACH ROW EXECUTE FUNCTION no_room()",
    "at the commit": "CREATE CONSTRAINT TRIGGER no_room AFTER INSERT ON record DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION no_room()",
}


def define(house: House, statement: str) -> None:
    house.do(house.store.write(lambda connection: connection.execute(statement)))


@pytest.mark.parametrize("statement", FULL.values(), ids=FULL)
def test_a_server_that_says_its_disk_is_full_keeps_what_was_acknowledged(
    postgres: PostgresServer, statement: str
) -> None:
    """The server itself says so, by the code that it has for this; tests/e2e has a file that cannot grow."""
    raises = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'"
    house = House(postgres.url())
    try:
        house.record([Point(step, loss=1.0 / (1 + step)) for step in range(10)])
        report = house.report_bytes()
        define(house, f"CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {raises}; END$$")
        define(house, statement)

        async def several() -> list[Any]:
            works = [house.runs.record("default", name, [Point(10, loss=0.1)]) for name in ("run", "other")]
            return await asyncio.gather(*works, return_exceptions=True)

        for error in house.do(several()):
            assert isinstance(error, StoreFailedError), error
            assert "No space left on device" in str(error)
        assert house.report_bytes() == report
        assert [one.point.step for one in house.stored()] == list(range(10))
        define(house, "DROP TRIGGER no_room ON record")
        assert house.record([Point(10, loss=0.1)]).accepted == 1
        assert [one.point.step for one in house.stored()] == list(range(11))
        assert house.store.failing_since is None
    finally:
        house.close()


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


def test_an_address_that_cannot_be_used_is_said_without_its_password() -> None:
    with pytest.raises(StoreFailedError) as refused:
        places.open_store("postgresql://somebody:secret@127.0.0.1:1/none?connect_timeout=2")
    assert "secret" not in str(refused.value)
    assert places.shown("postgresql://somebody:secret@db.example.org:5432/watch") == "db.example.org/watch"


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


_OWNER = """
import sys
from postgres import PostgresServer
server = PostgresServer()
print(server.port, server._folder, server._data, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_the_server_of_tests_that_are_killed_ends_and_leaves_nothing() -> None:
    if why := missing():
        pytest.skip(why)
    tests = Path(__file__).parents[1]
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], cwd=tests, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        port, *folders = owner.stdout.readline().split()
        address = ("127.0.0.1", int(port))
        socket.create_connection(address).close()
        owner.kill()
        assert owner.stdout.read() == "", "it ends with the process that cleans up, which has it too"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    assert [folder for folder in folders if Path(folder).exists()] == []
