"""Deliverer: claims what is due, sends it, writes down what became of it.

At least once: a delivery is claimed, sent, then settled. A process killed in between leaves a claim that lapses; the
next worker sends the same message under the same id. One message per target is under way at a time, and the next of
a lane only after the one before it has ended, so that a receiver hears of a run in order.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.channels.channel import Means
from losswatch_server.alerts.dispatcher import delivery_row
from losswatch_server.alerts.egress.redaction import ScrubbingFilter, scrub
from losswatch_server.alerts.egress.retry import DISABLE_AFTER_S, Outcome, Result, next_pause
from losswatch_server.alerts.grouping import GroupKey
from losswatch_server.alerts.message import Entry, Message
from losswatch_server.alerts.metrics import DeliveryMetrics
from losswatch_server.alerts.policy import Reason
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.monitor.vocabulary import Severity
from losswatch_server.store.alerting import configuration, deliveries
from losswatch_server.store.alerting.deliveries import DeliveryRow
from losswatch_server.store.alerting.transactions import Transactions
from losswatch_server.store.errors import StoreBusyError

logger = logging.getLogger(__name__)
logger.addFilter(ScrubbingFilter())

LEASE_S = 120.0
SEND_LIMIT_S = 60.0
"""Well under the lease: a claim never lapses while its worker is still sending."""

MAX_IN_FLIGHT = 256
KEPT_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker may send, and to whom."""

    row: DeliveryRow
    target: Target


