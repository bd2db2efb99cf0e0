"""Stage 4, claim: one worker takes a delivery for as long as a try can last; a claim that lapses is another's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.policy import Reason
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.store.alerting import configuration, deliveries
from losswatch_server.store.alerting.deliveries import DeliveryRow
from losswatch_server.store.connection import DatabaseConnection

LEASE_S = 120.0
Receiver = tuple[str, str]
"""Project and target: one message at a time is under way to each."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker may send, and to whom."""

    row: DeliveryRow
    target: Target


def choose(
    rows: Iterable[DeliveryRow], busy: Collection[Receiver], free_at: Mapping[Receiver, float], now: float
) -> list[DeliveryRow]:
    """The first of what may be sent to each receiver to which nothing is under way and that wants no pause."""
    chosen: dict[Receiver, DeliveryRow] = {}
    for row in rows:
        to = (row.project, row.target)
        if to not in busy and free_at.get(to, 0) <= now:
            chosen.setdefault(to, row)
    return list(chosen.values())


def claim(connection: DatabaseConnection, rows: Iterable[DeliveryRow], worker: str, now: float) -> list[Claimed]:
    """Take deliveries for this worker; those whose target is gone or switched off are dropped."""
    taken: list[Claimed] = []
    for row in rows:
        found = configuration.target(connection, row.project, row.target)
        target = None if found is None else row_codec.target_from(found)
        if target is None or (target.state is TargetState.DISABLED and row.reason != Reason.REDELIVERED):
            deliveries.retire(connection, row.project, row.id, "dropped", "the target is switched off", now)
        elif deliveries.claim(connection, row, worker, now, now + LEASE_S):
            taken.append(Claimed(row, target))
    return taken
