"""kill -9 around a send: nothing may be lost, and a second copy may only come after a crash, under the same id.

Each round forks a worker over the same store. It puts one event into the outbox and dies by SIGKILL at one of four
places: right after its deliveries were planned, between claim and send, between send and settling, or not at all.
The next worker finds what was left.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.notifications.receiver import FORK, received, receiver
from losswatch_server.alerts.egress.retry import Outcome
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.service import Alerts, AlertSettings
from losswatch_server.alerts.targets import Target
from losswatch_server.runs import Runs
from losswatch_server.store.changes import add_event
from losswatch_server.store.rows import NewEvent
from losswatch_server.store.sqlite import SqliteStore

PLACES = ("planned", "claimed", "sent", "nowhere")


@dataclass(frozen=True)
class Result:
    """Rounds, crashes by place, messages lost, copies beyond the first, copies without a crash that explains them."""

    rounds: int
    crashes: dict[str, int]
    lost: int
    copies: int
    unexplained: int


def measure(rounds: int, seed: int = 0) -> Result:
    """Play so many rounds."""
    rng = random.Random(seed)
    fast = Path("/dev/shm")
    places: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:
        data, log = Path(folder, "data"), Path(folder, "received.jsonl")
        with receiver(log) as url:
            fork(prepare, data, url)
            for number in range(rounds):
                place = rng.choice(PLACES)
                places[place] += 1
                fork(work, data, f"run-{number}", place)
            fork(work, data, "last", "nowhere")
            arrived = received(log)
    runs = Counter(message["run"] for message in arrived)
    ids = Counter(message["id"] for message in arrived)
    wanted = {f"run-{number}" for number in range(rounds)} | {"last"}
    copies = sum(ids.values()) - len(ids)
    ids_of_run = {(message["run"], message["id"]) for message in arrived}
    return Result(
        rounds=rounds,
        crashes=dict(places),
        lost=len(wanted - set(runs)),
        copies=copies,
        unexplained=max(0, copies - places["sent"]) + len(ids_of_run) - len(runs),
    )


def fork(work: object, *arguments: object) -> None:
    """Run in a child and wait until it has ended, one way or the other."""
    child = FORK.Process(target=work, args=arguments)  # type: ignore[arg-type]
    child.start()
    child.join()


def prepare(data: Path, url: str) -> None:
    """Make the store and its target."""

    async def go() -> None:
        store = SqliteStore.open(data)
        alerts = Alerts(store, Runs(store), AlertSettings(allow_private_targets=True))
        await alerts.registry.create("default", "webhook", url, {})
        await alerts.stop()
        store.close()

    asyncio.run(go())


def work(data: Path, run: str, place: str) -> None:
    """Put one event into the outbox, notify, die at ``place``; without a crash, until nothing is left to do."""
    asyncio.run(_work(data, run, place))


async def _work(data: Path, run: str, place: str) -> None:
    store = SqliteStore.open(data)
    alerts = Alerts(store, Runs(store), AlertSettings(allow_private_targets=True))
    send = alerts.deliverer.send

    async def dying(said: Message, target: Target) -> Outcome:
        if place == "claimed" and said.lead.run == run:
            os.kill(os.getpid(), signal.SIGKILL)
        outcome = await send(said, target)
        if place == "sent" and said.lead.run == run:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome

    alerts.deliverer.send = dying  # type: ignore[method-assign]
    await alerts.prepare()
    finding = {"id": f"f_{run}", "condition": "diverging", "severity": "critical", "summary": "It is diverging."}
    body = json.dumps({"run": {"context": {"group": run}}, "finding": finding}).encode()
    event = NewEvent("finding.opened", alerts.clock(), finding["id"], body)
    await store.write(lambda connection: add_event(connection, "default", f"u-{run}", run, event))
    while await alerts.dispatcher.run_once():
        pass
    if place == "planned":
        os.kill(os.getpid(), signal.SIGKILL)
    while await alerts.deliverer.run_once() or await alerts.deliverer.is_behind():
        await alerts.deliverer.drain(30)
    await alerts.stop()
    store.close()
