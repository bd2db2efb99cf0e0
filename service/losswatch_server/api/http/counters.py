"""Counters of the hot path: plain numbers, put into Prometheus' words when they are asked for.

Those of ``prometheus_client`` take a lock for each number that moves, and a request moves ten: 5 % of what a single
post costs. These move in the event loop alone.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Counts(Collector):
    """A counter for each combination of some labels."""

    def __init__(self, name: str, told: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._told, self._labels = name, told, tuple(labels)
        self._found: dict[tuple[str, ...], list[float]] = {}
        registry.register(self)

    def add(self, labels: tuple[str, ...], count: int = 1) -> None:
        """Count so many."""
        found = self._found.get(labels)
        if found is None:
            found = self._found[labels] = [0, time.time()]
        found[0] += count

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        family = CounterMetricFamily(self._name, self._told, labels=self._labels)
        for labels, (count, since) in self._found.items():
            family.add_metric(labels, count, created=since)
        yield family


class Durations:
    """How long something took, by the buckets of a histogram whose upper ``bounds`` ascend."""

    __slots__ = ("bounds", "counts", "since", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.since = time.time()

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Histograms(Collector):
    """Durations for each combination of some labels."""

    def __init__(
        self, name: str, told: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._told, self._labels, self._bounds = name, told, tuple(labels), bounds
        self._found: dict[tuple[str, ...], Durations] = {}
        registry.register(self)

    def of(self, labels: tuple[str, ...]) -> Durations:
        """Those with these labels."""
        found = self._found.get(labels)
        if found is None:
            found = self._found[labels] = Durations(self._bounds)
        return found

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        family = HistogramMetricFamily(self._name, self._told, labels=self._labels)
        upper = [*map(floatToGoString, self._bounds), "+Inf"]
        for labels, found in self._found.items():
            buckets = list(zip(upper, map(float, accumulate(found.counts)), strict=True))
            family.add_metric(labels, buckets, found.total)
            named: Mapping[str, str] = dict(zip(self._labels, labels, strict=True))
            family.add_sample(f"{self._name}_created", dict(named), found.since)
        yield family
