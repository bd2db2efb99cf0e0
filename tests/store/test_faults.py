"""What goes wrong with the disk, the memory, the descriptors and the file, and what callers are told of it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from losswatch_server.api.http.problems import problem_of
from losswatch_server.store import (
    SqliteStore,
    StoreError,
    StoreFailedError,
    StoreUncertainError,
    StoreUnreadableError,
    schema,
)
from losswatch_server.store.datadir import DataDirectory
from losswatch_server.store.schema import SqliteConnection


class Fragile(SqliteConnection):
    """A connection whose statements fail where ``fails`` says so. It stands where SQLite's own errors come in."""

    fails: Callable[[str], BaseException | None]

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        error = self.fails(statement)
        if error is not None:
            raise error
        return super().execute(statement, *values)


class Faults:
    """Which statements fail; connections that were opened."""

    def __init__(self) -> None:
        self.of: dict[str, BaseException] = {}
        self.opened = 0
        self.opening: BaseException | None = None

    def connect(self, opened: Callable[[Path], sqlite3.Connection], path: Path) -> sqlite3.Connection:
        if self.opening is not None:
            raise self.opening
        self.opened += 1
        opened(path).close()
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Fragile)
        connection.fails = self.error
        return connection

    def error(self, statement: str) -> BaseException | None:
        return next((error for start, error in self.of.items() if statement.startswith(start)), None)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def store(tmp_path: Path, faults: Faults) -> Iterator[SqliteStore]:
    SqliteStore.open(tmp_path / "data").close()
    store = SqliteStore(
        DataDirectory(tmp_path / "data"),
        connect=partial(faults.connect, schema.connect),
        connect_reader=partial(faults.connect, schema.connect_reader),
    )
    yield store
    faults.of.clear()
    faults.opening = None
    store.close()


def put(name: str) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO run_name VALUES ('p', ?, 'u')", (name,)).rowcount


async def names(store: SqliteStore) -> list[str]:
    found = await store.read(lambda c: c.execute("SELECT name FROM run_name ORDER BY name").fetchall())
    return [name for (name,) in found]


async def outcomes(store: SqliteStore, *names: str) -> list[Any]:
    """Of writes that share a commit."""
    gate = threading.Event()
    first = asyncio.create_task(store.write(lambda connection: gate.wait(60)))
    await asyncio.sleep(0)
    others = [asyncio.create_task(store.write(put(name))) for name in names]
    await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(60):
        await asyncio.gather(first, return_exceptions=True)
        return await asyncio.gather(*others, return_exceptions=True)


