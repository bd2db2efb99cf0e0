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

from losswatch_server.monitor.memory.memory import Memory, Rates
from losswatch_server.monitor.memory.track import COUNT, FIRST_STEP, LAST_STEP, MEAN, Track
from losswatch_server.monitor.points import LARGEST, Context
from losswatch_server.monitor.stats.trend import difference_scale, median, middle

Array = NDArray[np.float64]

LEAST_POINTS = 20
BLOCKS = 40
COARSE = 24
FINE = 14
HORIZONS = 32
MISFIT = 0.003
"""How far real curves depart from any of the shapes, as a share of the range of the block means."""
LAST_BLOCKS = 6
FITS = 3.0
"""Distance of the fit from the last blocks, in standard errors, up to which it counts as a fit."""
MODEL_ERROR = 0.02
"""Trained networks depart from every shape: as many steps on, the loss was off by 1.7 % of the fall (median of 116)."""
NEGLIGIBLE = 0.02
"""When the second half of the run brought less than this share of the fall, the floor counts as reached."""
EXPONENTS = np.geomspace(0.03, 2.0, COARSE)
SPANS = np.geomspace(0.03, 4.0, COARSE)
"""Time constants of the exponentials, as shares of the points seen."""
FARTHEST = 100.0
"""How many times the present length the forecast looks ahead."""
NEAR = 0.1
"""What share of the remaining fall may be left when the floor counts as reached."""