class Deliverer:
    """Sends in the background; ``on_done`` is called after each delivery that has ended."""

    def __init__(
        self,
        store: Transactions,
        means: Means,
        worker: str,
        new_id: Callable[[], str],
        rng: random.Random,
        on_done: Callable[[], None],
        metrics: DeliveryMetrics,
    ) -> None:
        self._store = store
        self._means = means
        self._worker = worker
        self._new_id = new_id
        self._rng = rng
        self._on_done = on_done
        self._metrics = metrics
        self._in_flight: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._free_at: dict[tuple[str, str], float] = {}

    async def run_once(self) -> int:
        """Claim what is due and start sending it; how many were started."""
        now = self._means.clock()
        room = MAX_IN_FLIGHT - len(self._in_flight)
        if room <= 0:
            return 0
        rows = await self._store.read(lambda connection: deliveries.claimable(connection, now, 4 * MAX_IN_FLIGHT))
        chosen: dict[tuple[str, str], DeliveryRow] = {}
        for row in rows:
            to = (row.project, row.target)
            if to not in self._in_flight and to not in chosen and self._free_at.get(to, 0) <= now:
                chosen[to] = row
        if not chosen:
            return 0
        wanted = list(chosen.values())[:room]
        for claimed in await self._store.write(lambda connection: self._claim(connection, wanted, now)):
            to = (claimed.row.project, claimed.row.target)
            task = asyncio.create_task(self._deliver(claimed))
            self._in_flight[to] = task
            task.add_done_callback(partial(self._ended, to))
        return len(wanted)

    async def next_due(self) -> float | None:
        """When something may be sent next, as far as the database knows."""
        due = await self._store.read(deliveries.next_due)
        held = [at for at in self._free_at.values() if at > self._means.clock()]
        return due if due is None or not held else max(due, min(held))

    async def is_behind(self) -> bool:
        """Whether anything could be sent now that is not being sent yet."""
        due = await self.next_due()
        return due is not None and due <= self._means.clock()

    async def drain(self, limit_s: float) -> None:
        """Let what is under way end; what is not done by then stays claimed and is sent again later."""
        tasks = list(self._in_flight.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def send(self, said: Message, target: Target) -> Outcome:
        """One try, whatever happens in it."""
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                return await BY_KIND[target.kind].send(said, target, self._means)
        except TimeoutError:
            return Outcome(result=Result.RETRY, detail=f"not done within {SEND_LIMIT_S:g} s")
        except Exception as error:  # noqa: BLE001 - one broken message must not stop the others
            logger.warning("notification %s to %s failed: %s", said.id, target.label, error)
            return Outcome(result=Result.REJECTED, detail=scrub(f"{type(error).__name__}: {error}"))

    def _claim(self, connection: sqlite3.Connection, rows: list[DeliveryRow], now: float) -> list[Claimed]:
        taken: list[Claimed] = []
        for row in rows:
            found = configuration.target(connection, row.project, row.target)
            target = None if found is None else row_codec.target_from(found)
            if target is None or (target.state is TargetState.DISABLED and row.reason != Reason.REDELIVERED):
                deliveries.retire(connection, row.project, row.id, "dropped", "the target is switched off", now)
            elif deliveries.claim(connection, row, self._worker, now, now + LEASE_S):
                taken.append(Claimed(row, target))
        return taken

    async def _deliver(self, claimed: Claimed) -> None:
        began = self._means.clock()
        try:
            said = row_codec.message_from(claimed.row)
        except row_codec.DamagedRowError as error:
            outcome = Outcome(result=Result.REJECTED, detail=str(error))
        else:
            outcome = await self.send(said, claimed.target)
        ended = self._means.clock()
        to = (claimed.row.project, claimed.row.target)
        self._free_at[to] = ended + BY_KIND[claimed.target.kind].pause_s
        self._metrics.count(claimed.target.kind, outcome, ended - claimed.row.created_at)
        settled = self._settled(claimed, outcome, began, ended)
        await self._write_down(lambda connection: self._settle(connection, claimed.target, settled, outcome, ended))

    async def _write_down(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """A busy store is asked again: an outcome that is lost means a second copy for the receiver."""
        for pause in (0.1, 0.5, 2.0, 5.0):
            try:
                return await self._store.write(work)
            except StoreBusyError:
                await asyncio.sleep(pause)
        return await self._store.write(work)

    def _settled(self, claimed: Claimed, outcome: Outcome, began: float, ended: float) -> DeliveryRow:
        row = claimed.row
        attempt = {
            "at": began,
            "duration_ms": round((ended - began) * 1000, 1),
            "result": outcome.result.value,
            "status": outcome.status,
            "detail": outcome.detail,
        }
        attempts = [*row_codec.attempts_from(row), attempt][-KEPT_ATTEMPTS:]
        tries = row.tries + 1
        row = row._replace(
            tries=tries, status=outcome.status, detail=outcome.detail, attempts=row_codec.dumps(attempts)
        )
        if outcome.result is Result.DELIVERED:
            return row._replace(state="delivered", finished_at=ended)
        pause = None
        if outcome.result is Result.RETRY:
            pause = next_pause(tries, outcome.retry_after_s, BY_KIND[claimed.target.kind].pauses, self._rng)
        if pause is None:
            return row._replace(state="failed", finished_at=ended)
        return row._replace(state="pending", next_at=ended + pause)

    def _settle(
        self, connection: sqlite3.Connection, target: Target, row: DeliveryRow, outcome: Outcome, now: float
    ) -> None:
        if not deliveries.settle(connection, row, self._worker):
            return
        found = configuration.target(connection, target.project, target.id)
        if found is None:
            return
        known = row_codec.target_from(found)
        if outcome.result is Result.DELIVERED:
            healthy = (TargetState.ACTIVE.value, None, None)
            if known.state is TargetState.FAILING and configuration.set_health(
                connection, target.project, target.id, healthy, ("failing",)
            ):
                deliveries.hurry(connection, target.project, target.id, now)
            return
        since = known.failing_since if known.failing_since is not None else now
        if outcome.result is Result.GONE:
            self._disable(connection, known, outcome.detail, now)
        elif now - since >= DISABLE_AFTER_S:
            self._disable(connection, known, f"nothing arrived for {(now - since) / 86_400:.0f} days", now)
        else:
            failing = (TargetState.FAILING.value, since, None)
            configuration.set_health(connection, target.project, target.id, failing, ("active", "failing"))

    def _disable(self, connection: sqlite3.Connection, target: Target, why: str, now: float) -> None:
        """Switch a target off and tell the project's other targets."""
        disabled = (TargetState.DISABLED.value, target.failing_since, why)
        if not configuration.set_health(connection, target.project, target.id, disabled, ("active", "failing")):
            return
        logger.warning("target %s of project %s was switched off: %s", target.label, target.project, why)
        deliveries.drop_waiting(connection, target.project, target.id, "the target was switched off", now)
        for row in configuration.targets(connection, target.project):
            other = row_codec.target_from(row)
            if other.id != target.id and other.state is not TargetState.DISABLED:
                key = GroupKey(project=target.project, story="target.disabled", uid=target.id)
                said = disabled_message(target, why, key, self._new_id(), now)
                deliveries.add(connection, delivery_row(said, other, key))

    def _ended(self, to: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._in_flight.pop(to, None)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a delivery could not be written down: %s", task.exception())
        self._on_done()


def disabled_message(target: Target, why: str, key: GroupKey, message_id: str, now: float) -> Message:
    """What the other targets are told about one that was switched off."""
    entry = Entry(
        id=f"target:{target.id}",
        run=target.label,
        uid="",
        condition="target.disabled",
        severity=Severity.WARNING,
        change="notice",
        summary=f"Notifications to {target.label} were switched off: {why}.",
        since=now,
    )
    return Message(
        id=message_id, project=target.project, key=key.text(), reason=Reason.TARGET_DISABLED, at=now,
        entries=(entry,), total=1,
    )  # fmt: skip


def sample(target: Target, message_id: str, now: float) -> Message:
    """The message of ``POST /v1/targets/{id}/test``."""
    entry = Entry(
        id=f"test:{target.id}",
        run="example-run",
        uid="",
        condition="test",
        severity=Severity.INFO,
        change="test",
        summary="This is a test message from Losswatch. Nothing is wrong with any run.",
        since=now,
        step=20,
        evidence={"growth_per_step": 3.5547, "overflow_step": [64, 66]},
        advice="Nothing to do: messages like this one will carry the first advice here.",
    )
    key = GroupKey(project=target.project, story="test", uid=target.id)
    return Message(
        id=message_id, project=target.project, key=key.text(), reason=Reason.TEST, at=now, entries=(entry,), total=1
    )