RAW = [
    MemoryError(),
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.DatabaseError("database disk image is malformed"),
    OSError(24, "Too many open files"),
    RuntimeError("a bug"),
]


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["BEGIN", "SAVEPOINT", "INSERT", "RELEASE", "COMMIT"])
@pytest.mark.parametrize("error", RAW, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("rollback", [None, sqlite3.OperationalError("disk I/O error"), MemoryError()])
def test_whatever_fails_in_a_commit_every_waiter_is_told_and_the_writer_lives(
    store: SqliteStore, faults: Faults, statement: str, error: Exception, rollback: Exception | None
) -> None:
    asyncio.run(store.write(put("before")))
    faults.of = {statement: error} | ({"ROLLBACK": rollback} if rollback is not None else {})
    for result in asyncio.run(outcomes(store, "a", "b")):
        assert isinstance(result, (StoreError, RuntimeError)), result
    faults.of.clear()
    assert asyncio.run(store.write(put("after"))) == 1
    assert asyncio.run(names(store)) == ["after", "before"]
    assert store.failing_since is None


def test_a_commit_in_which_the_disk_failed_may_have_been_kept_and_one_without_room_was_not(
    store: SqliteStore, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, full = sqlite3.OperationalError("disk I/O error"), sqlite3.OperationalError("database or disk is full")
    failed.sqlite_errorcode, full.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_FULL
    for error, told in ((failed, StoreUncertainError), (full, StoreFailedError)):
        faults.of = {"COMMIT": error}
        with pytest.raises(StoreFailedError) as refused:
            asyncio.run(store.write(put("a")))
        assert type(refused.value) is told
    faults.of.clear()
    monkeypatch.setattr(store, "_vouch", vouch := Mock(side_effect=OSError(5, "Input/output error")))
    monkeypatch.setattr(store._writer, "_vouch", vouch)
    with pytest.raises(StoreUncertainError):  # after a COMMIT
        asyncio.run(store.write(put("kept")))
    assert asyncio.run(names(store)) == ["kept"]
    said = problem_of(refused.value).detail, problem_of(StoreUncertainError()).detail
    assert "Nothing of this request was stored" in said[0]
    assert "Points can be sent again: those that were kept are counted once." in said[1]


def test_a_connection_that_cannot_roll_back_is_replaced(store: SqliteStore, faults: Faults) -> None:
    asyncio.run(store.write(put("before")))
    opened = faults.opened
    faults.of = {"COMMIT": MemoryError(), "ROLLBACK": MemoryError()}
    with pytest.raises(StoreFailedError, match="out of memory"):
        asyncio.run(store.write(put("lost")))
    faults.of, faults.opening = {}, sqlite3.OperationalError("unable to open database file")
    with pytest.raises(StoreFailedError, match="unable to open"):
        asyncio.run(store.write(put("lost")))
    faults.opening = None
    asyncio.run(store.write(put("after")))
    assert faults.opened == opened + 1
    assert asyncio.run(names(store)) == ["after", "before"]


@pytest.mark.parametrize("error", RAW[:4], ids=lambda error: type(error).__name__)
def test_a_read_that_fails_is_unreadable_and_the_next_one_has_a_new_connection(
    store: SqliteStore, faults: Faults, error: Exception
) -> None:
    asyncio.run(store.write(put("a")))
    faults.opening = error
    with pytest.raises(StoreUnreadableError):
        asyncio.run(names(store))
    faults.opening = None
    assert asyncio.run(names(store)) == ["a"]
    for statement in ("BEGIN", "SELECT", "ROLLBACK"):
        faults.of = {statement: error}
        with pytest.raises(StoreUnreadableError):
            asyncio.run(names(store))
        faults.of.clear()
        assert asyncio.run(names(store)) == ["a"]


def test_what_is_wrong_with_the_work_itself_stays_what_it_is(store: SqliteStore) -> None:
    def work(connection: sqlite3.Connection) -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError):
        asyncio.run(store.read(work))
    with pytest.raises(LookupError):
        asyncio.run(store.write(work))


def test_a_malformed_page_is_unreadable_and_what_other_pages_hold_is_read(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    asyncio.run(store.write(put("a")))
    root = asyncio.run(
        store.read(lambda c: c.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()[0])
    )
    store.close()
    with (tmp_path / "losswatch.sqlite3").open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
    store = SqliteStore.open(tmp_path)
    try:
        with pytest.raises(StoreUnreadableError, match="malformed"):
            asyncio.run(store.events(None, 0, None, 10))
        assert asyncio.run(names(store)) == ["a"]
    finally:
        store.close()


def test_a_full_disk_is_no_loss(store: SqliteStore, faults: Faults) -> None:
    asyncio.run(store.write(put("a")))
    faults.of = {"COMMIT": sqlite3.OperationalError("database or disk is full")}
    with pytest.raises(StoreFailedError):
        asyncio.run(store.write(put("b")))
    faults.of.clear()
    assert asyncio.run(store.write(put("c"))) == 1
    assert store.lost is None


def test_a_failing_store_says_so_until_a_probe_is_kept(
    store: SqliteStore, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        await store.write(put("a"))
        await store.check()
        before = store.path.with_name(store.path.name + "-wal").stat().st_mtime_ns
        await store.check()
        assert store.path.with_name(store.path.name + "-wal").stat().st_mtime_ns == before, "it was kept just now"
        faults.of = {"COMMIT": sqlite3.OperationalError("database or disk is full")}
        with pytest.raises(StoreFailedError):
            await store.write(put("b"))
        assert store.failing_since is not None
        since, why = store.failing_since
        for _ in range(3):
            with pytest.raises(StoreFailedError, match="full"):
                await store.check()
        assert store.failing_since[0] == since
        assert "full" in why
        faults.of.clear()
        with pytest.raises(StoreFailedError):
            await store.check()  # asked again at once: the last probe's answer
        monkeypatch.setattr("losswatch_server.store.probe.PROBE_S", 0.0)
        await store.check()
        assert store.failing_since is None

    asyncio.run(scene())


def test_many_who_ask_share_one_probe(store: SqliteStore, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    async def scene() -> None:
        await store.write(put("a"))
        await asyncio.gather(*(store.check(trusted_s=0.0) for _ in range(50)))

    monkeypatch.setattr(faults, "error", count)
    asyncio.run(scene())
    assert commits <= 3


def test_a_disk_that_does_not_answer_is_not_waited_for(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        gate = threading.Event()
        stuck = asyncio.create_task(store.write(lambda connection: gate.wait(120)))
        await asyncio.sleep(0)
        monkeypatch.setattr("losswatch_server.store.probe.PATIENCE_S", 0.05)
        with pytest.raises(StoreFailedError, match="longer than"):
            await store.check(trusted_s=0.0)
        gate.set()
        await stuck

    asyncio.run(scene())


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}


def test_the_data_belong_to_their_owner_alone_those_of_an_older_version_too(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = tmp_path / "data"
        SqliteStore.open(folder).close()
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)
        store = SqliteStore.open(folder)
        asyncio.run(store.write(put("a")))
        found = modes(folder)
        store.close()
    finally:
        os.umask(before)
    assert found.pop("data") == 0o700
    assert set(found) >= {"losswatch.sqlite3", "losswatch.sqlite3-wal", "losswatch.lock"}
    assert set(found.values()) == {0o600}


def test_a_folder_that_others_use_too_is_left_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    (folder / "something else").write_text("")
    SqliteStore.open(folder).close()
    assert modes(folder)["shared"] == 0o755
    assert modes(folder)["losswatch.sqlite3"] == 0o600
