"""Play a day: use cases, store, alerts, watch and network are the real ones; only the clock is not."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.teamday.team import POST_EVERY_S, STEPS_A_POST, Job
from losswatch_server.alerts.service import Alerts, AlertSettings
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import Runs
from losswatch_server.runs.liveness.watcher import TICK_S
from losswatch_server.store.rows import StoredEvent
from losswatch_server.store.sqlite import SqliteStore

START = 1_800_000_000.0
EVALUATION_S = 240.0
AFTER_S = 2 * 3_600.0


@dataclass
class Heard:
    """A message as a receiver took it."""

    at: float
    body: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.body.get("data", {}).get("id") or json.dumps(self.body, sort_keys=True))


@dataclass
class Receiver:
    """A local HTTP server; away while ``away`` says so."""

    day: Day
    heard: list[Heard] = field(default_factory=list)
    away: tuple[float, float] = (0.0, 0.0)
    url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            is_away = self.away[0] <= self.day.now - START < self.away[1]
            if not is_away:
                self.heard.append(Heard(self.day.now, body))
            writer.write(f"HTTP/1.1 {503 if is_away else 200} X\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@dataclass
class Day:
    """What happened: the events of the store and what each receiver heard."""

    now: float = START
    slack: Receiver = field(init=False)
    webhook: Receiver = field(init=False)
    events: Sequence[StoredEvent] = ()

    def __post_init__(self) -> None:
        self.slack, self.webhook = Receiver(self), Receiver(self)


async def play(jobs: Sequence[Job], folder: Path, seed: int, kills: Sequence[float], away: tuple[float, float]) -> Day:
    """The day of these jobs. ``kills``: when (s) the process dies with a message on its way; ``away``: Slack is."""
    day = Day()
    day.slack.away = away
    store = SqliteStore.open(folder)
    runs = Runs(store, lambda: day.now)
    async with _served(day.slack), _served(day.webhook):
        alerts = await _alerts(store, runs, day, seed)
        for kind, receiver in (("slack", day.slack), ("webhook", day.webhook)):
            await alerts.registry.create("default", "webhook" if kind == "webhook" else "slack", receiver.url, {})
        alerts = await _play(jobs, day, store, runs, alerts, list(kills), seed)
        day.events = await runs.events(None, after=0, limit=1_000_000)
        await alerts.stop()
    await runs.close()
    store.close()
    return day


async def _play(
    jobs: Sequence[Job], day: Day, store: SqliteStore, runs: Runs, alerts: Alerts, kills: list[float], seed: int
) -> Alerts:
    queue = [(START + job.starts_at, number, 0) for number, job in enumerate(jobs)]
    heapq.heapify(queue)
    rngs = [random.Random(f"{seed}/{job.name}") for job in jobs]
    until = START + max(job.starts_at for job in jobs) + AFTER_S
    tick = START
    while day.now < until:
        day.now = min(tick, queue[0][0] if queue else tick)
        while queue and queue[0][0] <= day.now:
            _, number, post = heapq.heappop(queue)
            again = await _post(jobs[number], post, rngs[number], runs)
            if again is not None:
                heapq.heappush(queue, (day.now + again, number, post + 1))
        if day.now >= tick:
            await alerts.watch.tick()
            tick += TICK_S
        if kills and day.now - START >= kills[0] and await alerts.dispatcher.run_once():
            kills.pop(0)
            await alerts.deliverer.run_once()  # claimed, perhaps taken by the receiver, never settled
            await alerts.deliverer.drain(0.0)
            alerts = await _alerts(store, runs, day, seed)
        await alerts.run_once()
        await alerts.deliverer.drain(10.0)
    return alerts


async def _post(job: Job, post: int, rng: random.Random, runs: Runs) -> float | None:
    """One request of a job; after how many seconds the next, None after the last."""
    first = post * STEPS_A_POST
    points = [Point(step, loss=job.loss(step, rng)) for step in range(first, first + STEPS_A_POST)]
    context = Context(**job.context) if post == 0 and job.context else None
    answer = await runs.record("default", job.name, points, context, writer=job.name)
    assert answer.report is not None
    stops = job.obeys and answer.report.run.action == "stop"
    if stops or post + 1 >= job.posts:
        if job.crash is not None:
            await runs.finish("default", job.name, RunState.FAILED, job.crash)
        elif not job.killed:
            await runs.finish("default", job.name, RunState.FINISHED)
        return None
    pauses = job.evaluates_every is not None and post % job.evaluates_every == job.evaluates_every - 1
    return EVALUATION_S if pauses else POST_EVERY_S


async def _alerts(store: SqliteStore, runs: Runs, day: Day, seed: int) -> Alerts:
    settings = AlertSettings(allow_private_targets=True, public_url="https://losswatch.example")
    alerts = Alerts(store, runs, settings, lambda: day.now, seed=seed)
    await alerts.prepare()
    return alerts


@contextlib.asynccontextmanager
async def _served(receiver: Receiver) -> AsyncIterator[None]:
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield
