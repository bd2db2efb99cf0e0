"""Where the processor time of a request goes: the share of each stage, within the application and without HTTP.

``python -m benchmarks.ingest.stages`` (with ``tests`` on the path) prints it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from fastapi import FastAPI

from losswatch_server import codec
from losswatch_server.api.routes import points as route
from losswatch_server.app import create_app
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.runs import live_run, recording, run_cache
from losswatch_server.settings import Settings

HISTORY = 1000

STAGES: tuple[tuple[str, Any, str], ...] = (
    ("decode the body", codec, "read_body"),
    ("decide what is new", recording, "in_order"),
    ("decide what is new", recording, "accept"),
    ("judge (fold)", Monitor, "see_all"),
    ("freeze snapshots", live_run, "freeze"),
    ("pack for the record", recording, "write"),
    ("make the report", run_cache, "assess"),
    ("encode the answer", route, "report_bytes"),
)
"""What each stage is called, and the function in which its time is spent."""
REST, WRITER, BESIDE = "the rest of the loop", "the writer's thread", "seal, sum up, read (threads)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Microseconds of processor time that a request of so many points costs, by stage."""

    points: int
    kind: str
    spent_us: dict[str, float]

    @property
    def total_us(self) -> float:
        """Of one request."""
        return sum(self.spent_us.values())


def stages(points: int, requests: int, kind: str, runs: int) -> Stages:
    """So many runs at once, each of which posts one request after the other; ``requests`` in all. ``kind``:
    ``healthy``, or ``spiked`` with a finding."""
    with TemporaryDirectory(prefix="losswatch-bench-") as folder:
        return asyncio.run(_follow(create_app(Settings(data_dir=Path(folder))), points, requests, kind, runs))


async def _follow(app: FastAPI, points: int, requests: int, kind: str, runs: int) -> Stages:
    draw = random.Random(1)
    spent: dict[str, float] = {}

    def body(first: int, count: int) -> bytes:
        listed = []
        for step in range(first, first + count):
            loss = 2.3 * (1 + step) ** -0.2 * (1 + 0.05 * draw.gauss(0, 1))
            if kind == "spiked" and step == HISTORY // 2:
                loss *= 30
            listed.append({"step": step, "loss": loss, "grad_norm": 1.5 * draw.random()})
        return json.dumps({"points": listed}, separators=(",", ":")).encode()

    async with app.router.lifespan_context(app):
        bodies = [body(HISTORY + points * number, points) for number in range(requests // runs)]

        async def post_all(run: str) -> None:
            for request in bodies:
                await _post(app, run, request)

        for number in range(runs):
            await _post(app, f"run-{number}", body(0, HISTORY))
        with contextlib.ExitStack() as stack:
            for name, place, function in STAGES:
                stack.enter_context(patch.object(place, function, _timed(getattr(place, function), name, spent)))
            before, began = _of_threads(), time.thread_time()
            await asyncio.gather(*(post_all(f"run-{number}") for number in range(runs)))
            await app.state.runs.close()
            loop_s = time.thread_time() - began
            after = _of_threads()
    spent[REST] = max(0.0, loop_s - sum(spent.values()))
    for name in (WRITER, BESIDE):
        spent[name] = max(0.0, after.get(name, 0.0) - before.get(name, 0.0))
    each = {name: 1e6 * seconds / (len(bodies) * runs) for name, seconds in spent.items()}
    return Stages(points=points, kind=kind, spent_us=each)


def _timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    loop = threading.get_ident()

    def timed(*given: Any, **named: Any) -> Any:
        if threading.get_ident() != loop:
            return function(*given, **named)
        began = time.thread_time()
        try:
            return function(*given, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.thread_time() - began

    return timed


def _of_threads() -> dict[str, float]:
    """Processor seconds of the threads beside the loop."""
    found: dict[str, float] = {}
    for thread in threading.enumerate():
        if thread.ident is not None and thread is not threading.current_thread():
            name = WRITER if "writer" in thread.name else BESIDE
            used = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            found[name] = found.get(name, 0.0) + used
    return found


async def _post(app: FastAPI, run: str, body: bytes) -> None:
    status: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    headers = [(b"host", b"127.0.0.1:8000"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/v1/runs/{run}/points",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "app": app,
    }
    await app(scope, receive, send)
    if status != [200]:
        raise RuntimeError(f"answered {status}")


CELLS = ((1, 3200, "healthy", 32), (1, 3200, "spiked", 32), (100, 320, "healthy", 8))


def measured(cells: tuple[tuple[int, int, str, int], ...] = CELLS) -> list[Stages]:
    """Of one point, healthy and with a finding, and of a hundred."""
    return [stages(*cell) for cell in cells]


def text(found: list[Stages]) -> str:
    """The table: a column for each kind of request."""
    heads = [f"{one.points} pt{'s' if one.points > 1 else ''}, {one.kind}" for one in found]
    lines = [f"{'share of processor time in the application':<44}" + "".join(f"{head:>18}" for head in heads)]
    for name in dict.fromkeys([*(stage for stage, _, _ in STAGES), REST, WRITER, BESIDE]):
        shares = [one.spent_us.get(name, 0.0) / one.total_us for one in found]
        lines.append(f"  {name:<42}" + "".join(f"{100 * share:>16.0f} %" for share in shares))
    lines.append(f"{'microseconds a request':<44}" + "".join(f"{one.total_us:>18.0f}" for one in found))
    return "\n".join(lines)


def main() -> None:
    print(text(measured()))


if __name__ == "__main__":
    main()