_AHEAD_AND_HALF = np.append(np.geomspace(1.0, FARTHEST, HORIZONS), 0.5)
"""How far the forecast looks, and back to where half of the points had come, as shares of the points."""
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
        values = _values(self.shapes, at, self.points)
        return self.scale * (self.floor[:, None] + self.amplitude[:, None] * values)

    def quantile(self, values: Array, *shares: float) -> list[Array]:
        """The points below which each share of the mixture lies, per column of ``values`` (shapes, n)."""
        order = np.argsort(values, axis=0)
        below = np.cumsum(self.weight[order], axis=0)
        columns = np.arange(values.shape[1])
        rows = [np.minimum((below < share).sum(axis=0), len(values) - 1) for share in shares]
        return [values[order[row, columns], columns] for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What to expect if nothing changes; every field None where nothing honest can be said."""

    floor: float | None = None
    interval: tuple[float, float] | None = None
    """Of simulated curves more than nine tenths stay inside; of really trained ones 84 % twice as far, 94 % a quarter
    farther (116 curves)."""
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
        now, then = (float(v) for v in m.quantile(curves, 0.5)[0])
        low, high = _interval(curves[:, 1], m, now=now, then=then)
        return then, low, high


NOTHING = Forecast()


def forecast(memory: Memory, context: Context) -> Forecast:
    """The forecast of the loss as it stands."""
    if context.objective == "none" or max(memory.loss.highest, -memory.loss.lowest) >= LARGEST:
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
        mixture = _fit(blocks, inflated, error, positive=memory.loss.lowest >= 0)
        if mixture is None:
            return NOTHING
        if mixture.misses <= FITS:
            told = _told(mixture)
            # a floor that the loss has gone below is none
            margin = max(FITS * error, MODEL_ERROR * (mixture.highest - now))
            return told if told.floor is not None and told.floor <= now + margin else NOTHING
    return NOTHING


def _rises(blocks: Blocks, now: float, error: float, noise: float) -> bool:
    """Whether the level now is clearly above an earlier one."""
    lowest = float((blocks.mean + 4 * noise / np.sqrt(blocks.end - blocks.start)).min())
    return now - 4 * error > lowest + 0.1 * (float(blocks.mean.max()) - lowest)


def _told(mixture: Mixture) -> Forecast:
    expected = mixture.quantile(mixture.curves(_AHEAD_AND_HALF * mixture.points), 0.5)[0]
    now, halfway = float(expected[0]), float(expected[-1])
    floors = mixture.scale * mixture.floor
    floor = float(mixture.quantile(floors[:, None], 0.5)[0][0])
    near = np.flatnonzero(expected[:-1] - floor <= NEAR * max(now - floor, 0.0) + mixture.error)
    steps = float(_AHEAD_AND_HALF[near[0]] - 1.0) * mixture.points * mixture.step_per_point if len(near) else None
    little = max(2 * mixture.error, NEGLIGIBLE * (mixture.highest - now))
    if halfway - now <= little and now - floor <= 3 * little:
        steps = 0.0
    interval = _interval(floors, mixture, now=now, then=floor)
    return Forecast(floor=floor, interval=interval, steps_to_floor=steps, mixture=mixture)


def _interval(values: Array, mixture: Mixture, *, now: float, then: float) -> tuple[float, float]:
    """From the 5 % to the 95 % point of the mixture, widened by a tenth of the gain, the error of the level and what
    real curves depart from every shape."""
    low, high = (float(v[0]) for v in mixture.quantile(values[:, None], 0.05, 0.95))
    pad = 0.1 * max(now - then, 0.0) + 1.645 * mixture.error + MODEL_ERROR * max(mixture.highest - now, 0.0)
    return max(low - pad, 0.0) if mixture.positive else low - pad, high + pad


def _noise(track: Track) -> tuple[float, float]:
    """Standard deviation and lag-1 correlation of the noise, from second differences: blind to slow trends."""
    values = track.recent[-192:]
    y = np.asarray(values)
    scale = float(np.abs(y).max()) or 1.0
    y = y / scale
    near = middle(np.abs(y[2:] - 2 * y[1:-1] + y[:-2]))
    far = middle(np.abs(y[4:] - 2 * y[2:-2] + y[:-4]))
    if near <= 0 or far <= 0:
        return difference_scale(values), 0.0
    correlation = float(np.interp(min(far / near, 10.0) ** 2, _RATIOS, _CORRELATIONS))
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
    edges = np.searchsorted(ends, _up_to(total) - 1e-9)
    edges = edges[np.concatenate([edges[:-1] != edges[1:], _LAST])]
    first = np.concatenate([_ZERO, edges[:-1] + 1])
    sums = np.add.reduceat(rows[:, 1] * rows[:, 0], first)
    counts = np.add.reduceat(rows[:, 0], first)
    if len(counts) < 8:
        return None
    end = np.cumsum(counts)
    begin, last = float(rows[0, 2]), float(rows[-1, 3])
    return Blocks(end - counts, end, sums / counts, begin, max((last - begin) / max(total - 1, 1), 1e-12))


_ZERO, _LAST = np.zeros(1, np.intp), np.ones(1, np.bool_)
_TO_LAST = np.arange(BLOCKS, dtype=np.float64)


def _up_to(total: float) -> Array:
    """``np.geomspace(1.0, total, BLOCKS)`` without most of its cost."""
    last = np.log10(total)
    logarithms = _TO_LAST * (last / (BLOCKS - 1))
    logarithms[-1] = last
    spaced: Array = np.power(10.0, logarithms)
    spaced[0], spaced[-1] = 1.0, total
    return spaced


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


_COARSE = Shapes(EXPONENTS, SPANS, np.ones(2 * COARSE))
_AROUND = np.geomspace(1 / 1.5, 1.5, FINE)
# a shape stands for its stretch of the logarithmic axis: 0.81 / 14 of it on the fine grid, 4.2 / 24 on the coarse one
_PRIOR = np.concatenate([np.ones(COARSE), np.full(FINE, 0.33)] * 2)


def _refined(exponent: float, span: float) -> Shapes:
    """The coarse grid and, around the best of each family, a fine one."""
    return Shapes(np.concatenate([EXPONENTS, exponent * _AROUND]), np.concatenate([SPANS, span * _AROUND]), _PRIOR)


def _values(shapes: Shapes, at: Array, points: float) -> Array:
    """All shapes at the point counts ``at``, shape (shapes, len(at))."""
    power = at ** -shapes.exponents[:, None]
    exponential = np.exp(-at / (shapes.spans * points)[:, None])
    return np.vstack([power, exponential])


_FIRST_EDGE = np.array([0.5])


def _block_means(shapes: Shapes, blocks: Blocks) -> Array:
    """All shapes averaged over the blocks, shape (shapes, blocks). Points count from 1, so the first starts at 0.5."""
    edges = np.concatenate([_FIRST_EDGE, blocks.end + 0.5])
    rest = 1 - shapes.exponents[:, None]
    rest = np.where(np.abs(rest) < 1e-6, 1e-6, rest)
    tau = (shapes.spans * blocks.points)[:, None]
    count = len(rest)
    integrals = np.empty((2 * count, len(edges)))
    powers, exponentials = integrals[:count], integrals[count:]
    np.power(edges, rest, out=powers)
    powers /= rest
    np.divide(-edges, tau, out=exponentials)
    np.exp(exponentials, out=exponentials)
    exponentials *= -tau
    means: Array = integrals[:, 1:] - integrals[:, :-1]
    means /= edges[1:] - edges[:-1]
    return means


def _fit(blocks: Blocks, noise: float, error: float, *, positive: bool) -> Mixture | None:
    scale = float(np.abs(blocks.mean).max())
    if scale == 0 or not math.isfinite(scale):
        return None
    y = blocks.mean / scale
    misfit = MISFIT * float(y.max() - y.min())
    deviation = np.sqrt((noise / scale) ** 2 / (blocks.end - blocks.start) + misfit**2 + 1e-18)
    _, _, rss = _robust_lines(_block_means(_COARSE, blocks), y, deviation, positive=positive)
    shapes = _refined(float(EXPONENTS[rss[:COARSE].argmin()]), float(SPANS[rss[COARSE:].argmin()]))
    basis = _block_means(shapes, blocks)
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
    precision = deviation**-2
    weight = np.empty_like(basis)
    weight[:] = precision
    for last in (False, False, True):
        floor, amplitude = _lines(basis, y, weight, positive=positive)
        size = y - floor[:, None]
        size = np.subtract(size, amplitude[:, None] * basis, out=np.empty_like(basis))
        np.absolute(size, out=size)
        size /= deviation
        if not last:
            np.maximum(size, 1e-9, out=weight)
            np.divide(1.5, weight, out=weight)
            np.minimum(1.0, weight, out=weight)
            weight *= precision
    huber = np.where(size < 1.5, size**2, 3.0 * size - 2.25)
    return floor, amplitude, huber.sum(axis=1)


def _lines(basis: Array, y: Array, weight: Array, *, positive: bool) -> tuple[Array, Array]:
    """Weighted least squares of y = floor + amplitude * basis per shape, amplitude >= 0, floor >= 0 where positive."""
    weighted = weight * basis
    total, first = weight.sum(axis=1), weighted.sum(axis=1)
    second = np.einsum("ij,ij->i", weighted, basis)
    level, product = weight @ y, weighted @ y
    spread = np.maximum(second - first * first / total, 1e-300)
    amplitude = np.maximum((product - first * level / total) / spread, 0.0)
    floor = (level - amplitude * first) / total
    if positive:
        amplitude = np.where(floor < 0, product / np.maximum(second, 1e-300), amplitude)
        floor = np.maximum(floor, 0.0)
    return floor, amplitude
