"""The metrics, each in a few lines with an example that the tests run. Missed runs count as wrong for causes.

found        a finding of warning or above names the labelled condition, or one that is also fair, and did not open
             clearly before the onset (5 % of the run, at least 3 points)
false alarm  a healthy run of which, at any point of it, a finding of warning or above said anything that is not fair
premature    the right condition, but clearly before its onset
extra        conditions said of a faulty run that are neither the labelled one nor also fair
delay        (first alarm - onset) / (last - onset) of the detected ones, floored at 0
cause first  the injected cause stands first in the first matching finding; fair: or one that an expert could not tell
             from it by what is logged; a run that is missed counts as wrong
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.detection.judging import Judged

RESAMPLES = 2000
SECONDS_A_POINT, SECONDS_AN_EPOCH = 10.0, 300.0
"""How often runs are logged: the assumption behind alarms per hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``hits`` of ``of``, and the 95 % interval of the share.

    >>> Share(hits=50, of=100).json()
    {'hits': 50, 'of': 100, 'share': 0.5, 'interval': [0.4038, 0.5962]}
    """

    hits: int
    of: int
    clustered: tuple[float, float] | None = None
    """The interval of a bootstrap over clusters; the wider end of it and Wilson's is given."""

    @property
    def share(self) -> float | None:
        """hits / of; None of nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson, Journal of the American Statistical Association 22 (1927) 209, or what clusters widen it to."""
        if not self.of:
            return None
        z, n, p = 1.959964, self.of, self.hits / self.of
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low = 0.0 if self.hits == 0 else max(0.0, centre - half)
        high = 1.0 if self.hits == n else min(1.0, centre + half)
        if self.clustered is not None:
            low, high = min(low, self.clustered[0]), max(high, self.clustered[1])
        return low, high

    def json(self) -> dict[str, Any]:
        """For results.json."""
        interval = self.interval
        return {
            "hits": self.hits,
            "of": self.of,
            "share": None if self.share is None else round(self.share, 4),
            "interval": None if interval is None else [round(interval[0], 4), round(interval[1], 4)],
        }


def share(values: Iterable[bool | None], clusters: Iterable[Hashable] | None = None, *, seed: int = 0) -> Share:
    """How many of the values that are not None are true. With clusters, whole clusters are drawn anew.

    >>> share([True, False, None, True]).json()["share"]
    0.6667
    >>> ten_of_a_kind = share([True] * 10 + [False] * 10, ["a"] * 10 + ["b"] * 10)
    >>> ten_of_a_kind.interval
    (0.0, 1.0)
    """
    known = list(values)
    if clusters is None:
        kept = [value for value in known if value is not None]
        return Share(hits=sum(kept), of=len(kept))
    groups: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for value, cluster in zip(known, clusters, strict=True):
        if value is not None:
            groups[cluster][0] += value
            groups[cluster][1] += 1
    counts = np.array(list(groups.values()), dtype=float).reshape(-1, 2)
    hits, of = counts.sum(axis=0)
    if len(counts) < 2:
        return Share(hits=int(hits), of=int(of))
    drawn = np.random.default_rng(seed).integers(0, len(counts), (RESAMPLES, len(counts)))
    sums = counts[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return Share(hits=int(hits), of=int(of), clustered=(float(low), float(high)))


def bootstrap_median(values: Sequence[float], *, seed: int = 0) -> dict[str, Any] | None:
    """The median and its 95 % percentile bootstrap interval.

    >>> bootstrap_median([0.2] * 9)
    {'median': 0.2, 'interval': [0.2, 0.2]}
    """
    if not values:
        return None
    draws = np.random.default_rng(seed).choice(np.asarray(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return {"median": round(statistics.median(values), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def macro(rows: Sequence[Judged], *, seed: int = 0) -> dict[str, Any]:
    """The mean over conditions of the share found; its interval draws whole families anew.

    >>> macro([])
    {'share': None, 'interval': None}
    """
    conditions = sorted({row.condition for row in rows})
    families = sorted({row.family for row in rows})
    if not rows:
        return {"share": None, "interval": None}
    counts = np.zeros((len(families), len(conditions), 2))
    for row in rows:
        counts[families.index(row.family), conditions.index(row.condition)] += (row.found, 1)
    drawn = np.random.default_rng(seed).integers(0, len(families), (RESAMPLES, len(families)))
    sums = counts[drawn].sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = np.nanmean(sums[:, :, 0] / sums[:, :, 1], axis=1)
    total = counts.sum(axis=0)
    low, high = np.quantile(means, [0.025, 0.975])
    value = float(np.mean(total[:, 0] / total[:, 1]))
    return {"share": round(value, 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def reliability(claims: Iterable[tuple[float, bool]], bins: int = 10) -> list[dict[str, Any]]:
    """Claims by tenths of their probability: how many, what was said on average, how many were right.

    >>> reliability([(0.95, True), (0.91, False), (0.15, False)])
    [{'from': 0.1, 'of': 1, 'said': 0.15, 'right': 0.0}, {'from': 0.9, 'of': 2, 'said': 0.93, 'right': 0.5}]
    """
    held: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for probability, right in claims:
        held[min(bins - 1, int(probability * bins))].append((probability, right))
    return [
        {
            "from": at / bins,
            "of": len(of),
            "said": round(statistics.mean(p for p, _ in of), 4),
            "right": round(statistics.mean(float(right) for _, right in of), 4),
        }
        for at, of in sorted(held.items())
    ]


def calibration_error(claims: Iterable[tuple[float, bool]]) -> float | None:
    """The expected calibration error: the mean over claims of how far their tenth is off.

    Naeini, Cooper, Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.

    >>> calibration_error([(0.9, True)] * 9 + [(0.9, False)])
    0.0
    >>> calibration_error([(0.9, True), (0.9, False), (0.1, False), (0.1, False)])
    0.25
    """
    rows = reliability(claims)
    of = sum(row["of"] for row in rows)
    return round(sum(row["of"] * abs(row["said"] - row["right"]) for row in rows) / of, 4) if of else None


def hours(rows: Iterable[Judged]) -> float:
    """How long the runs took, if a point came every 10 seconds, or every 5 minutes where points are epochs."""
    return sum(row.points * (SECONDS_AN_EPOCH if row.by_epoch else SECONDS_A_POINT) for row in rows) / 3600


def alarms_per_10000_hours(healthy: Sequence[Judged]) -> float | None:
    """False findings, each counted, per 10,000 hours of healthy runs (see ``hours``)."""
    taken = hours(healthy)
    return round(1e4 * sum(len(row.alarms) for row in healthy) / taken, 2) if taken else None
