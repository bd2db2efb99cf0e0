"""A database that is deleted, replaced, truncated or overwritten under its service: nothing is acknowledged into it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from losswatch_server.store import SqliteStore, StoreLostError


def put(name: str) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO run_name VALUES ('p', ?, 'u')", (name,)).rowcount


async def names(store: SqliteStore) -> list[str]:
    found = await store.read(lambda c: c.execute("SELECT name FROM run_name ORDER BY name").fetchall())
    return [name for (name,) in found]


def moved_away(path: Path) -> None:
    shutil.move(path, path.with_name("elsewhere"))


def deleted(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def log_deleted(path: Path) -> None:
    (path / "losswatch.sqlite3-wal").unlink()


def replaced(path: Path) -> None:
    shutil.copy(path / "losswatch.sqlite3", path / "copy")
    (path / "copy").replace(path / "losswatch.sqlite3")


def emptied(path: Path) -> None:
    os.truncate(path / "losswatch.sqlite3", 0)


def cut(path: Path) -> None:
    os.truncate(path / "losswatch.sqlite3", 3 * 4096)


def log_emptied(path: Path) -> None:
    os.truncate(path / "losswatch.sqlite3-wal", 0)


def overwritten(path: Path) -> None:
    with (path / "losswatch.sqlite3").open("r+b") as file:
        file.write(b"something else" * 400)


def overlaid(path: Path) -> None:
    """By another database of the same service."""
    SqliteStore.open(path.with_name("other")).close()
    (path / "losswatch.sqlite3").write_bytes((path.with_name("other") / "losswatch.sqlite3").read_bytes())


def restored(path: Path) -> None:
    """From a copy of this very database."""
    (path / "losswatch.sqlite3").write_bytes((path.with_name("backup")).read_bytes())


HAPPENS = [
    moved_away, deleted, log_deleted, replaced, emptied, cut, log_emptied, overwritten, overlaid, restored,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("happens", HAPPENS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("settled", [True, False], ids=["settled", "fresh"])
def test_nothing_is_acknowledged_into_a_file_that_is_no_longer_there(
    tmp_path: Path, happens: Callable[[Path], None], settled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    SqliteStore.open(folder).close()
    shutil.copy(folder / "losswatch.sqlite3", tmp_path / "backup")
    store = SqliteStore.open(folder)
    try:
        if settled:  # the folder has been as it is for a long time
            os.utime(folder, (time.time() - 3600,) * 2)
        for name in ("a", "b"):
            assert asyncio.run(store.write(put(name))) == 1
        assert asyncio.run(store.check()) is None
        happens(folder)
        for _ in range(3):
            with pytest.raises(StoreLostError):
                asyncio.run(store.write(put("lost")))
            with pytest.raises(StoreLostError):
                asyncio.run(names(store))
            with pytest.raises(StoreLostError):
                asyncio.run(store.check())
        assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    finally:
        store.close()
    if happens in (moved_away, deleted):
        assert not (folder / "losswatch.sqlite3").exists(), "no empty one in its place"


def test_what_others_may_do_to_a_database_in_use_is_no_loss(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "data")
    other = sqlite3.connect(store.path, isolation_level=None)
    try:
        for n in range(200):
            asyncio.run(store.write(put(f"run-{n}-{'x' * 2000}")))
        for statement in (
            "PRAGMA wal_checkpoint(TRUNCATE)", "DELETE FROM run_name", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)",
            "CREATE INDEX more ON event (at)", "PRAGMA wal_checkpoint(RESTART)",
        ):  # fmt: skip
            other.execute(statement).fetchall()
            assert asyncio.run(store.write(put(statement))) == 1
            asyncio.run(store.check())
        (tmp_path / "data" / "a file").touch()
        assert asyncio.run(store.write(put("last"))) == 1
        shutil.copy(store.path, tmp_path / "backup")
        assert len(asyncio.run(names(store))) == 6
    finally:
        other.close()
        store.close()
    SqliteStore.open(tmp_path / "data").close()


def test_an_idle_service_misses_its_database(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "data")
    try:
        deleted(tmp_path / "data")
        with pytest.raises(StoreLostError):
            asyncio.run(store.check())
        assert store.lost is not None
    finally:
        store.close()
