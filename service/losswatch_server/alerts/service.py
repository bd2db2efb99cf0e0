"""Alerts: what reads the outbox, sends what follows, and watches for runs that fall silent, as supervised jobs."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from losswatch_server.alerts.channels.channel import ChannelDeps, Links, MailServer, unsigned
from losswatch_server.alerts.charts import Charts
from losswatch_server.alerts.deliverer import Deliverer
from losswatch_server.alerts.dispatcher import Dispatcher
from losswatch_server.alerts.egress.client import EgressClient
from losswatch_server.alerts.egress.redaction import ScrubbingFilter
from losswatch_server.alerts.metrics import DeliveryMetrics
from losswatch_server.alerts.registry import Registry
from losswatch_server.alerts.targets_file import install, read_targets
from losswatch_server.pictures.gather import RunReader
from losswatch_server.runs.liveness.watcher import LONGEST_RETRY_S, SilenceMarker, Watch
from losswatch_server.store.alerting import deliveries, outbox
from losswatch_server.store.transactions import Transactions
from losswatch_server.supervision import Supervisor

logger = logging.getLogger(__name__)
logger.addFilter(ScrubbingFilter())

SHORTEST_PASS_S = 0.05
"""Between two looks at the outbox: with thousands of commits a second it is read twenty times, not thousands."""

LONGEST_PASS_S = 5.0
"""Without a commit and without a timer: what another worker wrote is found after this long."""

TIDY_EVERY_S = 3_600.0
KEEP_INCIDENTS_S = 86_400.0
KEEP_DELIVERIES_S = 30 * 86_400.0
KEEP_EVENTS_S = 7 * 86_400.0
"""An event that was read into notifications is kept this long for those who follow events and were away."""
TIDY_PAUSE_S = 1.0
"""Between two of its writes while there is more to forget, so that nobody waits for it."""
DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """What the operator decides. ``alone``: no other process works on this store, so that claims found at the start
    are those of a process that died. ``public_url`` is where people reach the service; it is a guess where
    ``public_url_is_known`` is false. ``sign_picture`` gives the token for a picture (project, path), where one is
    needed."""

    allow_private_targets: bool = False
    public_url: str | None = None
    public_url_is_known: bool = True
    mail: MailServer | None = None
    targets_file: Path | None = None
    alone: bool = True
    send_timeout_s: float = 15.0
    sign_picture: Callable[[str, str], str | None] = unsigned


class RunsOfAlerts(SilenceMarker, RunReader, Protocol):
    """The use cases that alerts need; ``Runs`` has them."""


class Alerts:
    """Start it beside the service; ``wake`` it after every commit."""

    def __init__(
        self,
        store: Transactions,
        runs: RunsOfAlerts,
        settings: AlertSettings | None = None,
        clock: Callable[[], float] = time.time,
        *,
        egress: EgressClient | None = None,
        metrics: DeliveryMetrics | None = None,
        supervisor: Supervisor | None = None,
        seed: int | None = None,
    ) -> None:
        self._settings = settings or AlertSettings()
        self._store = store
        self.clock = clock
        self._egress = egress or EgressClient(
            allow_private=self._settings.allow_private_targets, timeout_s=self._settings.send_timeout_s
        )
        links = Links(
            self._settings.public_url,
            only_here=not self._settings.public_url_is_known,
            sign=self._settings.sign_picture,
        )
        self._deps = ChannelDeps(
            egress=self._egress, links=links, clock=clock, mail=self._settings.mail, draw=Charts(runs).draw
        )
        self._awake = asyncio.Event()
        self._supervisor = supervisor or Supervisor()
        worker, counted = secrets.token_hex(8), metrics or DeliveryMetrics()
        self.dispatcher = Dispatcher(store, clock, new_message_id)
        self.deliverer = Deliverer(store, self._deps, worker, new_message_id, random.Random(seed), self.wake, counted)
        self.watch = Watch(store, runs, clock)
        self.registry = Registry(
            store,
            self._deps,
            self.deliverer,
            new_message_id,
            self.wake,
            allow_private=self._settings.allow_private_targets,
        )

    async def start(self) -> None:
        """Install the targets file and begin. Raises TargetsFileError."""
        await self.prepare()
        self._supervisor.start("notifications", self._pass, self._awake, longest_pause_s=LONGEST_RETRY_S)
        self._supervisor.start("watch for silent runs", self.watch.look, longest_pause_s=LONGEST_RETRY_S)
        self._supervisor.start("tidying", self._tidy)

    async def prepare(self) -> None:
        """What ``start`` does before the first pass."""
        path = self._settings.targets_file
        if path is not None:
            allow_private = self._settings.allow_private_targets
            found = await asyncio.to_thread(read_targets, path, self.clock(), allow_private=allow_private)
            await install(self._store, found)
        if self._settings.alone:
            await self._store.write(deliveries.release_all)
        await self.deliverer.count_targets()
        if (warning := self._deps.links.warning) and await self.registry.any_targets():
            logger.warning("%s", warning)

    async def stop(self) -> None:
        """Stop looking, let what is being sent end for a few seconds."""
        await self._supervisor.stop()
        await self.deliverer.drain(DRAIN_S)
        await self._egress.close()

    def wake(self) -> None:
        """Something was committed. Cheap; may be called from the loop at any rate."""
        self._awake.set()

    async def run_once(self) -> None:
        """One pass: the outbox and the timers, then the deliveries."""
        while await self.dispatcher.run_once():
            pass
        await self.deliverer.run_once()

    async def _pass(self) -> float:
        began = time.monotonic()
        await self.run_once()
        pause = await self._pause()
        await asyncio.sleep(max(0.0, SHORTEST_PASS_S - (time.monotonic() - began)))
        return pause

    async def _pause(self) -> float:
        """How long nothing is due; a second where what is due cannot be sent yet."""
        now = self.clock()
        due = [at for at in (await self.dispatcher.next_due(), await self.deliverer.next_due()) if at is not None]
        if not due:
            return LONGEST_PASS_S
        ahead = min(due) - now
        return min(LONGEST_PASS_S, ahead if ahead > SHORTEST_PASS_S else 1.0)

    async def _tidy(self) -> float:
        """Forget what nobody needs any more, a little at a time; after how many seconds to do so again."""
        if not await self._store.leads("tidying", TIDY_EVERY_S):
            return TIDY_EVERY_S
        now = self.clock()
        before = outbox.Before(
            incident=now - KEEP_INCIDENTS_S, delivery=now - KEEP_DELIVERIES_S, event=now - KEEP_EVENTS_S
        )
        is_done = await self._store.write(partial(outbox.tidy, before=before))
        return TIDY_EVERY_S if is_done else TIDY_PAUSE_S


def new_message_id() -> str:
    """A fresh id: 96 random bits, without dots."""
    return "msg_" + secrets.token_hex(12)
