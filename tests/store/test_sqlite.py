"""The SQLite store: one process, one writer, nothing half written."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from losswatch_server.store import (
    DataDirectoryLockedError,
    SchemaTooNewError,
    SqliteStore,
    StoreBusyError,
    StoreClosedError,
    StoreConflictError,
    StoreFailedError,
    schema,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path, waiting_writes=8)
    yield store
    store.close()


def put(name: str) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO run_name VALUES ('p', ?, 'u')", (name,)).rowcount


async def names(store: SqliteStore) -> list[str]:
    found = await store.read(
        lambda connection: connection.execute("SELECT name FROM run_name ORDER BY name").fetchall()
    )
    return [name for (name,) in found]


def test_a_second_process_is_refused_with_the_first_ones_pid(store: SqliteStore) -> None:
    code = (
        "import sys; from pathlib import Path; from losswatch_server.store import *\n"
        "try: SqliteStore.open(Path(sys.argv[1]))\n"
        "except DataDirectoryLockedError as error: print(error.pid)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(store.path.parent)], capture_output=True, text=True, check=True
    )

    assert int(answer.stdout) == os.getpid()


def test_a_second_store_in_the_same_process_is_refused_and_the_first_goes_on(store: SqliteStore) -> None:
    with pytest.raises(DataDirectoryLockedError):
        SqliteStore.open(store.path.parent)
    assert asyncio.run(store.write(put("a"))) == 1


def test_a_closed_store_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        SqliteStore.open(tmp_path).close()


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "losswatch.sqlite3")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.execute("UPDATE works_with SET oldest = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaTooNewError, match="9999"):
        SqliteStore.open(tmp_path)
    assert schema.current(tmp_path / "losswatch.sqlite3") == "9999"


def test_the_newest_schema_is_the_one_that_alembic_ends_at() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.head()]


def test_a_commit_is_kept_on_the_disk_before_the_answer(store: SqliteStore) -> None:
    async def pragmas() -> tuple[object, object]:
        return await store.write(
            lambda connection: (
                connection.execute("PRAGMA synchronous").fetchone()[0],
                connection.execute("PRAGMA journal_mode").fetchone()[0],
            )
        )

    assert asyncio.run(pragmas()) == (2, "wal")


def test_writes_that_wait_share_a_commit_and_one_that_fails_takes_nobody_with_it(store: SqliteStore) -> None:
    async def together() -> list[object]:
        gate = threading.Event()
        first = asyncio.create_task(store.write(lambda connection: gate.wait(60)))
        await asyncio.sleep(0)
        others = [asyncio.create_task(store.write(put(name))) for name in ("a", "b", "a", "c")]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    results = asyncio.run(together())
    assert [isinstance(result, StoreConflictError) for result in results] == [False, False, False, True, False]
    assert asyncio.run(names(store)) == ["a", "b", "c"]


def test_more_writes_than_may_wait_are_refused_as_busy(store: SqliteStore) -> None:
    async def flood() -> list[object]:
        gate = threading.Event()
        first = asyncio.create_task(store.write(lambda connection: gate.wait(60)))
        await asyncio.sleep(0)
        many = [asyncio.create_task(store.write(put(str(n)))) for n in range(30)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(first, *many, return_exceptions=True)

    results = asyncio.run(flood())
    refused = sum(isinstance(result, StoreBusyError) for result in results)
    assert refused >= 20
    assert len(asyncio.run(names(store))) == 30 - refused


def test_a_cancelled_write_is_decided_before_its_caller_goes_on(store: SqliteStore) -> None:
    async def cancelled() -> list[str]:
        gate = threading.Event()

        def slow(connection: sqlite3.Connection) -> None:
            gate.wait(60)
            connection.execute("INSERT INTO run_name VALUES ('p', 'slow', 'u')")

        task = asyncio.create_task(store.write(slow))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await names(store)

    assert asyncio.run(cancelled()) == ["slow"]


def test_a_full_disk_fails_the_write_and_the_store_goes_on(store: SqliteStore) -> None:
    async def full() -> None:
        pages = await store.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await store.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 1}").fetchone())
        with pytest.raises(StoreFailedError):
            await store.write(lambda c: c.execute("INSERT INTO run_name VALUES ('p', ?, 'u')", ("x" * 100_000,)))
        await store.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
        await store.write(put("after"))

    asyncio.run(full())
    assert asyncio.run(names(store)) == ["after"]


def test_a_closed_store_refuses_reads_and_writes(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    store.close()
    store.close()
    for work in (store.write(put("a")), names(store)):
        with pytest.raises(StoreClosedError):
            asyncio.run(work)
