"""Values on held-out data in order: what is remembered of them, and the turn they took."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.points import SMALLEST
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test, quantum


def train_level(track: Track, step: int, count: int = 5) -> float | None:
    """Mean of the training losses around a step, from the finest memory that reaches it."""
    past = bisect_right(track.recent_steps, step)
    near = track.recent[max(0, past - count) : past]
    if not near:
        near = [v for s, v in zip(track.head_steps, track.head, strict=True) if s <= step][-count:]
        for row in track.bucket_table():
            if row[7] <= step and (not near or row[6] > track.head_steps[-1]):
                near = [float(row[1])]
    return sum(near) / len(near) if near else None


class Evaluations(Protocol):
    """Values on held-out data, of which less is better."""

    n: int
    last_step: int
    head: list[float]
    recent: list[float]
    recent_steps: list[int]


@dataclass(slots=True)
class OverfittingState:
    """The minimum of the running medians of three over the whole run, and what the series did since and before."""

    seen: int = 0
    latest: list[float] = field(default_factory=list)
    """The last three evaluations."""
    lowest: float = math.inf
    lowest_at: int = 0
    """Count of evaluations at the minimum."""
    lowest_step: int = -1
    minimum: float = math.inf
    """Mean of the three evaluations around it."""
    before: float = 0.0
    """Fall from the first evaluation to it."""
    train_then: float = math.nan
    excursion: float = 0.0
    """Largest rise above the present minimum."""
    recovered: float = 0.0
    """Largest rise above a minimum that a later minimum undid."""
    rises: int = 0
    """Evaluations in a row that were above the one before."""
    risen_from: float = math.nan
    risen_from_step: int = -1
    train_at_rise: float = math.nan


@dataclass(frozen=True)
class Turn:
    """What the tests are made of at one evaluation; what is dear to compute only where a test comes to it."""

    n: int
    age: int
    minimum: float
    latest: float
    errors: float
    """Of the difference of the two, in standard deviations."""
    train_now: float
    values: list[float]
    after: list[float]
    """Those since the minimum."""

    @property
    def rise(self) -> float:
        """Above the minimum."""
        return self.latest - self.minimum

    @cached_property
    def scale(self) -> float:
        """The noise of the series."""
        return max(difference_scale(self.values), 0.5 * quantum(self.values), 1e-9 * abs(self.minimum), SMALLEST)

    @property
    def z(self) -> float:
        """The rise in standard errors."""
        return (self.latest - self.minimum - 0.6 * self.scale) / (1.3 * self.scale * self.errors)

    @cached_property
    def trend(self) -> float:
        """Kendall's p of the evaluations since the minimum; above 0.5 where they fall."""
        s, p = kendall_test(self.after[-64:])
        return p if s > 0 else 1.0 - p
