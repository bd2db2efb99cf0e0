"""Bounded, multi-scale memory of one series.

Four views of the same finite values, none of which grows with the run:

- *head*: the first 64 values as they came;
- *recent*: the last 192 to 288 values as they came;
- *pyramid*: at most 128 equal-width buckets over the whole history; when full, neighbours are merged in pairs
  and the width doubles (so 64 to 128 buckets always cover everything);
- *ladder*: level k holds the means of the last 32 blocks of 8 * 2**k consecutive values.

Blocks are aligned to the count of values, so nothing depends on how the values arrived. Cost is O(1) amortised.
Buckets merge by Chan's formula (Chan, Golub, LeVeque 1979): M2 = M2a + M2b + d**2 na nb / n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HEAD = 64
RECENT_KEPT = 192
RECENT_TRIMMED = 288
BLOCK = 8
BUCKETS = 128
LADDER_BLOCKS = 32
LADDER_LEVELS = 15

# columns of a bucket
COUNT, MEAN, M2, MIN, MAX, LOG_MEAN, FIRST_STEP, LAST_STEP = range(8)


def _merge(a: list[float], b: list[float]) -> list[float]:
    """One bucket for two neighbours. LOG_MEAN is NaN where any value was not positive."""
    count_a, mean_a, m2_a, min_a, max_a, log_a, first_step, _ = a
    count_b, mean_b, m2_b, min_b, max_b, log_b, _, last_step = b
    n = count_a + count_b
    d = mean_b - mean_a
    return [
        n,
        mean_a + d * (count_b / n),
        m2_a + m2_b + d * d * (count_a * count_b / n),
        min_a if min_a < min_b else min_b,
        max_a if max_a > max_b else max_b,
        (log_a * count_a + log_b * count_b) / n,
        first_step,
        last_step,
    ]


def log_mean_of(block: list[float]) -> float:
    """The mean logarithm of a block of 8 positive values."""
    a, b, c, d, e, f, g, h = map(math.log, block)
    return (a + b + c + d + e + f + g + h) / BLOCK


@dataclass(slots=True)
class Track:
    """The memory of one series of finite values. ``n`` counts them; non-finite values never enter."""

    n: int = 0
    lowest: float = math.inf
    lowest_step: int = -1
    highest: float = -math.inf
    last_step: int = -1
    head_steps: list[int] = field(default_factory=list)
    head: list[float] = field(default_factory=list)
    recent_steps: list[int] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    width: int = 1
    """Blocks of 8 values in a full bucket."""
    buckets: list[list[float]] = field(default_factory=list)
    open_bucket: list[float] | None = None
    open_blocks: int = 0
    ladder: list[list[float]] = field(default_factory=list)
    ladder_log: list[list[float]] = field(default_factory=list)
    ladder_counts: list[int] = field(default_factory=list)

    def add(self, step: int, value: float) -> bool:
        """Remember a finite value; True when a block of 8 was completed."""
        n = self.n = self.n + 1
        if value < self.lowest:
            self.lowest = value
            self.lowest_step = step
        if value > self.highest:
            self.highest = value
        self.last_step = step
        if n <= HEAD:
            self.head_steps.append(step)
            self.head.append(value)
        recent = self.recent
        recent.append(value)
        self.recent_steps.append(step)
        if n % BLOCK:
            return False
        self._add_block()
        if len(recent) >= RECENT_TRIMMED:
            del recent[:-RECENT_KEPT]
            del self.recent_steps[:-RECENT_KEPT]
        return True

    def _add_block(self) -> None:
        values = self.recent[-BLOCK:]
        a, b, c, d, e, f, g, h = values
        # written out, from left to right: the built-in sum is of another precision in each version of Python
        mean = (a + b + c + d + e + f + g + h) / BLOCK
        low, high = min(values), max(values)
        log_mean = log_mean_of(values) if low > 0 else math.nan
        a, b, c, d, e, f, g, h = (a - mean, b - mean, c - mean, d - mean, e - mean, f - mean, g - mean, h - mean)
        m2 = a * a + b * b + c * c + d * d + e * e + f * f + g * g + h * h
        steps = self.recent_steps
        self.add_bucket([float(BLOCK), mean, m2, low, high, log_mean, float(steps[-BLOCK]), float(steps[-1])])
        self._climb(mean, log_mean)

    def add_bucket(self, block: list[float]) -> None:
        """Put the next block of 8 into the pyramid."""
        self.open_bucket = block if self.open_bucket is None else _merge(self.open_bucket, block)
        self.open_blocks += 1
        if self.open_blocks == self.width:
            self.buckets.append(self.open_bucket)
            self.open_bucket, self.open_blocks = None, 0
            if len(self.buckets) == BUCKETS:
                pairs = self.buckets
                self.buckets = [_merge(pairs[i], pairs[i + 1]) for i in range(0, BUCKETS, 2)]
                self.width *= 2

    def _climb(self, mean: float, log_mean: float) -> None:
        """Push a block mean up the ladder, like a carry in a binary counter."""
        ladder, ladder_log, counts = self.ladder, self.ladder_log, self.ladder_counts
        for level in range(LADDER_LEVELS):
            if level == len(ladder):
                ladder.append([])
                ladder_log.append([])
                counts.append(0)
            means, logs = ladder[level], ladder_log[level]
            means.append(mean)
            logs.append(log_mean)
            if len(means) > LADDER_BLOCKS:
                del means[0], logs[0]
            counts[level] += 1
            if counts[level] % 2:
                return
            mean = 0.5 * (means[-2] + means[-1])
            log_mean = 0.5 * (logs[-2] + logs[-1])

    def climb_to(self, level: int, means: list[float], logs: list[float]) -> None:
        """Put the next means of a level of the ladder there."""
        if level == len(self.ladder):
            self.ladder.append([])
            self.ladder_log.append([])
            self.ladder_counts.append(0)
        for kept, fresh in ((self.ladder[level], means), (self.ladder_log[level], logs)):
            kept += fresh
            del kept[:-LADDER_BLOCKS]
        self.ladder_counts[level] += len(means)

    def extend(self, values: list[float], steps: list[int]) -> None:
        """What ``add`` does with each of some values (at least one) but for what it does at the end of a block."""
        low, high = min(values), max(values)
        if low < self.lowest:
            self.lowest, self.lowest_step = low, steps[values.index(low)]
        if high > self.highest:
            self.highest = high
        self.last_step = steps[-1]
        if self.n < HEAD:
            self.head += values[: HEAD - self.n]
            self.head_steps += steps[: HEAD - self.n]
        self.recent += values
        self.recent_steps += steps
        self.n += len(values)

    def bucket_table(self) -> Array:
        """The whole history, shape (buckets, 8), columns as the constants above; the open bucket is the last row.

        Values after the last complete block of 8 are in ``recent`` only.
        """
        rows = self.buckets if self.open_bucket is None else [*self.buckets, self.open_bucket]
        return np.array(rows, dtype=np.float64).reshape(len(rows), 8)

    def highest_before(self) -> float:
        """The highest value before the last one."""
        return max(max(self.recent[:-1]), max(self.head), max((row[MAX] for row in self.buckets), default=-math.inf))

    def complete(self) -> bool:
        """Whether head and recent together still hold every value."""
        return self.n <= len(self.recent)


def step_back(track: Track, count: int) -> int:
    """The step of the ``count``-th last value, to the resolution of the track's memory."""
    if count >= track.n:
        return track.head_steps[0]
    if count <= len(track.recent_steps):
        return track.recent_steps[-max(1, count)]
    table = track.bucket_table()
    return int(table[min(len(table) - 1, (track.n - count) // (BLOCK * track.width)), FIRST_STEP])
