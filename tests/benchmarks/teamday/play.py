"""Play a day: use cases, store, alerts, watch and network are the real ones; only the clock is not."""

from __future__ import annotations

import contextlib
import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.teamday.receivers import Receiver
from benchmarks.teamday.team import POST_EVERY_S, STEPS_A_POST, Job
from losswatch_server.alerts.channels.channel import MailServer
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
KINDS = ("slack", "webhook", "pagerduty", "email")


@dataclass
class Day:
    """What happened: the events of the store and what each receiver heard, by the kind of its target."""

    now: float = START
    receivers: dict[str, Receiver] = field(init=False)
    events: Sequence[StoredEvent] = ()
    mail: MailServer | None = None

    def __post_init__(self) -> None:
        self.receivers = {kind: Receiver(kind, lambda: self.now, START) for kind in KINDS}


async def play(jobs: Sequence[Job], folder: Path, seed: int, kills: Sequence[float], away: tuple[float, float]) -> Day:
    """The day of these jobs. ``kills``: when (s) the process dies with a message on its way; ``away``: Slack is."""
    day = Day()
    day.receivers["slack"].away = away
    store = SqliteStore.open(folder)
    runs = Runs(store, lambda: day.now)
    async with contextlib.AsyncExitStack() as served:
        ports = {kind: await served.enter_async_context(to.serving()) for kind, to in day.receivers.items()}
        day.mail = MailServer(host="127.0.0.1", port=ports["email"], security="none", sender="watch@example.org")
        alerts = await _alerts(store, runs, day, seed)
        for kind, receiver in day.receivers.items():
            key = "R" * 32 if kind == "pagerduty" else None
            await alerts.registry.create("default", kind, receiver.url, {}, routing_key=key)
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
    settings = AlertSettings(allow_private_targets=True, public_url="https://losswatch.example", mail=day.mail)
    alerts = Alerts(store, runs, settings, lambda: day.now, seed=seed)
    await alerts.prepare()
    return alerts
