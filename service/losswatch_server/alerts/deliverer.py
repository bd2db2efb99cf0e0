"""Deliverer: takes what is due through claim, send and settle, many receivers at a time.

At least once: a process killed between claim and settle leaves a claim that lapses; the next worker sends the same
message under the same id. One message per target is under way at a time, and the next of a lane only after the one
before it has ended, so that a receiver hears of a run in order.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.channels.channel import ChannelDeps
from losswatch_server.alerts.egress.redaction import ScrubbingFilter
from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.metrics import DeliveryMetrics
from losswatch_server.alerts.pipeline import claim, send, settle
from losswatch_server.alerts.stages.claim import Claimed, Receiver, choose
from losswatch_server.alerts.stages.settle import DeliveryTry, after
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.store.alerting import configuration, deliveries
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.errors import StoreBusyError
from losswatch_server.store.transactions import Transactions

logger = logging.getLogger(__name__)
logger.addFilter(ScrubbingFilter())

MAX_IN_FLIGHT = 256


class Deliverer:
    """Sends in the background; ``on_done`` is called after each delivery that has ended."""

    def __init__(
        self,
        store: Transactions,
        deps: ChannelDeps,
        worker: str,
        new_id: Callable[[], str],
        rng: random.Random,
        on_done: Callable[[], None],
        metrics: DeliveryMetrics,
    ) -> None:
        self._store = store
        self._deps = deps
        self._worker = worker
        self._new_id = new_id
        self._rng = rng
        self._on_done = on_done
        self._metrics = metrics
        self._in_flight: dict[Receiver, asyncio.Task[None]] = {}
        self._free_at: dict[Receiver, float] = {}

    async def run_once(self) -> int:
        """Claim what is due and start sending it; how many were started."""
        now = self._deps.clock()
        room = MAX_IN_FLIGHT - len(self._in_flight)
        if room <= 0:
            return 0
        rows = await self._store.read(partial(deliveries.claimable, now=now, limit=4 * MAX_IN_FLIGHT))
        wanted = choose(rows, self._in_flight, self._free_at, now)[:room]
        if not wanted:
            return 0
        for claimed in await self._store.write(partial(claim, rows=wanted, worker=self._worker, now=now)):
            to = (claimed.row.project, claimed.row.target)
            task = asyncio.create_task(self._deliver(claimed))
            self._in_flight[to] = task
            task.add_done_callback(partial(self._ended, to))
        return len(wanted)

    async def next_due(self) -> float | None:
        """When something may be sent next, as far as the database knows."""
        due = await self._store.read(deliveries.next_due)
        held = [at for at in self._free_at.values() if at > self._deps.clock()]
        return due if due is None or not held else max(due, min(held))

    async def drain(self, limit_s: float) -> None:
        """Let what is under way end; what is not done by then stays claimed and is sent again later."""
        tasks = list(self._in_flight.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def send(self, said: Message, target: Target) -> Outcome:
        """One try outside the outbox, for a test message."""
        return await send(said, target, self._deps)

    async def _deliver(self, claimed: Claimed) -> None:
        began = self._deps.clock()
        try:
            said = row_codec.message_from(claimed.row)
        except row_codec.DamagedRowError as error:
            outcome = Outcome(result=Result.REJECTED, detail=str(error))
        else:
            outcome = await send(said, claimed.target, self._deps)
        tried = DeliveryTry(began, self._deps.clock(), outcome)
        to = (claimed.row.project, claimed.row.target)
        self._free_at[to] = tried.ended + BY_KIND[claimed.target.kind].pause_s
        self._metrics.count(claimed.target.kind, outcome, tried.ended - claimed.row.created_at)
        row = after(claimed, tried, self._rng)
        await self._write_down(partial(settle, row=row, worker=self._worker, tried=tried, new_id=self._new_id))
        if row.state == "failed":
            self._metrics.count_lost(claimed.target.kind)
            logger.error(
                "a notification to %s of project %s was given up after %d tries: %s",
                claimed.target.label, claimed.target.project, row.tries, outcome.detail,
            )  # fmt: skip
        await self._say_how(claimed.target, outcome)

    async def _say_how(self, before: Target, outcome: Outcome) -> None:
        """The operator hears of a target when it begins to fail and when it works again."""
        worked, works = before.state is not TargetState.FAILING, outcome.result is Result.DELIVERED
        if worked is works:
            return
        if works:
            logger.info("notifications to %s of project %s arrive again", before.label, before.project)
        else:
            logger.warning(
                "notifications to %s of project %s do not arrive: %s", before.label, before.project, outcome.detail
            )
        await self.count_targets()

    async def count_targets(self) -> None:
        """Bring the metrics up to date with the state of all targets."""
        rows = await self._store.read(configuration.targets)
        self._metrics.set_targets(Counter(row.state for row in rows))

    async def _write_down(self, work: Callable[[DatabaseConnection], None]) -> None:
        """A busy store is asked again: an outcome that is lost means a second copy for the receiver."""
        for pause in (0.1, 0.5, 2.0, 5.0):
            try:
                return await self._store.write(work)
            except StoreBusyError:
                await asyncio.sleep(pause)
        return await self._store.write(work)

    def _ended(self, to: Receiver, task: asyncio.Task[None]) -> None:
        self._in_flight.pop(to, None)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a delivery could not be written down: %s", task.exception())
        self._on_done()
