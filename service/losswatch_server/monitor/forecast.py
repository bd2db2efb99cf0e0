"""Where the loss is going if nothing changes: floor, interval, steps to get near it, and the loss at a later step.

A mixture over 24 power laws, floor + A x**-a, and 24 exponentials, floor + A exp(-x / tau), fitted to at most 40
log-spaced block means (variable projection: for a fixed shape floor and A are a weighted least-squares line; Golub &
Pereyra 1973), with Huber's weights against spikes. Bases are averaged over each block, not taken at its middle: that
removes a bias of -0.06 on exponential curves. Shapes share the answer as exp(-RSS / 2 s**2).

Measured on simulated curves the spread of the mixture alone is too sure of itself, so the interval is widened by at
least a tenth of the predicted gain. No extrapolation foresees a second drop or a rate that will be lowered (coverage
0 %): hence "if nothing changes", and a fit only to the stretch since the learning rate last changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.history import COUNT, FIRST_STEP, LAST_STEP, MEAN, Track
from losswatch_server.monitor.memory import Memory, Rates
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.trend import difference_scale, median

Array = NDArray[np.float64]

LEAST_POINTS = 20
BLOCKS = 40
COARSE = 24
FINE = 20
MISFIT = 0.003
"""How far real curves depart from any of the shapes, as a share of the range of the block means."""
LARGEST = 1e140
"""A loss beyond this has nowhere left to go, and its square no room."""
LAST_BLOCKS = 6
FITS = 3.0
"""Distance of the fit from the last blocks, in standard errors, up to which it counts as a fit."""
MODEL_ERROR = 0.02
"""Really trained networks depart from every shape: their loss after as many steps again was off by 1.7 % of the fall
so far (median of 116)."""
NEGLIGIBLE = 0.02
"""When the second half of the run brought less than this share of the fall, the floor counts as reached."""
EXPONENTS = np.geomspace(0.03, 2.0, COARSE)
SPANS = np.geomspace(0.03, 4.0, COARSE)
"""Time constants of the exponentials, as shares of the points seen."""
FARTHEST = 100.0
"""How many times the present length the forecast looks ahead."""
NEAR = 0.1
"""What share of the remaining fall may be left when the floor counts as reached."""


_CORRELATIONS = np.linspace(0.0, 0.9, 19)
_RATIOS = (1 + _CORRELATIONS) * (3 - _CORRELATIONS**2) / (3 - _CORRELATIONS)
"""Variance of second differences two points apart over that of neighbours, for AR(1) noise of these correlations."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Consecutive block means: block j covers the points start[j] < i <= end[j], counted from the stretch's first."""

    start: Array
    end: Array
    mean: Array
    first_step: float
    step_per_point: float

    @property
    def points(self) -> float:
        """Points covered."""
        return float(self.end[-1])


@dataclass(frozen=True, slots=True)
class Shapes:
    """Exponents of the power laws, time constants of the exponentials, and the prior weight of each."""

    exponents: Array
    spans: Array
    prior: Array


@dataclass(frozen=True, slots=True)
class Mixture:
    """Fitted shapes: per shape the weight, the floor and the amplitude, in units of ``scale``."""

    highest: float
    """The highest block mean."""

    shapes: Shapes
    weight: Array
    floor: Array
    amplitude: Array
    scale: float
    points: float
    first_step: float
    step_per_point: float
    error: float
    """Standard error of the present level."""
    misses: float
    """How far the fit is from the last blocks, in their standard errors (root mean square)."""
    positive: bool

    def curves(self, at: Array) -> Array:
        """Every shape at the point counts ``at``; shape (shapes, len(at))."""
        basis = _bases(self.shapes, at - 1.0, at, self.points)
        return self.scale * (self.floor[:, None] + self.amplitude[:, None] * basis)

    def quantile(self, values: Array, share: float) -> Array:
        """The point below which ``share`` of the mixture lies, per column of ``values`` (shapes, n)."""
        order = np.argsort(values, axis=0)
        below = np.cumsum(self.weight[order], axis=0)
        row = np.minimum((below < share).sum(axis=0), len(values) - 1)
        chosen: Array = np.take_along_axis(np.take_along_axis(values, order, axis=0), row[None, :], axis=0)[0]
        return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What to expect if nothing changes; every field None where nothing honest can be said."""

    floor: float | None = None
    interval: tuple[float, float] | None = None
    """About 90 % of such curves end inside."""
    steps_to_floor: float | None = None
    """Steps from now until nine tenths of the remaining fall are done; None when that is over 100 times as long as
    the run so far."""
    mixture: Mixture | None = field(default=None, repr=False, compare=False)

    def expected_at(self, step: float) -> tuple[float, float, float] | None:
        """(expected, low, high) of the loss's level at a later step; None without a forecast."""
        m = self.mixture
        if m is None:
            return None
        curves = m.curves(np.array([m.points, max((step - m.first_step) / m.step_per_point + 1, 1.0)]))
        now, then = (float(v) for v in m.quantile(curves, 0.5))
        low, high = _interval(curves[:, 1], m, gain=now - then)
        return then, low, high


