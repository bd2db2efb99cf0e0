"""What Prometheus is told of notifications: tries by kind and result, and how long a message took to arrive."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.row_codec import KINDS
from losswatch_server.alerts.targets import TargetState

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)
"""Seconds. The promise is one second for a receiver that answers; the rest is retries."""


class DeliveryMetrics:
    """Counts the tries of one service."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        kept = registry or CollectorRegistry()
        self._tries = Counter(
            "losswatch_notification_tries", "Tries to deliver a message.", ("kind", "result"), registry=kept
        )
        self._lost = Counter(
            "losswatch_notifications_lost", "Messages that were given up: the target never took them.", ("kind",),
            registry=kept,
        )  # fmt: skip
        self._targets = Gauge(
            "losswatch_notification_targets", "Targets by state, as of the last try.", ("state",), registry=kept
        )
        self.set_targets({})
        for kind in KINDS:  # a series that begins at its first loss hides it from increase()
            self._lost.labels(kind)
        self._seconds = Histogram(
            "losswatch_notification_delivery_seconds",
            "From the decision to notify to the receiver's answer.",
            ("kind",),
            buckets=_BUCKETS,
            registry=kept,
        )

    def count_lost(self, kind: str) -> None:
        """One message that will not be tried again."""
        self._lost.labels(kind).inc()

    def set_targets(self, by_state: Mapping[str, int]) -> None:
        """How many targets are in each state."""
        for state in TargetState:
            self._targets.labels(state.value).set(by_state.get(state.value, 0))

    def count(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """One try that ended ``seconds`` after its message was made."""
        self._tries.labels(kind, outcome.result.value).inc()
        if outcome.result is Result.DELIVERED:
            self._seconds.labels(kind).observe(seconds)
