"""Services as they are started by hand, on a SQLite file or on one PostgreSQL server, and what they use."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from losswatch_server.store.datadir import DATABASE

if TYPE_CHECKING:
    from postgres import PostgresServer


@dataclass(frozen=True, slots=True)
class Used:
    """Processor seconds since the start, of the services and of PostgreSQL."""

    service_s: float
    database_s: float

    def since(self, before: Used) -> Used:
        """What was used between."""
        # A process of PostgreSQL that has ended since takes what it used with it.
        return Used(self.service_s - before.service_s, max(0.0, self.database_s - before.database_s))


class Services:
    """``count`` services on one database. ``name`` is what the tables call them."""

    def __init__(self, name: str, processes: list[psutil.Process], ports: list[int], data: Path, url: str | None,
                 server: PostgresServer | None) -> None:  # fmt: skip
        self.name = name
        self.ports = ports
        self.url = url
        self._processes = processes
        self._data = data
        self._server = server

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.ports)

    def used(self) -> Used:
        """Until now."""
        service = sum(sum(process.cpu_times()[:2]) for process in self._processes)
        database = 0.0
        if self._server is not None:
            main = psutil.Process(self._server.pid)
            for process in (main, *main.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    database += sum(process.cpu_times()[:2])
        return Used(service, database)

    def memory(self) -> int:
        """Bytes that the services hold in memory, together."""
        return sum(process.memory_info().rss for process in self._processes)

    def disk(self) -> int:
        """Bytes of the database, without what was deleted in it: PostgreSQL uses that room again."""
        if self.url is None:
            with contextlib.closing(sqlite3.connect(self._data / DATABASE)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                (pages, free, size) = (
                    connection.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("page_count", "freelist_count", "page_size")
                )
            return int((pages - free) * size)
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM FULL")
            found = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return 0 if found is None else int(found[0])


@contextlib.contextmanager
def services(kind: str, count: int, live_runs: int, *, safe: bool = True) -> Iterator[Services]:
    """``kind``: ``sqlite`` or ``postgresql``. ``safe``: what PostgreSQL answers is on the disk, as SQLite's is."""
    from postgres import PostgresServer

    with contextlib.ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="losswatch-scale-")))
        server = url = None
        place = ["--data", str(data)]
        if kind == "postgresql":
            server = PostgresServer(safe=safe)
            stack.callback(server.remove)
            url = server.url()
            place = ["--database", url]
        environment = os.environ | {
            "LOSSWATCH_LIVE_RUNS": str(live_runs),
            "LOSSWATCH_MAX_CONNECTIONS": "10000",
            "LOSSWATCH_IDLE_TIMEOUT_S": "3600",
            "LOSSWATCH_LOG_LEVEL": "warning",
        }
        processes, ports = [], []
        for _ in range(count):
            command = [sys.executable, "-m", "losswatch_server", "serve", "--port", "0", *place]
            started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            stack.callback(_stop, started)
            assert started.stdout is not None
            found = re.search(r":(\d+)", started.stdout.readline())
            assert found is not None, "the service said no address"
            ports.append(int(found[1]))
            processes.append(psutil.Process(started.pid))
        yield Services(f"{kind}, {count} service{'s' * (count > 1)}", processes, ports, data, url, server)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(60)
    if process.stdout is not None:
        process.stdout.close()
