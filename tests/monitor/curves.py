"""Seeded curves with their truth, for the tests of the monitor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point


def falling(n: int = 400, *, noise: float = 0.03, seed: int = 0, start: float = 2.3, floor: float = 0.3) -> list[float]:
    """A healthy curve: an exponential towards a floor, with relative noise."""
    rng = np.random.default_rng(seed)
    level = floor + (start - floor) * np.exp(-np.arange(n) / (n / 5))
    return (level * np.exp(noise * rng.normal(size=n))).tolist()


def flat(n: int = 400, *, level: float = 2.3026, noise: float = 0.02, seed: int = 0) -> list[float]:
    """A loss that does not move."""
    return (level + noise * np.random.default_rng(seed).normal(size=n)).tolist()


def growing(n: int = 20, *, factor: float = 1.3, start: float = 1.0) -> list[float]:
    """Geometric growth."""
    return (start * factor ** np.arange(n)).tolist()


def points(losses: Iterable[float | None], first: int = 0, **series: Sequence[float | None]) -> list[Point]:
    """One point per loss; further series by name, of the same length."""
    return [
        Point(first + i, _plain(loss), **{name: _plain(values[i]) for name, values in series.items()})
        for i, loss in enumerate(losses)
    ]


def _plain(value: float | None) -> float | None:
    """As it comes from JSON: never a scalar of numpy's."""
    return None if value is None else float(value)


def watch(stream: Iterable[Point], context: Context | None = None, *, watched: bool = False) -> Monitor:
    """Fold a stream."""
    monitor = Monitor("test", watched=watched)
    monitor.see_context(context or Context())
    for point in stream:
        monitor.see(point)
    return monitor


def alarms(monitor: Monitor) -> list[Finding]:
    """Findings of severity warning and above."""
    return [f for f in monitor.findings() if f.severity.rank]


def conditions(monitor: Monitor) -> list[str]:
    """Their conditions."""
    return [str(f.condition) for f in alarms(monitor)]
