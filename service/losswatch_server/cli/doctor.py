"""``losswatch-server doctor``: what is wrong, or soon will be, with the place where a service keeps its data."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

import losswatch_server
from losswatch_server.cli.place import Config, Data, Database, place_of

if TYPE_CHECKING:
    from losswatch_server.store.health import Health

LEAST_FREE, LEAST_SHARE = 1 << 30, 0.05
"""Of the disk: what is less fills within a day of many runs."""
SLOW_S = 0.1
"""Each answer waits for the disk once."""
AHEAD_S = 60.0
OVERDUE_S = 600.0
UNREAD = 10_000

OK, WARNING, WRONG = "ok", "warning", "wrong"


class Examined(NamedTuple):
    """What was looked at, how it is, and what to know or do about it."""

    what: str
    state: str
    said: str


def doctor(
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Examine a data folder or a database, also beside a service: database, disk, clock, targets, versions.

    Exit status: 0 nothing is wrong, 1 something is.
    """
    found = list(examine(place_of(data, database, config), time.time()))
    for one in found:
        typer.echo(f"{one.state:<8} {one.what:<10} {one.said}")
    raise typer.Exit(int(any(one.state == WRONG for one in found)))


def examine(place: Path | str, now: float) -> Iterator[Examined]:
    """Every finding, the general ones first."""
    yield Examined(
        "versions",
        OK,
        f"losswatch-server {losswatch_server.__version__}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release()}",
    )
    if isinstance(place, str):
        yield from _server(place, now)
        return
    folder = place
    if not folder.is_dir():
        yield Examined("folder", WRONG, f"there is no folder {folder}; the service makes it when it starts")
        return
    yield from _folder(folder)
    yield from _disk(folder)
    yield from _database(folder, now)


def _folder(folder: Path) -> Iterator[Examined]:
    from losswatch_server.store.datadir import DATABASE

    if os.name == "posix":
        for path in (folder / DATABASE, folder / f"{DATABASE}-wal"):
            with contextlib.suppress(FileNotFoundError):
                if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
                    yield Examined("folder", WRONG, f"{path} can be read by others (mode {mode:o}): chmod 600 it")
                    return
        if not os.access(folder, os.W_OK):
            yield Examined("folder", WRONG, f"this user cannot write to {folder}")
            return
    yield Examined("folder", OK, f"{folder} is for its owner alone")


def _disk(folder: Path) -> Iterator[Examined]:
    usage = shutil.disk_usage(folder)
    free = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.0f}"
    scarce = usage.free < LEAST_FREE or usage.free < LEAST_SHARE * usage.total
    yield Examined("disk", WARNING if scarce else OK, free + ("; a full disk stops the service" if scarce else ""))
    probe = folder / "losswatch.doctor"
    try:
        began = time.perf_counter()
        with probe.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        took = time.perf_counter() - began
    except OSError as error:
        yield Examined("disk", WRONG, f"nothing can be written there: {error.strerror}")
    else:
        slow = "; each answer waits that long" if took > SLOW_S else ""
        yield Examined("disk", WARNING if slow else OK, f"synchronised 4 KiB in {1000 * took:.1f} ms{slow}")
    finally:
        probe.unlink(missing_ok=True)


def _database(folder: Path, now: float) -> Iterator[Examined]:
    from losswatch_server.store import schema
    from losswatch_server.store.datadir import DATABASE
    from losswatch_server.store.health import damage, health

    path, newest = folder / DATABASE, schema.head()
    try:
        found = schema.current(path)
        if found is None:
            yield Examined("database", WRONG, f"there is no database in {folder}; the service makes it when it starts")
            return
        if found < newest:
            yield Examined("database", WARNING, f"schema {found}, this version has {newest}: the service upgrades it")
            return
        if found > newest and (schema.oldest(path) or found) > newest:
            yield Examined("database", WRONG, f"schema {found}, this version has {newest}: a newer version wrote it")
            return
        with contextlib.closing(schema.connect_reader(path)) as connection:
            seen, damaged = health(connection, now), damage(connection)
    except (sqlite3.Error, OSError) as error:
        yield Examined("database", WRONG, f"it cannot be read: {error}; put a backup back (losswatch-server restore)")
        return
    size = path.stat().st_size / 1e6
    if damaged is not None:
        yield Examined("database", WRONG, f"damaged: {damaged}; put a backup back (losswatch-server restore)")
    else:
        yield Examined(
            "database", OK, f"schema {found}, {seen.runs} {'run' if seen.runs == 1 else 'runs'}, {size:.1f} MB, sound"
        )
    yield from _inside(seen, now)


def _server(address: str, now: float) -> Iterator[Examined]:
    from losswatch_server.store import schema
    from losswatch_server.store.health import health
    from losswatch_server.store.places import look, shown

    seen = look(address, schema.head(), partial(health, now=now))
    if seen is None:
        what = "nothing can be read there, or its schema is older: losswatch-server migrate says more"
        yield Examined("database", WRONG, f"{shown(address)}: {what}")
        return
    yield Examined("database", OK, f"{shown(address)}: schema {schema.head()}, {seen.runs} runs")
    yield from _inside(seen, now)


def _inside(seen: Health, now: float) -> Iterator[Examined]:
    ahead = 0.0 if seen.newest is None else seen.newest - now
    if ahead > AHEAD_S:
        yield Examined("clock", WRONG, f"the last point came {ahead:.0f} s from now: the clock was or is wrong")
    else:
        yield Examined("clock", OK, f"{time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(now))}; no point is newer")
    yield from _notifications(seen.targets, seen.unread_events, seen.overdue, now)
    keys = f"{seen.active_keys} active" if seen.active_keys else "none active: on loopback alone, or no calls at all"
    yield Examined("keys", OK, keys)


def _notifications(targets: dict[str, int], unread: int, overdue: float | None, now: float) -> Iterator[Examined]:
    failing = sum(count for state, count in targets.items() if state != "active")
    said = ", ".join(f"{count} {state}" for state, count in sorted(targets.items())) or "none"
    more = "; losswatch-server targets list says why" if failing else ""
    yield Examined("targets", WARNING if failing else OK, said + more)
    if overdue is not None and now - overdue > OVERDUE_S:
        yield Examined(
            "targets", WARNING, f"a message waits since {(now - overdue) / 60:.0f} min: is a service running?"
        )
    if unread > UNREAD:
        yield Examined("targets", WARNING, f"{unread} events were not looked at: is a service running?")
