"""A stream of points to a client that goes away, and to one that reads slowly, from a real server."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.conftest import serving
from losswatch_server.app import create_app
from losswatch_server.settings import Settings

POINTS = 30_000
NAME = "a-metric-with-a-long-name-so-that-no-buffer-of-the-system-holds-the-whole-series" * 2


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true within a minute."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


class Served:
    """A service with one run, which counts how many parts of a series it reads."""

    def __init__(self, app: Any, address: tuple[str, int], data: Path) -> None:
        self.app, self.address, self.data = app, address, data
        self.url = f"http://{address[0]}:{address[1]}"
        self.parts = 0
        store = app.state.runs._store
        read = store.next_window

        async def counted(*given: Any) -> Any:
            self.parts += 1
            return await read(*given)

        store.next_window = counted

    @contextmanager
    def reader(self) -> Iterator[socket.socket]:
        """Has asked for the whole series, and has read its first bytes."""
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(self.address)
            client.sendall(
                b"GET /v1/runs/long/points HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n"
            )
            assert client.recv(1024).startswith(b"HTTP/1.1 200")
            yield client


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app = create_app(Settings(data_dir=tmp_path))
    with serving(app) as address:
        served = Served(app, address, tmp_path)
        points = [{"step": i, "metrics": {NAME: i / 7}} for i in range(POINTS)]
        body = json.dumps({"points": points})
        httpx.post(f"{served.url}/v1/runs/long/points?report=false", content=body, timeout=120).raise_for_status()
        yield served


@pytest.mark.slow
def test_a_client_that_goes_away_ends_the_work_and_gives_its_memory_back(served: Served) -> None:
    httpx.get(f"{served.url}/v1/runs/long/points", headers={"Accept": "application/x-ndjson"}, timeout=120)
    whole, served.parts = served.parts, 0
    with served.reader():
        assert served.app.memory.held > 0
    assert eventually(lambda: served.app.memory.held == 0)
    assert 0 < served.parts < whole


@pytest.mark.slow
def test_a_client_that_reads_slowly_keeps_no_transaction_open(served: Served) -> None:
    with served.reader():
        for step in range(50):
            httpx.post(f"{served.url}/v1/runs/other/points", json={"step": step, "loss": 1.0}).raise_for_status()
        with sqlite3.connect(served.data / "losswatch.sqlite3") as connection:
            busy, frames, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, frames) == (0, 0), "the log can be emptied while the stream stands still"
        assert served.app.memory.held > 0, "and it does stand still"
