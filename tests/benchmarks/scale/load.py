"""Live runs: each posts one point a second in real time, whether or not the last one was answered by then.

A connection carries many runs, one request after the other. The time of an answer counts from the moment at which its
request was due, so that a service that falls behind shows it.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

RUNS_OF_A_CONNECTION = 25
GIVE_UP_S = 300.0


@dataclass(slots=True)
class Answers:
    """What came back, of one connection or of several."""

    taken: int = 0
    points: int = 0
    """Points in the requests that were taken."""
    refused: int = 0
    seconds: list[float] = field(default_factory=list)
    """From when a request was due until its answer."""

    def add(self, other: Answers) -> None:
        """Count another's, too."""
        self.taken += other.taken
        self.points += other.points
        self.refused += other.refused
        self.seconds += other.seconds

    def quantile_ms(self, percent: int) -> float:
        """So many percent took at most this long."""
        if len(self.seconds) < 2:
            return 1000 * sum(self.seconds)
        return 1000 * statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


@dataclass(slots=True)
class Level:
    """What so many live runs may miss: one answer of a hundred may be later than the bound. Then it is decided."""

    bound_s: float
    may_be_late: float
    late: int = 0

    @property
    def is_lost(self) -> bool:
        """Whether more are late already than may be at the end."""
        return self.late > self.may_be_late


class Connection(asyncio.Protocol):
    """Posts to its runs in turn: as fast as it can until each has its history, then at the pace of a point a second."""

    def __init__(self, runs: Sequence[str]) -> None:
        self._runs = list(runs)
        self._steps = [0] * len(self._runs)
        self._random = random.Random(runs[0])
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._turn = 0
        self._points = 1
        self._due = 0.0
        self.answers = Answers()
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._until: float | None = None
        self._level: Level | None = None
        self._port = 0
        self._is_waiting = False
        self._connecting: asyncio.Task[None] | None = None

    @property
    def sent(self) -> dict[str, int]:
        """How many points of each run were posted."""
        return dict(zip(self._runs, self._steps, strict=True))

    async def connect(self, port: int) -> None:
        """Open it."""
        self._port = port
        await self._loop.create_connection(lambda: self, "127.0.0.1", port)

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()

    async def build(self, points: int) -> Answers:
        """Give each run so many points, in one request each."""
        return await self._go(points, pace_s=None, seconds=None)

    async def post(self, seconds: float, pace_s: float | None = 1.0, level: Level | None = None) -> Answers:
        """Post a point of each run every ``pace_s``; None: one after another as fast as they are answered. It ends
        sooner where the level is lost."""
        return await self._go(1, pace_s=pace_s, seconds=seconds, level=level)

    async def _go(
        self, points: int, *, pace_s: float | None, seconds: float | None, level: Level | None = None
    ) -> Answers:
        self.answers, self._level = Answers(), level
        self._turn, self._points, self._pace_s = 0, points, pace_s
        self._began = self._loop.time() + (0.0 if pace_s is None else self._random.uniform(0, pace_s / len(self._runs)))
        self._until = None if seconds is None else self._began + seconds
        self._done = self._loop.create_future()
        self._next()
        await asyncio.wait_for(self._done, (seconds or 0.0) + GIVE_UP_S)
        return self.answers

    def _next(self) -> None:
        now = self._loop.time()
        over = self._turn == len(self._runs) if self._until is None else now >= self._until
        over = over or (self._level is not None and self._level.is_lost)
        if over:
            self._done.set_result(None)
            return
        self._due = now if self._pace_s is None else self._began + self._turn * self._pace_s / len(self._runs)
        self._turn += 1
        if self._due > now:
            self._loop.call_at(self._due, self._send)
        else:
            self._send()

    async def _connect_and_send(self) -> None:
        try:
            await self.connect(self._port)
        except OSError as error:
            self._done.set_exception(error)
        else:
            self._send()

    def _send(self) -> None:
        if self._transport is None or self._transport.is_closing():
            self._connecting = self._loop.create_task(self._connect_and_send())
            return
        index = (self._turn - 1) % len(self._runs)
        first = self._steps[index]
        self._steps[index] += self._points
        listed = []
        for step in range(first, first + self._points):
            noise = math.exp(0.05 * self._random.gauss(0, 1))
            listed.append({"step": step, "loss": 2.3 * (1 + step) ** -0.2 * noise, "grad_norm": 1.5 * noise})
        body = json.dumps({"points": listed}, separators=(",", ":")).encode()
        head = (
            f"POST /v1/runs/{self._runs[index]}/points HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._is_waiting = True
        self._transport.write(head.encode() + body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._is_waiting:  # a service that has too much to do closes some
            self.answers.refused += 1
            self._answered()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        place = self._received.lower().find(b"content-length: ")
        length = int(self._received[place + 16 : self._received.find(b"\r\n", place)])
        if len(self._received) < end + 4 + length:
            return
        took = self._loop.time() - self._due
        self.answers.seconds.append(took)
        if self._level is not None and took > self._level.bound_s:
            self._level.late += 1
        if self._received.startswith(b"HTTP/1.1 200"):
            self.answers.taken += 1
            self.answers.points += self._points
        else:
            self.answers.refused += 1
        self._answered()

    def _answered(self) -> None:
        self._is_waiting = False
        self._received.clear()
        self._next()


async def connected(runs: Sequence[str], ports: Sequence[int]) -> list[Connection]:
    """Connections for all the runs, spread over the services."""
    groups = [runs[first : first + RUNS_OF_A_CONNECTION] for first in range(0, len(runs), RUNS_OF_A_CONNECTION)]
    connections = [Connection(group) for group in groups]
    for number, connection in enumerate(connections):
        await connection.connect(ports[number % len(ports)])
    return connections


async def posted(
    connections: Sequence[Connection], seconds: float, pace_s: float | None = 1.0, level: Level | None = None
) -> Answers:
    """What came of all of them posting at once, for a while."""
    total = Answers()
    for answers in await asyncio.gather(*(one.post(seconds, pace_s, level) for one in connections)):
        total.add(answers)
    return total


async def built(connections: Sequence[Connection], points: int, at_once: int = 16) -> Answers:
    """Give each run its history; a few connections at a time."""
    total = Answers()
    for first in range(0, len(connections), at_once):
        some = connections[first : first + at_once]
        for answers in await asyncio.gather(*(one.build(points) for one in some)):
            total.add(answers)
    return total
