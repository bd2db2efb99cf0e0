"""Stage 6, settle: write down what became of a try, when to try again, and how the target is doing."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from losswatch_server.alerts import row_codec
from losswatch_server.alerts.channels import BY_KIND
from losswatch_server.alerts.egress.redaction import ScrubbingFilter
from losswatch_server.alerts.egress.retry import DISABLE_AFTER_S, Outcome, Result, next_pause
from losswatch_server.alerts.grouping import GroupKey
from losswatch_server.alerts.service_messages import disabled_message
from losswatch_server.alerts.stages.claim import Claimed
from losswatch_server.alerts.stages.compose import delivery_row
from losswatch_server.alerts.targets import Target, TargetState
from losswatch_server.store.alerting import configuration, deliveries
from losswatch_server.store.alerting.deliveries import DeliveryRow
from losswatch_server.store.connection import DatabaseConnection

logger = logging.getLogger(__name__)
logger.addFilter(ScrubbingFilter())

KEPT_TRIES = 20


@dataclass(frozen=True, slots=True)
class DeliveryTry:
    """One try of a delivery: when it began and ended (unix seconds), and what came of it."""

    began: float
    ended: float
    outcome: Outcome

    def as_json(self) -> dict[str, object]:
        """As it is kept with the delivery and shown by the API."""
        return {
            "at": self.began,
            "duration_ms": round((self.ended - self.began) * 1000, 1),
            "result": self.outcome.result.value,
            "status": self.outcome.status,
            "detail": self.outcome.detail,
        }


def after(claimed: Claimed, tried: DeliveryTry, rng: random.Random) -> DeliveryRow:
    """The delivery after a try: delivered, given up, or to be tried again later."""
    row, outcome = claimed.row, tried.outcome
    so_far = [*row_codec.tries_from(row), tried.as_json()][-KEPT_TRIES:]
    tries = row.tries + 1
    row = row._replace(tries=tries, status=outcome.status, detail=outcome.detail, attempts=row_codec.dumps(so_far))
    if outcome.result is Result.DELIVERED:
        return row._replace(state="delivered", finished_at=tried.ended)
    pause = None
    if outcome.result is Result.RETRY:
        pause = next_pause(tries, outcome.retry_after_s, BY_KIND[claimed.target.kind].pauses, rng)
    if pause is None:
        return row._replace(state="failed", finished_at=tried.ended)
    return row._replace(state="pending", next_at=tried.ended + pause)


def settle(
    connection: DatabaseConnection,
    row: DeliveryRow,
    worker: str,
    tried: DeliveryTry,
    new_id: Callable[[], str],
) -> None:
    """Keep the delivery as it stands after the try, and the target's health, if this worker still has the claim."""
    if not deliveries.settle(connection, row, worker):
        return
    found = configuration.target(connection, row.project, row.target)
    if found is None:
        return
    target, now, outcome = row_codec.target_from(found), tried.ended, tried.outcome
    if outcome.result is Result.DELIVERED:
        healthy = (TargetState.ACTIVE.value, None, None)
        if target.state is TargetState.FAILING and configuration.set_health(
            connection, target.project, target.id, healthy, ("failing",)
        ):
            deliveries.hurry(connection, target.project, target.id, now)
        return
    since = target.failing_since if target.failing_since is not None else now
    if outcome.result is Result.GONE:
        _disable(connection, target, outcome.detail, new_id, now)
    elif now - since >= DISABLE_AFTER_S:
        _disable(connection, target, f"nothing arrived for {(now - since) / 86_400:.0f} days", new_id, now)
    else:
        failing = (TargetState.FAILING.value, since, None)
        configuration.set_health(connection, target.project, target.id, failing, ("active", "failing"))


def _disable(connection: DatabaseConnection, target: Target, why: str, new_id: Callable[[], str], now: float) -> None:
    """Switch a target off and tell the project's other targets."""
    disabled = (TargetState.DISABLED.value, target.failing_since, why)
    if not configuration.set_health(connection, target.project, target.id, disabled, ("active", "failing")):
        return
    logger.warning("target %s of project %s was switched off: %s", target.label, target.project, why)
    deliveries.drop_waiting(connection, target.project, target.id, "the target was switched off", now)
    for row in configuration.targets(connection, target.project):
        other = row_codec.target_from(row)
        if other.id != target.id and other.state is not TargetState.DISABLED:
            key = GroupKey(project=target.project, incident_class="target.disabled", uid=target.id)
            said = disabled_message(target, why, key, new_id(), now)
            deliveries.add(connection, delivery_row(said, other, key))
