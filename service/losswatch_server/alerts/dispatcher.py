"""Dispatcher: runs the planning stages over the outbox and the groups whose time has come, and commits their plan.

One pass plans on a reader, then commits in one transaction, which succeeds only if no other worker passed meanwhile:
an event leads to its deliveries exactly once, however many workers there are and wherever one of them is killed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.pipeline import PLANNING
from losswatch_server.alerts.stages.planning import Plan, Planning
from losswatch_server.store.alerting import deliveries, outbox
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.transactions import Transactions


class OvertakenError(Exception):
    """Another worker passed, or took up a delivery, between plan and commit: nothing was written, plan anew."""


class Dispatcher:
    """Turns events into deliveries; ``new_id`` makes the ids of messages."""

    def __init__(self, store: Transactions, clock: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def run_once(self) -> bool:
        """One pass; True when there may be more to do at once."""
        now = self._clock()
        planned = await self._store.read(partial(plan, now=now, new_id=self._new_id))
        if planned.is_empty:
            return False
        try:
            await self._store.write(partial(commit, planned=planned, now=now))
        except OvertakenError:
            return True
        return not planned.complete

    async def next_due(self) -> float | None:
        """When a group wants to be looked at."""
        return await self._store.read(outbox.next_due)


def plan(connection: DatabaseConnection, now: float, new_id: Callable[[], str]) -> Plan:
    """What follows from one state of the database. Writes nothing."""
    seen = outbox.cursor(connection)
    work = Planning(connection, now, new_id, Plan(seen=seen, event_id=seen.event_id))
    for stage in PLANNING:
        stage(work)
    return work.plan


def commit(connection: DatabaseConnection, planned: Plan, now: float) -> None:
    """Write a plan. Raises OvertakenError, and then nothing of it is kept."""
    if not outbox.advance(connection, planned.seen, planned.event_id):
        raise OvertakenError
    for project, delivery_id, state, detail in planned.retired:
        if not deliveries.retire(connection, project, delivery_id, state, detail, now):
            raise OvertakenError
    outbox.put_incidents(connection, map(row_codec.incident_row, planned.incidents))
    outbox.put_groups(connection, planned.groups)
    outbox.delete_groups(connection, planned.idle_groups)
    for row in planned.deliveries:
        deliveries.add(connection, row)
