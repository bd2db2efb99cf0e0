"""What a window of past losses says of the next ones: the limits of ``loss_spike``.

A Hampel filter about the line through the medians of the window's quarters, on the logarithmic scale where the window
spans a factor of 3 and is positive.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.stats.trend import quantum

Array = NDArray[np.float64]


class SpikeLimits(NamedTuple):
    """What a window of past values says of the next ones; with the logarithm of the values where the scale is such."""

    limit: float
    recovery: float
    centre: float
    scale: float
    logarithmic: bool = False


@cache
def _interpolation(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """At each of n places the quarter to start from and the next one, and the weights of their medians: linear between
    the quarters' centres."""
    size = n // 4
    place = np.clip((np.arange(n) - (n - 4 * size)) / size - 0.5, 0.0, 3.0)
    quarter = np.minimum(place.astype(np.intp), 2)
    return quarter, quarter + 1, 1.0 - (place - quarter), place - quarter


def _limits(windows: Array, floors: list[float], *, sds: float, excess: float) -> list[SpikeLimits]:
    """Of windows of one length, shape (k, n): alarm limit, recovery limit, centre and scale of each.

    Residuals are taken about the line through the medians of the window's quarters: without that a falling loss
    widens the scale by its own fall, 2.5 nats over 128 points of a normal start.
    """
    count, n = windows.shape
    size = n // 4
    quarters = windows[:, n - 4 * size :].copy().reshape(count, 4, size)
    quarters.sort(axis=2)
    medians = 0.5 * (quarters[:, :, (size - 1) // 2] + quarters[:, :, size // 2])
    quarter, following, here, there = _interpolation(n)
    line = medians.take(quarter, axis=1)
    line *= here
    line += medians.take(following, axis=1) * there
    residuals = windows - line
    largest = np.maximum.reduce(residuals, axis=1).tolist()
    deviations = np.absolute(residuals, out=residuals)
    deviations.sort(axis=1)
    middles = (deviations[:, (n - 1) // 2] + deviations[:, n // 2]).tolist()
    limits = []
    for middle, floor, centre, highest in zip(middles, floors, medians[:, -1].tolist(), largest, strict=True):
        scale = max(1.4826 * 0.5 * middle, floor)
        limits.append(
            SpikeLimits(centre + max(sds * scale, excess * max(highest, 0.0)), centre + 3 * scale, centre, scale)
        )
    return limits


def _repeats(ordered: Array) -> list[bool]:
    """Whether values of each window, sorted, come so often again that they may be rounded (see ``quantum``)."""
    most = 0.7 * ordered.shape[1]
    return [np.count_nonzero(changes) < most for changes in ordered[:, 1:] != ordered[:, :-1]]


def limits_of(windows: Array, *, sds: float, excess: float, raw_sds: float) -> list[SpikeLimits]:
    """The limits that windows of past values set, in the values' own unit; shape (k, n), n at least 8.

    On the logarithmic scale, ``raw_sds`` standard deviations and twice the excess on the raw scale suffice too: a
    loss near 0 has a heavy lower tail, which widens the logarithmic scale and says nothing about jumps up.
    """
    ordered = windows.copy()
    ordered.sort(axis=1)
    lows, highs = ordered[:, 0].tolist(), ordered[:, -1].tolist()
    floors = [
        max(0.5 * quantum(window.tolist()) if few else 0.0, 1e-6 * abs(high))
        for window, high, few in zip(windows, highs, _repeats(ordered), strict=True)
    ]
    if not any(low > 0 and high > 3 * low for low, high in zip(lows, highs, strict=True)):
        return _limits(windows, floors, sds=sds, excess=excess)
    if len(windows) > 1:
        each = (limits_of(windows[i : i + 1], sds=sds, excess=excess, raw_sds=raw_sds) for i in range(len(windows)))
        return [limits for (limits,) in each]
    ((limit, recovery, centre, scale, _),) = _limits(np.log(windows), [1e-6], sds=sds, excess=excess)
    ((raw_limit, raw_recovery, _, _, _),) = _limits(windows, floors, sds=raw_sds, excess=2 * excess)
    limit = min(math.exp(min(limit, 700.0)), raw_limit)
    recovery = max(math.exp(min(recovery, 700.0)), raw_recovery)
    return [SpikeLimits(limit, min(recovery, limit), math.exp(centre), scale, True)]
