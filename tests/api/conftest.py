"""The application over a real store, in this process and behind a real server."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from losswatch_server.app import create_app
from losswatch_server.settings import Settings

_NUMBERS = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--all-damages``: do every damage to every column of the database (make soak)."""
    parser.addoption("--all-damages", action="store_true", help="every damage to every column of the database")


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One application for all tests; each uses a run of its own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    with TestClient(create_app(settings), "http://localhost") as client:
        yield client


@pytest.fixture
def run() -> str:
    """A name that no other test uses."""
    return f"run-{next(_NUMBERS)}"


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"project-{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Host and port of a real server."""
    with serving(create_app(Settings(data_dir=tmp_path_factory.mktemp("served")))) as place:
        yield place


@pytest.fixture(scope="session")
def quiet_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A real server that sends no notifications: what a fuzzer makes up as a target must never be called."""
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("quiet")))
    whole = app.router.lifespan_context

    async def nothing() -> None:
        return

    @asynccontextmanager
    async def without_notifications(app: FastAPI) -> AsyncIterator[Mapping[str, Any] | None]:
        async with whole(app) as state:
            app.state.alerts.run_once = nothing
            yield state

    app.router.lifespan_context = without_notifications
    with serving(app) as place:
        yield place


class serving:  # noqa: N801 - used as a function
    """A real uvicorn on a free port in a thread."""

    def __init__(self, app: FastAPI) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def __enter__(self) -> tuple[str, int]:
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)
        host, port = self._socket.getsockname()
        return host, port

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self._socket.close()