NOTHING = Forecast()


def forecast(memory: Memory, context: Context) -> Forecast:
    """The forecast of the loss as it stands."""
    if context.objective == "none" or max(abs(memory.loss.highest), abs(memory.loss.lowest)) > LARGEST:
        return NOTHING
    with np.errstate(all="ignore"):
        return _forecast(memory)


def _forecast(memory: Memory) -> Forecast:
    rows = _rows_since(_fine_rows(memory.loss), _last_change(memory.rates))
    if rows[:, 0].sum() < LEAST_POINTS or not np.isfinite(rows[:, 1]).all():
        return NOTHING
    noise, correlation = _noise(memory.loss)
    inflated = noise * math.sqrt((1 + correlation) / (1 - correlation))
    tail = memory.loss.recent[-min(max(3, memory.loss.n // 10), 64) :]
    now = median(tail)
    error = 1.25 * inflated / math.sqrt(len(tail))
    # a fit that misses where the loss is now tells nothing of where it goes: then only the later part is fitted
    for part in (0.0, 0.5, 0.75):
        blocks = _blocks(rows, part)
        if blocks is None or _rises(blocks, now, error, inflated):
            return NOTHING
        mixture = _fit(blocks, inflated, error, positive=memory.loss.lowest > 0)
        if mixture is None:
            return NOTHING
        if mixture.misses <= FITS:
            return _told(mixture)
    return NOTHING


def _rises(blocks: Blocks, now: float, error: float, noise: float) -> bool:
    """Whether the level now is clearly above an earlier one."""
    lowest = float((blocks.mean + 4 * noise / np.sqrt(blocks.end - blocks.start)).min())
    return now - 4 * error > lowest + 0.1 * (float(blocks.mean.max()) - lowest)


def _told(mixture: Mixture) -> Forecast:
    ahead = np.geomspace(1.0, FARTHEST, 60)
    expected = mixture.quantile(mixture.curves(ahead * mixture.points), 0.5)
    floors = mixture.scale * mixture.floor
    floor, now = float(mixture.quantile(floors[:, None], 0.5)[0]), float(expected[0])
    near = np.flatnonzero(expected - floor <= NEAR * max(now - floor, 0.0) + mixture.error)
    steps = float(ahead[near[0]] - 1.0) * mixture.points * mixture.step_per_point if len(near) else None
    halfway = float(mixture.quantile(mixture.curves(np.array([0.5 * mixture.points])), 0.5)[0])
    little = max(2 * mixture.error, NEGLIGIBLE * (mixture.highest - now))
    if halfway - now <= little and now - floor <= 3 * little:
        steps = 0.0
    return Forecast(
        floor=floor, interval=_interval(floors, mixture, gain=now - floor), steps_to_floor=steps, mixture=mixture
    )


def _interval(values: Array, mixture: Mixture, gain: float) -> tuple[float, float]:
    """From the 5 % to the 95 % point of the mixture, widened by a tenth of the gain and the error of the level."""
    low, high = (float(mixture.quantile(values[:, None], share)[0]) for share in (0.05, 0.95))
    fallen = mixture.highest - float(mixture.quantile(mixture.curves(np.array([mixture.points])), 0.5)[0])
    pad = 0.1 * max(gain, 0.0) + 1.645 * mixture.error + MODEL_ERROR * max(fallen, 0.0)
    return max(low - pad, 0.0) if mixture.positive else low - pad, high + pad


def _noise(track: Track) -> tuple[float, float]:
    """Standard deviation and lag-1 correlation of the noise, from second differences: blind to slow trends."""
    values = track.recent[-192:]
    y = np.asarray(values)
    scale = float(np.abs(y).max()) or 1.0
    y = y / scale
    near = float(np.median(np.abs(y[2:] - 2 * y[1:-1] + y[:-2])))
    far = float(np.median(np.abs(y[4:] - 2 * y[2:-2] + y[:-4])))
    if near <= 0 or far <= 0:
        return difference_scale(values), 0.0
    correlation = float(np.interp((far / near) ** 2, _RATIOS, _CORRELATIONS))
    # variance of a second difference of an AR(1): 2 (1 - phi) (3 - phi) times that of the noise
    return 1.4826 * scale * near / math.sqrt(2 * (1 - correlation) * (3 - correlation)), correlation


def _last_change(rates: Rates) -> int | None:
    """The step of the last change of the learning rate by more than a tenth; None when it never did."""
    reference = rates.current
    if reference is None or not reference:
        return None
    for i in range(len(rates.values) - 1, 0, -1):
        if abs(rates.values[i - 1] / reference - 1) > 0.1:
            return rates.steps[i]
    return None


def _rows_since(rows: Array, since: int | None) -> Array:
    return rows if since is None else rows[rows[:, 2] >= since]


def _blocks(rows: Array, part: float) -> Blocks | None:
    """At most 40 log-spaced blocks of the points after the first ``part`` of them."""
    ends = np.cumsum(rows[:, 0])
    rows = rows[ends > part * ends[-1]]
    if rows[:, 0].sum() < LEAST_POINTS:
        return None
    ends = np.cumsum(rows[:, 0])
    total = float(ends[-1])
    edges = np.unique(np.searchsorted(ends, np.geomspace(1.0, total, BLOCKS) - 1e-9))
    first = np.concatenate([[0], edges[:-1] + 1])
    sums = np.add.reduceat(rows[:, 1] * rows[:, 0], first)
    counts = np.add.reduceat(rows[:, 0], first)
    if len(counts) < 8:
        return None
    end = np.cumsum(counts)
    begin, last = float(rows[0, 2]), float(rows[-1, 3])
    return Blocks(end - counts, end, sums / counts, begin, max((last - begin) / max(total - 1, 1), 1e-12))


def _fine_rows(track: Track) -> Array:
    """The history as rows of (count, mean, first step, last step): single points where they are still known."""
    if track.n < LEAST_POINTS:
        return np.empty((0, 4))
    if track.complete():
        steps = np.asarray(track.recent_steps, dtype=np.float64)
        return np.column_stack([np.ones(len(steps)), np.asarray(track.recent), steps, steps])
    table = track.bucket_table()[:, [COUNT, MEAN, FIRST_STEP, LAST_STEP]]
    head = np.asarray(track.head)
    steps = np.asarray(track.head_steps, dtype=np.float64)
    early = np.column_stack([np.ones(len(head)), head, steps, steps])
    covered = np.cumsum(table[:, 0])
    whole = int(np.searchsorted(covered, len(head), side="right"))
    rest = table[whole:]
    if len(rest) and (overlap := len(head) - (covered[whole - 1] if whole else 0.0)) > 0:
        # the head ends inside this bucket: what is left of it is the bucket less those points
        left = rest[0, 0] - overlap
        rest = rest.copy()
        rest[0] = [
            left,
            (rest[0, 1] * rest[0, 0] - head[-int(overlap) :].sum()) / left,
            steps[-1] + 1,
            rest[0, 3],
        ]
    return np.vstack([early, rest])


def _shapes(best_exponent: float | None = None, best_span: float | None = None) -> Shapes:
    """The coarse grid; with the best of each family, a fine one around them is added, its shapes weighing less."""
    if best_exponent is None or best_span is None:
        return Shapes(EXPONENTS, SPANS, np.ones(2 * COARSE))
    exponents = np.concatenate([EXPONENTS, np.geomspace(best_exponent / 1.5, best_exponent * 1.5, FINE)])
    spans = np.concatenate([SPANS, np.geomspace(best_span / 1.5, best_span * 1.5, FINE)])
    # a shape stands for its stretch of the logarithmic axis: 0.81 / 20 of it on the fine grid, 4.2 / 24 on the coarse
    prior = np.concatenate([np.ones(COARSE), np.full(FINE, 0.23)])
    return Shapes(exponents, spans, np.concatenate([prior, prior]))


def _bases(shapes: Shapes, start: Array, end: Array, points: float) -> Array:
    """All shapes averaged over blocks, shape (shapes, len(start)). Points count from 1, so that x = 0.5 is finite."""
    a = shapes.exponents[:, None]
    low, high = np.maximum(start, 0.0) + 0.5, np.maximum(end, 0.5) + 0.5
    width = high - low
    flat = np.abs(1 - a) < 1e-6
    safe = np.where(flat, 2.0, a)
    power = np.where(flat, np.log(high / low), (high ** (1 - safe) - low ** (1 - safe)) / (1 - safe)) / width
    tau = (shapes.spans * points)[:, None]
    exponential = tau * (np.exp(-low / tau) - np.exp(-high / tau)) / width
    return np.vstack([power, exponential])


def _fit(blocks: Blocks, noise: float, error: float, *, positive: bool) -> Mixture | None:
    scale = float(np.abs(blocks.mean).max())
    if scale == 0 or not math.isfinite(scale):
        return None
    y = blocks.mean / scale
    misfit = MISFIT * float(y.max() - y.min())
    deviation = np.sqrt((noise / scale) ** 2 / (blocks.end - blocks.start) + misfit**2 + 1e-18)
    coarse = _shapes()
    _, _, rss = _robust_lines(_bases(coarse, blocks.start, blocks.end, blocks.points), y, deviation, positive=positive)
    shapes = _shapes(
        float(EXPONENTS[int(rss[:COARSE].argmin())]),
        float(SPANS[int(rss[COARSE:].argmin())]),
    )
    basis = _bases(shapes, blocks.start, blocks.end, blocks.points)
    floor, amplitude, rss = _robust_lines(basis, y, deviation, positive=positive)
    excess = max(1.0, float(rss.min()) / max(len(y) - 3, 1))
    share = shapes.prior * np.exp(-(rss - rss.min()) / (2 * excess))
    share /= share.sum()
    recent = (y - share @ (floor[:, None] + amplitude[:, None] * basis))[-LAST_BLOCKS:] / deviation[-LAST_BLOCKS:]
    return Mixture(
        highest=float(blocks.mean.max()),
        shapes=shapes,
        weight=share,
        floor=floor,
        amplitude=amplitude,
        scale=scale,
        points=blocks.points,
        first_step=blocks.first_step,
        step_per_point=blocks.step_per_point,
        error=error,
        misses=float(np.sqrt(np.mean(recent**2))),
        positive=positive,
    )


def _robust_lines(basis: Array, y: Array, deviation: Array, *, positive: bool) -> tuple[Array, Array, Array]:
    """Floor, amplitude and residual sum of squares per shape, with Huber's weights (1.5 deviations)."""
    weight = np.tile(deviation**-2, (len(basis), 1))
    for last in (False, False, True):
        floor, amplitude = _lines(basis, y, weight, positive=positive)
        size = np.abs(y - floor[:, None] - amplitude[:, None] * basis) / deviation
        if not last:
            weight = deviation**-2 * np.minimum(1.0, 1.5 / np.maximum(size, 1e-9))
    huber = np.where(size < 1.5, size**2, 3.0 * size - 2.25)
    return floor, amplitude, huber.sum(axis=1)


def _lines(basis: Array, y: Array, weight: Array, *, positive: bool) -> tuple[Array, Array]:
    """Weighted least squares of y = floor + amplitude * basis per shape, amplitude >= 0, floor >= 0 where positive."""
    total = weight.sum(axis=1)
    x_mean = (weight * basis).sum(axis=1) / total
    y_mean = (weight * y).sum(axis=1) / total
    centred = basis - x_mean[:, None]
    sxx = (weight * centred**2).sum(axis=1)
    amplitude = np.maximum((weight * centred * y).sum(axis=1) / np.maximum(sxx, 1e-300), 0.0)
    floor = y_mean - amplitude * x_mean
    if positive:
        through_zero = (weight * basis * y).sum(axis=1) / np.maximum((weight * basis**2).sum(axis=1), 1e-300)
        amplitude = np.where(floor < 0, through_zero, amplitude)
        floor = np.maximum(floor, 0.0)
    return floor, amplitude
