"""What Prometheus is told of notifications: tries by kind and result, and how long a message took to arrive."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from losswatch_server.alerts.egress.retry import Outcome, Result

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)
"""Seconds. The promise is one second for a receiver that answers; the rest is retries."""


class DeliveryMetrics:
    """Counts the tries of one service."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        kept = registry or CollectorRegistry()
        self._tries = Counter(
            "losswatch_notification_tries", "Tries to deliver a message.", ("kind", "result"), registry=kept
        )
        self._seconds = Histogram(
            "losswatch_notification_delivery_seconds",
            "From the decision to notify to the receiver's answer.",
            ("kind",),
            buckets=_BUCKETS,
            registry=kept,
        )

    def count(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """One try that ended ``seconds`` after its message was made."""
        self._tries.labels(kind, outcome.result.value).inc()
        if outcome.result is Result.DELIVERED:
            self._seconds.labels(kind).observe(seconds)
