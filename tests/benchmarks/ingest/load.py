"""The load: connections that each post to a run of their own, one request after the other, for a while.

A run is 1000 points old when it is first measured, and goes on from cell to cell: training is long, and what a
connection does most is to go on with a run, not to begin one.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

_runs = count()
HISTORY = 1000
"""Points that a run has when it is first measured."""
AGAIN_S = 0.1
"""After so long what was turned away (503) is sent again; its latency counts from when it was first sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One cell of the table, measured once."""

    server: str
    connections: int
    points: int
    requests: int
    seconds: float
    cpu_s: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests per second of the clock."""
        return self.requests / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of the server's processor time: steadier than the clock where others work too."""
        return self.requests / max(self.cpu_s, 1e-9)


@contextmanager
def served(kind: str) -> Iterator[int]:
    """The port of a server of this kind, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ingest.servers", kind], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        ready(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


async def connect(port: int, *, connections: int, points: int, history: int = HISTORY) -> list[Client]:
    """Clients that post ``points`` at a time, each to a run that has ``history`` points already."""
    clients = []
    for _ in range(connections):
        client = Client(points, history)
        await client.begin_run(port)
        clients.append(client)
    return clients


async def load(server: str, port: int, clients: Sequence[Client], *, seconds: float) -> Sample:
    """Post for ``seconds``; raises RuntimeError for any answer but 200 and 503."""
    for client in clients:  # the server has closed what was idle for too long
        await client.connect(port)
    cpu = await asyncio.to_thread(_cpu, port)
    began = time.perf_counter()
    for client in clients:
        client.begin()
    await asyncio.sleep(seconds)
    for client in clients:
        client.stopping = True
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), 60)
    took = time.perf_counter() - began
    used = await asyncio.to_thread(_cpu, port) - cpu
    latencies = [latency for client in clients for latency in client.latencies]
    cuts = statistics.quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else latencies * 99
    return Sample(
        server=server,
        connections=len(clients),
        points=clients[0].points,
        requests=len(latencies),
        seconds=took,
        cpu_s=used,
        p50_ms=1000 * cuts[49],
        p99_ms=1000 * cuts[98],
    )


class Client(asyncio.Protocol):
    """The least HTTP that keeps one connection busy, so that the client is not what is measured."""

    def __init__(self, points: int, history: int) -> None:
        self.points = points
        self.run = f"bench-{next(_runs)}"
        self.step = 0
        self.random = random.Random(points)
        self.latencies: list[float] = []
        self.stopping = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = bytearray()
        self._sent_at = 0.0
        self._last = b""
        self._next = self._request(history)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    async def connect(self, port: int) -> None:
        """Connect, or connect anew."""
        self.close()
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)

    async def begin_run(self, port: int) -> None:
        """Connect, and post what the run has before it is measured."""
        await self.connect(port)
        self.begin(last=True)
        await asyncio.wait_for(self.done, 60)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.transport is not None:
            self.transport.close()

    def begin(self, *, last: bool = False) -> None:
        """Post until told to stop; ``last``: one request alone."""
        self.latencies.clear()
        self.done = asyncio.get_running_loop().create_future()
        self.stopping = last
        self.post()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the connection was lost: {error}"))

    def post(self) -> None:
        self._last = self._next
        self._sent_at = time.perf_counter()
        self._write()
        self._next = self._request(self.points)

    def _write(self) -> None:
        assert self.transport is not None
        self.transport.write(self._last)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        place = self._received.find(b"content-length: ")
        length = int(self._received[place + 16 : self._received.find(b"\r\n", place)])
        if len(self._received) < end + 4 + length:
            return
        if self._received.startswith(b"HTTP/1.1 503"):
            self._received.clear()
            asyncio.get_running_loop().call_later(AGAIN_S, self._write)
            return
        self.latencies.append(time.perf_counter() - self._sent_at)
        if not self._received.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._received.decode(errors="replace")[:500]))
            return
        self._received.clear()
        if self.stopping:
            self.done.set_result(None)
        else:
            self.post()

    def _request(self, points: int) -> bytes:
        """Healthy training: a noisy loss that falls like a power law."""
        listed = []
        for step in range(self.step, self.step + points):
            noise = math.exp(0.05 * self.random.gauss(0, 1))
            listed.append({"step": step, "loss": 2.3 * (1 + step) ** -0.2 * noise, "grad_norm": 1.5 * noise})
        self.step += points
        return self.message(listed)

    def message(self, listed: list[dict[str, Any]]) -> bytes:
        """The request that brings these points."""
        body = json.dumps({"points": listed}, separators=(",", ":")).encode()
        return self.head(f"/v1/runs/{self.run}/points", len(body)) + body

    def head(self, path: str, length: int, more: str = "") -> bytes:
        """That of a request with a JSON body; ``more`` are lines of it."""
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()


class PacedClient(Client):
    """One connection that carries many runs, each of which posts one point a second whether or not the last one was
    answered in time. Latency counts from when a point was due."""

    def __init__(self, runs: int) -> None:
        self.runs = [f"paced-{next(_runs)}" for _ in range(runs)]
        self.turn = 0
        self.sent = 0
        self.began = 0.0
        super().__init__(points=1, history=1)

    def begin(self, *, last: bool = False) -> None:
        """Post until told to stop, each run at its own moment of the second."""
        self.sent = 0
        self.began = asyncio.get_running_loop().time()
        super().begin(last=last)

    def post(self) -> None:
        loop = asyncio.get_running_loop()
        due = self.began + self.sent / len(self.runs)
        self.sent += 1
        if due > loop.time():
            loop.call_at(due, self._send, due)
        else:
            self._send(due)

    def _send(self, due: float) -> None:
        super().post()
        # the clock of the loop and that of the latencies have one second, if not one zero
        self._sent_at -= max(0.0, asyncio.get_running_loop().time() - due)

    def _request(self, points: int) -> bytes:
        self.run, self.step = self.runs[self.turn % len(self.runs)], self.turn // len(self.runs)
        self.turn += 1
        return super()._request(points)


async def paced(port: int, *, runs: int, connections: int, seconds: float) -> Sample:
    """``runs`` live runs that each post a point a second, for a while."""
    clients = [PacedClient(runs // connections) for _ in range(connections)]
    await load("losswatch", port, clients, seconds=2.0)  # connects them, and then the runs exist
    sample = await load("losswatch", port, clients, seconds=seconds)
    for client in clients:
        client.close()
    return sample


def _cpu(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/cpu", timeout=30) as answer:
        return float(answer.read())


def ready(port: int) -> None:
    """Wait until a server answers there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            _cpu(port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
