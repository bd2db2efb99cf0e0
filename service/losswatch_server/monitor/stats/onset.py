"""When a floor was reached, and when one was left again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.memory.track import FIRST_STEP, MEAN, Track, step_back
from losswatch_server.monitor.stats.trend import median


def onset_of_floor(track: Track, first: float, progress: float) -> int:
    """The step at which 90 % of a fall of ``progress`` from ``first`` was done, as finely as is remembered."""
    target = first - 0.9 * progress
    if track.complete():
        values, steps = track.recent, track.recent_steps
        for i in range(len(values)):
            if median(values[i : i + 5]) <= target:
                return steps[i]
        return steps[-1]
    for i in range(len(track.head) - 4):
        if median(track.head[i : i + 5]) <= target:
            return track.head_steps[i]
    for row in track.bucket_table():
        if row[MEAN] <= target:
            return int(row[FIRST_STEP])
    return track.last_step


def onset_of_loss(track: Track, means: NDArray[np.float64]) -> int:
    """The first step from which all levels are above the middle between the lowest of them and the last; ``means`` are
    equal-width means of the whole history, shape (m,)."""
    below = np.nonzero(means <= 0.5 * (float(means.min()) + float(means[-1])))[0]
    return step_back(track, round((len(means) - 1 - int(below[-1])) * track.n / len(means)))
