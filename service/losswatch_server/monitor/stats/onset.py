"""When a floor was reached, and when one was left again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.memory.track import FIRST_STEP, MEAN, Track, step_back
from losswatch_server.monitor.stats.trend import median

RESOLVED = 0.005
"""Share of a fall below which the rest of it cannot be seen in a plot of the whole. A geometric decay that is 90 % done
goes on for as long again: of curves whose floor is known, 250 points long and more, that was up to 29 % of the run too
early. This is within 6 % of it."""
SPAN = 32
"""Into how many spans a short history is cut, to take the median in each."""


def onset_of_floor(track: Track, first: float, progress: float, noise: float) -> int:
    """The first step from which the rest of a fall of ``progress`` from ``first`` lies within the noise of a point, or
    is too small to be seen, as finely as is remembered."""
    target = first - progress + max(noise, RESOLVED * progress)
    if track.complete():
        values, steps = track.recent, track.recent_steps
        span = max(5, len(values) // SPAN)
        for i in range(len(values)):
            if median(values[i : i + span]) <= target:
                return next(steps[j] for j in range(i, len(values)) if values[j] <= target)
        return steps[-1]
    for i in range(len(track.head) - 4):
        if median(track.head[i : i + 5]) <= target:
            return track.head_steps[i]
    rows = track.bucket_table()
    for i in range(len(rows)):
        if median([float(mean) for mean in rows[i : i + 3, MEAN]]) <= target:
            return int(rows[i, FIRST_STEP])
    return track.last_step


def onset_of_loss(track: Track, means: NDArray[np.float64]) -> int:
    """The first step from which all levels are above the middle between the lowest of them and the last; ``means`` are
    equal-width means of the whole history, shape (m,)."""
    below = np.nonzero(means <= 0.5 * (float(means.min()) + float(means[-1])))[0]
    return step_back(track, round((len(means) - 1 - int(below[-1])) * track.n / len(means)))
