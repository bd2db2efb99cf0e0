"""What Prometheus scrapes: requests, points, the process. One registry for each application."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from losswatch_server import __version__
from losswatch_server.api.http.counters import Counts, Histograms
from losswatch_server.api.http.shedding import Shedding
from losswatch_server.codec import damage
from losswatch_server.codec.reports import CountFacts
from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from losswatch_server.supervision import Supervisor

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds. A durable single point takes about 0.5 ms on a quiet machine, a full batch some seconds."""

_ACCEPTED, _DUPLICATE, _LATE, _CONFLICT = ("accepted",), ("duplicate",), ("late",), ("conflict",)
_STATUS = [str(status) for status in range(1000)]


class Metrics:
    """The counters of one application."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, supervisor: Supervisor) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Background(supervisor))
        Info("losswatch", "Version of the service.", registry=self.registry).info(
            {"version": __version__, "detection_version": str(DETECTION_VERSION)}
        )
        self._requests = Counts(
            "losswatch_http_requests", "Requests answered.", ("method", "route", "status"), self.registry
        )
        self._seconds = Histograms(
            "losswatch_http_request_duration_seconds",
            "From the request's head to the answer's end.",
            ("route",),
            _BUCKETS,
            self.registry,
        )
        self._points = Counts("losswatch_points", "Points posted, by what became of them.", ("outcome",), self.registry)
        for outcome in (_ACCEPTED, _DUPLICATE, _LATE, _CONFLICT):
            self._points.add(outcome, 0)
        self._faults = Counter(
            "losswatch_judgement_faults",
            "Faults of the service in judging a run; the run went on without what failed.",
            ("part", "of", "error"),
            registry=self.registry,
        )
        self._verdict = Histograms(
            "losswatch_verdict_seconds",
            "From points that were read to the report on them: stored, judged and worded.",
            (),
            _BUCKETS,
            self.registry,
        ).of(())

    def watch_shedding(self, gates: Mapping[str, Shedding]) -> None:
        """Show what is in progress, and what was turned away, of each kind of request."""
        self.registry.register(_Shed(gates))

    def count_points(self, counts: CountFacts) -> None:
        """What became of the points of one request."""
        self._points.add(_ACCEPTED, counts.accepted)
        if counts.duplicates:
            self._points.add(_DUPLICATE, counts.duplicates)
        if counts.late:
            self._points.add(_LATE, counts.late)
        if counts.conflicts:
            self._points.add(_CONFLICT, counts.conflicts)

    def count_verdict(self, seconds: float) -> None:
        """One request of points was stored and judged."""
        self._verdict.add(seconds)

    def count_fault(self, fault: Fault) -> None:
        """A rule, a cause or a sentence that failed, as often as it did."""
        self._faults.labels(fault.part, fault.of, fault.error).inc(fault.count)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answered request. ``route`` is the path's template, so that there are few of them."""
        self._requests.add((method, route, _STATUS[status]))
        self._seconds.of((route,)).add(seconds)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)


class _Shed(Collector):
    """What is in progress and what was turned away, asked at every scrape."""

    def __init__(self, gates: Mapping[str, Shedding]) -> None:
        self._gates = gates

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        shed = CounterMetricFamily(
            "losswatch_requests_shed", "Requests turned away while more came than could be answered.", labels=("kind",)
        )
        progress = GaugeMetricFamily("losswatch_requests_in_progress", "Requests in progress.", labels=("kind",))
        for kind, gate in self._gates.items():
            shed.add_metric((kind,), gate.shed)
            progress.add_metric((kind,), gate.in_progress)
        yield shed
        yield progress


class _Background(Collector):
    """What runs in the background, asked at every scrape."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        failures = CounterMetricFamily(
            "losswatch_background_failures", "Passes of work in the background that failed.", labels=("name",)
        )
        for name, count in self._supervisor.failures.items():
            failures.add_metric((name,), count)
        yield failures
        running = GaugeMetricFamily(
            "losswatch_background_running", "Whether work in the background is being done.", labels=("name",)
        )
        failing = {found.name for found in self._supervisor.not_running()}
        for name in self._supervisor.names:
            running.add_metric((name,), name not in failing)
        yield running
        yield GaugeMetricFamily(
            "losswatch_damaged_cells", "Cells of the database that were found damaged.", damage.count()
        )
