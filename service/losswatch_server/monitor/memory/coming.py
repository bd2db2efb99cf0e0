"""The values of a series that a stretch of points brings: blocks and ladder are worked out for all of them at once.

A track takes them by ``add_coming`` as far as they are due, and is then bit for bit what ``add``, value by value, would
have made of it: every sum is of the same terms in the same order.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.memory.track import (
    BLOCK,
    LADDER_LEVELS,
    LOG_MEAN,
    MEAN,
    RECENT_KEPT,
    RECENT_TRIMMED,
    Track,
    log_mean_of,
)

Array = NDArray[np.float64]


@dataclass(slots=True)
class Coming:
    """Finite values that come next in ``track``, which had ``begun`` values before the first of them."""

    track: Track
    begun: int
    values: list[float]
    steps: list[int]
    recent: list[float]
    """``track.recent`` before them."""
    places: Sequence[int]
    """The place of each value's point in the stretch, ascending."""
    blocks: list[list[float]] = field(default_factory=list)
    """The blocks of 8 that they complete, as a track's buckets are."""
    levels: list[tuple[list[float], list[float]]] = field(default_factory=list)
    """Means and mean logarithms that they bring to each level of the ladder."""
    _array: Array | None = None

    @property
    def taken(self) -> int:
        """How many of the values are in the track by now."""
        return self.track.n - self.begun

    @property
    def array(self) -> Array:
        """What was in ``recent`` before them, and the values, shape (known + n,)."""
        if self._array is None:
            packed = struct.pack(f"{self.known + len(self.values)}d", *self.recent, *self.values)
            self._array = np.frombuffer(packed, np.float64)  # twice as fast as from an iterator
        return self._array

    @property
    def known(self) -> int:
        """How many values were in ``recent`` before them."""
        return len(self.recent)

    def before(self, place: int) -> int:
        """How many of the values are of points before this place of the stretch."""
        return bisect_left(self.places, place) if type(self.places) is not range else min(place, len(self.places))

    def recent_at(self, count: int) -> Array:
        """``track.recent`` as it is after ``count`` of the values."""
        kept = kept_of(self.known + count, self.begun + count)
        return self.array[self.known + count - kept : self.known + count]

    def add(self, place: int) -> None:
        """Take those before this place of the stretch into the track."""
        track, count = self.track, self.before(place)
        taken = self.taken
        if count == taken:
            return
        values, steps = self.values[taken:count], self.steps[taken:count]
        track.extend(values, steps)
        first, last = (self.begun + taken) // BLOCK, track.n // BLOCK
        if first == last:
            return
        begun = self.begun // BLOCK
        for block in self.blocks[first - begun : last - begun]:
            track.add_bucket(block)
        for level, (means, logs) in enumerate(self.levels):
            at, until = (first >> level) - (begun >> level), (last >> level) - (begun >> level)
            if at == until:
                break
            track.climb_to(level, means[at:until], logs[at:until])
        kept = kept_of(len(track.recent), track.n)
        del track.recent[:-kept]
        del track.recent_steps[:-kept]


def kept_of(length: int, n: int) -> int:
    """How many values ``recent`` keeps of ``length``, nothing having been dropped since the last trim: those that are
    left where it is trimmed at the end of each block that makes it too long."""
    whole = length - n % BLOCK
    if whole < RECENT_TRIMMED:
        return length
    return RECENT_KEPT + (whole - RECENT_TRIMMED) % (RECENT_TRIMMED - RECENT_KEPT) + n % BLOCK


def coming(track: Track, values: list[float], steps: list[int], places: Sequence[int]) -> Coming:
    """Values that come next in a track as it stands; what they add to it is worked out by ``work_out``."""
    return Coming(track, track.n, values, steps, list(track.recent) if values else [], places)


def work_out(series: Sequence[Coming]) -> None:
    """Make the blocks of several series, in one go: most of the time goes into beginning."""
    wholes: list[Array] = []
    values: list[float] = []
    for one in series:
        left = one.track.n % BLOCK if one.values else 0
        count = (left + len(one.values)) // BLOCK * BLOCK
        if not count:
            continue
        begun = one.known - left
        wholes.append(one.array[begun : begun + count])
        values += one.recent[begun:]
        values += one.values[: count - left]
    if not values:
        return
    columns = _blocks(wholes[0] if len(wholes) == 1 else np.concatenate(wholes), values)
    begun = 0
    for one in series:
        left = one.track.n % BLOCK
        count = (left + len(one.values)) // BLOCK if one.values else 0
        if not count:
            continue
        rows = zip(*(column[begun : begun + count] for column in columns), strict=True)
        steps = one.track.recent_steps[len(one.track.recent_steps) - left :] + one.steps
        ends = steps[BLOCK - 1 :: BLOCK]
        one.blocks = [
            [float(BLOCK), *row, float(first), float(last)]
            for row, first, last in zip(rows, steps[: BLOCK * count : BLOCK], ends, strict=True)
        ]
        one.levels = _levels(one.track, one.blocks)
        begun += count


def _blocks(array: Array, values: list[float]) -> tuple[list[float], ...]:
    """Mean, squared deviations, lowest, highest and mean logarithm of each block of 8; the same values as both."""
    table = array.reshape(-1, BLOCK)
    # accumulate adds from left to right, as a loop does; sum() would not
    means = np.add.accumulate(table, axis=1)[:, -1] / BLOCK
    deviations = table - means[:, None]
    squares = np.add.accumulate(deviations * deviations, axis=1)[:, -1]
    lows, highs = table.min(axis=1).tolist(), table.max(axis=1).tolist()
    if min(lows) > 0:
        logs = np.fromiter(map(math.log, values), np.float64, len(values)).reshape(-1, BLOCK)
        log_means = (np.add.accumulate(logs, axis=1)[:, -1] / BLOCK).tolist()
    else:  # of a positive and a negative zero the first counts, as for min and max
        blocks = [values[i : i + BLOCK] for i in range(0, len(values), BLOCK)]
        lows, highs = list(map(min, blocks)), list(map(max, blocks))
        log_means = [log_mean_of(block) if low > 0 else math.nan for block, low in zip(blocks, lows, strict=True)]
    return means.tolist(), squares.tolist(), lows, highs, log_means


def _levels(track: Track, blocks: list[list[float]]) -> list[tuple[list[float], list[float]]]:
    """Level 0 is the blocks' own; each level above has the means of pairs of the one below."""
    means, logs = [block[MEAN] for block in blocks], [block[LOG_MEAN] for block in blocks]
    levels = [(means, logs)]
    for level in range(LADDER_LEVELS - 1):
        if track.n // BLOCK >> level & 1:  # the first makes a pair with the last one that is there
            means, logs = [track.ladder[level][-1], *means], [track.ladder_log[level][-1], *logs]
        means = [0.5 * (a + b) for a, b in zip(means[::2], means[1::2], strict=False)]
        logs = [0.5 * (a + b) for a, b in zip(logs[::2], logs[1::2], strict=False)]
        if not means:
            break
        levels.append((means, logs))
    return levels
