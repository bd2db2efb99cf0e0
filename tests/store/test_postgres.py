"""PostgreSQL: what happens when its server goes away, says nothing more or has no room."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from house import House
from losswatch_server.monitor.points import Point
from losswatch_server.runs import Runs
from losswatch_server.store import StoreFailedError, StoreUncertainError, StoreUnreadableError, places
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
        with pytest.raises(StoreUncertainError, match="may have kept"):
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


def test_an_address_that_cannot_be_used_is_said_without_its_password() -> None:
    with pytest.raises(StoreFailedError) as refused:
        places.open_store("postgresql://somebody:secret@127.0.0.1:1/none?connect_timeout=2")
    assert "secret" not in str(refused.value)
    assert places.shown("postgresql://somebody:secret@db.example.org:5432/watch") == "db.example.org/watch"


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
