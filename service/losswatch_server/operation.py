"""What Prometheus is told of the work behind the requests: commits, what waits, the outbox, listeners, retention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from losswatch_server.runs.event_feed import EventFeed
from losswatch_server.runs.retention import Retention
from losswatch_server.store.alerting import outbox
from losswatch_server.store.transactions import Transactions

EVERY_S = 5.0


class BusyStore(Transactions, Protocol):
    """A store that says how much it does."""

    @property
    def work(self) -> tuple[int, int, int]:
        """Commits and writes since the start, and how many writes wait."""
        ...

    async def newest_event(self) -> int:
        """The id of the last event that was ever written."""
        ...


class OperationMetrics(Collector):
    """Asked at every scrape; what must be read from the database is read by ``look``, now and then."""

    def __init__(self, registry: CollectorRegistry, store: BusyStore, feed: EventFeed, retention: Retention) -> None:
        self._store = store
        self._feed = feed
        self._retention = retention
        self._lag = 0
        registry.register(self)

    async def look(self) -> float:
        """See how far the notifications are behind the events; the seconds until the next time."""
        newest = await self._store.newest_event()
        read = await self._store.read(outbox.cursor)
        self._lag = max(0, newest - read.event_id)
        return EVERY_S

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        commits, writes, waiting = self._store.work
        yield CounterMetricFamily("losswatch_commits", "Transactions that were synchronised to disk.", commits)
        yield CounterMetricFamily(
            "losswatch_committed_writes", "Writes in them: how many share one is their quotient.", writes
        )
        yield GaugeMetricFamily("losswatch_writes_waiting", "Writes that wait for their transaction.", waiting)
        yield GaugeMetricFamily("losswatch_outbox_lag_events", "Events of which nobody was notified yet.", self._lag)
        yield GaugeMetricFamily("losswatch_listeners", "Open streams of events.", self._feed.listeners)
        kept = CounterMetricFamily("losswatch_retention_runs", "Runs that were thinned or deleted.", labels=("what",))
        for what in ("thinned", "deleted"):
            kept.add_metric((what,), self._retention.counts[what])
        yield kept
