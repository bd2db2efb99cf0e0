"""The servers that are compared; each runs in a process of its own: ``python -m benchmarks.ingest.servers KIND``."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

from losswatch_server.app import create_app
from losswatch_server.cli.serve import serve
from losswatch_server.settings import Settings

Serve = Callable[[Path], None]
"""Serves with its data in a directory, and prints its port on a line of its own, until it is told to stop."""


class EchoPoint(BaseModel):
    step: Annotated[int, Field(ge=0)]
    loss: float | None = None
    grad_norm: float | None = None


class EchoBody(BaseModel):
    points: list[EchoPoint]


class Echoed(BaseModel):
    run: str
    accepted: int
    last: EchoPoint | None


def echo(directory: Path) -> FastAPI:
    """FastAPI with pydantic on both sides, doing nothing: "E" of the targets."""
    app = FastAPI()

    @app.post("/v1/runs/{run}/points")
    async def post(run: str, body: EchoBody) -> Echoed:
        return Echoed(run=run, accepted=len(body.points), last=body.points[-1] if body.points else None)

    return app


def transaction_per_request(directory: Path) -> FastAPI:
    """The same, with a row for each point in SQLite and a durable commit for each request."""
    app = FastAPI()
    database = sqlite3.connect(directory / "points.sqlite", check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE point (run TEXT, step INTEGER, loss REAL, grad_norm REAL, PRIMARY KEY (run, step))")

    @app.post("/v1/runs/{run}/points")
    async def post(run: str, body: EchoBody) -> Echoed:
        database.execute("BEGIN")
        database.executemany(
            "INSERT OR IGNORE INTO point VALUES (?, ?, ?, ?)",
            [(run, point.step, point.loss, point.grad_norm) for point in body.points],
        )
        database.execute("COMMIT")
        return Echoed(run=run, accepted=len(body.points), last=body.points[-1] if body.points else None)

    return app


def losswatch(directory: Path) -> None:
    """The service as it is, process and all: durable, judged by every detector, answering with the whole report. With
    memory for two diagnoses of 50 MB at a time."""
    _serve(Settings(port=0, data_dir=directory, request_memory_mib=1024))


def postgresql(directory: Path) -> None:
    """The same on the database of LOSSWATCH_DATABASE."""
    _serve(Settings(port=0, database=os.environ["LOSSWATCH_DATABASE"], request_memory_mib=1024))


def _serve(settings: Settings) -> None:
    app = create_app(settings)
    _tell_cpu(app)
    serve(app, settings, lambda address: print(address.rpartition(":")[2], flush=True))


def _bare(make: Callable[[Path], FastAPI]) -> Serve:
    """With uvicorn as it comes."""

    def serve_it(directory: Path) -> None:
        app = make(directory)
        _tell_cpu(app)
        with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
            print(listening.getsockname()[1], flush=True)
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
            server.run([listening])

    return serve_it


def _tell_cpu(app: FastAPI) -> None:
    @app.get("/cpu")
    async def cpu() -> float:
        return time.process_time()


KINDS: dict[str, Serve] = {
    "echo": _bare(echo),
    "transaction": _bare(transaction_per_request),
    "losswatch": losswatch,
}
MORE: dict[str, Serve] = {"postgresql": postgresql}
"""What is measured elsewhere."""


def main() -> None:
    """Serve on a free port, print it, and stop when told to."""
    with TemporaryDirectory(prefix="losswatch-bench-") as directory:
        (KINDS | MORE)[sys.argv[1]](Path(directory))


if __name__ == "__main__":
    main()
