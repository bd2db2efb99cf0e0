"""What each series of a run shows by itself: the loss, the gradient norm, the layers, the validation loss.

Levels are medians, noise comes from successive differences (blind to slow trends), and sums over the whole
history come from the equal-width buckets. A number is None where it cannot be had.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.learning_rate_limit import STEADY_SPREAD, difference_ratios, spread
from losswatch_server.monitor.memory.memory import Layers
from losswatch_server.monitor.memory.track import COUNT, FIRST_STEP, M2, MAX, MEAN, Track
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.stats.periodicity import exact_period, lag1, strongest_period
from losswatch_server.monitor.stats.trend import difference_scale, median, quantum

Array = NDArray[np.float64]

LAST_DIGIT, MOVED = 2e-5, 1e-3
"""Shares of a loss: of its last printed digit, and of a difference that is none of digits."""
ZERO_LAYER = math.log(1e-12)
"""A layer whose norm stays below this gets no gradient; the smallest of healthy layers was 1e-7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossMeasures:
    """The loss: where it began, where it is, how noisy it is."""

    points: int
    very_first: float
    first_step: int
    first: float
    """The first loss (median of the first five where they do not move apart)."""
    now: float
    """Median of the last tenth, of 3 to 64 points."""
    latest: float
    """Median of the last thirtieth, of 3 to 64 points: where a slow fall has come to."""
    best: float
    best_level: float
    """The lowest mean of a sixteenth of the run."""
    peak: float
    peak_step: int
    peak_place: float
    """Where the highest loss was, as a share of the run."""
    noise_first: float
    noise: float
    """Standard deviation around the trend: at the start, and now."""
    quantum: float
    lag1: float | None
    """Lag-1 autocorrelation of the recent losses around their line."""
    identical: bool
    """All losses are the same number."""
    stride: float
    """Steps from one point to the next, on average."""
    period: int | None
    """A repeating pattern, in points."""
    period_strength: float
    """Correlation of the recent losses with themselves one period later."""
    exact_period: int | None
    """A period after which the losses repeat to the last digit."""
    early_change: float | None
    """Mean of the first points minus that of the following ones, in standard errors: above 0 is a fall."""
    change: float | None
    """First quarter minus last quarter, in standard errors."""
    late_change: float | None
    """Third quarter minus last quarter, in standard errors."""
    late_share: float | None
    """The same, as a share of the whole fall."""
    tail_rise: float | None
    """The highest of the last 3 losses over the median of the 32 before; of fewer than 6 the last one over the median
    of those before; None unless all are positive."""

    still_to_gain: float | None = None
    """What the loss will still lose if each eighth of the log goes on to bring the same share of the one before (a
    geometric series); at least half a printing step, and the noise. None where it cannot be told."""
    froze: bool = False
    """All losses but the first are the same number, or differ in the last printed digit."""
    tail_growth: float | None = None
    """Ratio of the last differences where they grow at a constant rate, so that the loss grows geometrically."""

    @property
    def fall(self) -> float:
        """Share of the first loss that is gone; negative after a rise."""
        return (self.first - self.now) / abs(self.first) if self.first else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientMeasures:
    """The total gradient norm."""

    points: int
    first: float
    now: float
    peak: float
    lowest: float
    p90: float
    """The 90th percentile of the finite norms kept (the first 64 and the recent ones)."""
    log_noise_first: float
    log_noise: float
    """Noise of ln(norm), at the start and now."""
    growth_exponent: float | None
    """b in norm ~ point**b over the first 64 points: 1 when gradients add up."""
    growth_fit: float
    """R squared of that power law."""
    equal_maxima: float
    """Share of recent norms within 0.1 % of the largest: a norm logged after clipping."""

    @property
    def ratio(self) -> float | None:
        """Norm now over norm at the start."""
        return self.now / self.first if self.first > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMeasures:
    """Norms per layer, in the order of depth."""

    count: int
    dead_from_start: int
    became_dead: int
    first_over_last: float | None
    """Norm of the first over that of the last layer, the dead ones left out."""


def printing_step(values: list[float]) -> float:
    """The printing step; 0 where values of all magnitudes meet."""
    return quantum(values) if max(map(abs, values)) < 1e9 * min((abs(v) for v in values if v), default=0.0) else 0.0


def _noise(values: list[float]) -> float:
    """Difference scale, but not fooled by values that mostly repeat: then the plain deviation of differences."""
    robust = difference_scale(values)
    if robust > 0 or len(values) < 3:
        return robust
    return math.sqrt(sum((b - a) ** 2 for a, b in pairwise(values)) / (2 * (len(values) - 1)))


def loss_measures(track: Track) -> LossMeasures | None:
    n = track.n
    if n == 0:
        return None
    tail = track.recent[-min(max(3, n // 10), 64) :]
    recent = track.recent[-min(max(8, n // 2), 256) :]
    head = track.head[: max(8, min(n // 4, 64))]
    opening = track.head[: 5 if n >= 50 else 1]
    first = track.head[0]
    noise_first = _noise(head)
    if max(opening) - min(opening) < 6 * noise_first:
        first = median(opening)
    period, strength = strongest_period(track.recent)
    peak_step = _peak_step(track)
    span = max(1, track.last_step - track.head_steps[0])
    return LossMeasures(
        points=n,
        very_first=track.head[0],
        first_step=track.head_steps[0],
        first=first,
        now=median(tail),
        latest=median(track.recent[-min(max(3, n // 30), 64) :]),
        best=track.lowest,
        best_level=_best_level(track),
        peak=track.highest,
        peak_step=peak_step,
        peak_place=(peak_step - track.head_steps[0]) / span,
        noise_first=noise_first,
        noise=_noise(recent),
        quantum=printing_step(track.recent[-128:]),
        lag1=lag1(recent),
        identical=n >= 5 and track.lowest == track.highest,
        stride=(track.last_step - track.head_steps[0]) / max(1, track.n - 1),
        period=period,
        period_strength=strength,
        exact_period=exact_period(track.recent),
        early_change=_early_change(track),
        change=_change(track, 0.0, 0.25, 0.75, 1.0),
        late_change=_change(track, 0.5, 0.75, 0.75, 1.0),
        late_share=_late_share(track),
        tail_rise=_tail_rise(track),
        still_to_gain=_still_to_gain(track),
        froze=_froze(track),
        tail_growth=_tail_growth(track),
    )


def _best_level(track: Track) -> float:
    if track.n < 32:
        return track.lowest
    if track.complete():
        y, size = np.asarray(track.recent), track.n // 16
        return float(y[: 16 * size].reshape(16, size).mean(axis=1).min())
    table = track.bucket_table()
    per = max(1, len(table) // 16)
    edges = np.arange(0, len(table), per)
    counts = np.add.reduceat(table[:, COUNT], edges)
    return float((np.add.reduceat(table[:, COUNT] * table[:, MEAN], edges) / counts).min())


def _peak_step(track: Track) -> int:
    if track.highest in track.head:
        return track.head_steps[track.head.index(track.highest)]
    if track.highest in track.recent:
        return track.recent_steps[track.recent.index(track.highest)]
    table = track.bucket_table()
    return int(table[int(table[:, MAX].argmax()), FIRST_STEP])


def _tail_rise(track: Track) -> float | None:
    before, last = track.recent[-35:-3], track.recent[-3:]
    if len(before) < 3:  # a run that broke within its first points
        before, last = track.recent[:-1], track.recent[-1:]
    if not before or min(before) <= 0:
        return None
    return max(last) / median(before)


def _tail_growth(track: Track) -> float | None:
    ratios = difference_ratios(track.recent[-6:])
    return ratios[-1] if len(ratios) >= 3 and spread(ratios) <= STEADY_SPREAD and ratios[-1] > 1 else None


def _froze(track: Track) -> bool:
    if track.n < 5 or not track.complete():
        return False
    first, *rest = track.recent
    low, high = min(rest), max(rest)
    return high - low <= LAST_DIGIT * abs(high) and abs(first - high) > MOVED * abs(high)


FEW_IN_EIGHTH = 4
"""Points in an eighth of the log below which they say nothing of their own noise."""


def _still_to_gain(track: Track) -> float | None:
    if track.n < 8:
        return None
    (before, _, _), (middle, _, _), (now, noise, count) = (window(track, i / 8, (i + 1) / 8) for i in (5, 6, 7))
    step = printing_step(track.recent[-128:])
    if count < FEW_IN_EIGHTH:
        noise = max(noise, difference_scale(track.recent[-max(8, track.n // 2) :]))
    error = 2 * (noise if noise > step / 2 else 0.0) * math.sqrt(2 / count)
    gain, former = middle - now, before - middle
    if not all(map(math.isfinite, (gain, former, error))) or (former <= 0 and gain > error):
        return None
    ratio = min(max(gain, 0.0) / former, 0.9) if former > 0 else 0.0
    # what is left after the middle of the last eighth, half of which that eighth has brought
    left = max(gain + error, 0.0) * ratio / (1 - ratio) - 0.5 * max(gain, 0.0)
    return max(left, error / 2, step / 2)


def _standard_error(noise: float, a: int, b: int) -> float:
    return noise * math.sqrt(1 / a + 1 / b)


def _early_change(track: Track) -> float | None:
    head = track.head
    if len(head) < 12:
        return None
    k = max(3, len(head) // 8)
    noise = _noise(head)
    after = head[k:]
    if noise <= 0:
        return None
    return (sum(head[:k]) / k - sum(after) / len(after)) / _standard_error(noise, k, len(after))


def window(track: Track, start: float, end: float) -> tuple[float, float, int]:
    """Mean, within-bucket standard deviation and count over a stretch of the history, given as shares."""
    if track.complete():
        values = track.recent[int(start * track.n) : max(int(start * track.n) + 1, round(end * track.n))]
        return sum(values) / len(values), _noise(values), len(values)
    table = track.bucket_table()
    rows = table[int(start * len(table)) : max(int(start * len(table)) + 1, round(end * len(table)))]
    count = float(rows[:, COUNT].sum())
    mean = float((rows[:, MEAN] * rows[:, COUNT]).sum()) / count
    inside = math.sqrt(max(0.0, float(np.median(rows[:, M2] / rows[:, COUNT]))))
    return mean, inside, int(count)


def _change(track: Track, a0: float, a1: float, b0: float, b1: float) -> float | None:
    if track.n < 12:
        return None
    before, noise_before, n_before = window(track, a0, a1)
    after, noise_after, n_after = window(track, b0, b1)
    noise = max(noise_before, noise_after)
    if noise <= 0 or not math.isfinite(noise):
        return None
    return (before - after) / _standard_error(noise, n_before, n_after)


def _late_share(track: Track) -> float | None:
    if track.n < 12 or track.head[0] == track.recent[-1]:
        return None
    (third, _, _), (last, _, _) = window(track, 0.5, 0.75), window(track, 0.75, 1.0)
    fall = track.head[0] - last
    return (third - last) / fall if fall else None


def gradient_measures(track: Track) -> GradientMeasures | None:
    n = track.n
    if n == 0:
        return None
    head = track.head[: max(5, min(n // 4, 64))]
    recent = track.recent[-min(max(3, n // 10), 64) :]
    kept = sorted([*track.head, *track.recent] if n > len(track.recent) else track.recent)
    exponent, fit = _power_law(track.head)
    top = max(track.recent)
    return GradientMeasures(
        points=n,
        first=median(track.head[: 5 if n >= 25 else 1]),
        now=median(recent),
        peak=track.highest,
        lowest=track.lowest,
        p90=kept[min(len(kept) - 1, int(0.9 * len(kept)))],
        log_noise_first=_noise([math.log(g) for g in head if g > 0]),
        log_noise=_noise([math.log(g) for g in track.recent[-128:] if g > 0]),
        growth_exponent=exponent,
        growth_fit=fit,
        equal_maxima=sum(g > 0.999 * top for g in track.recent) / len(track.recent) if n >= 20 and top > 0 else 0.0,
    )


def _power_law(head: list[float]) -> tuple[float | None, float]:
    """Exponent and R squared of norm ~ (index + 1)**exponent."""
    if len(head) < 12 or min(head) <= 0:
        return None, 0.0
    x = np.log(np.arange(1, len(head) + 1))
    y = np.log(np.asarray(head))
    x = x - x.mean()
    y = y - y.mean()
    total = float(y @ y)
    if total <= 0:
        return 0.0, 0.0
    slope = float(x @ y) / float(x @ x)
    return slope, slope * float(x @ y) / total


def layer_measures(layers: Layers, context: Context) -> LayerMeasures | None:
    if not layers.names or layers.points == 0:
        return None
    known = dict(zip(layers.names, zip(layers.first, layers.now, strict=True), strict=True))
    order = [name for name in context.layer_order or () if name in known] or layers.names
    pairs = [known[name] for name in order if not math.isnan(known[name][1])]
    if not pairs:
        return None
    alive = [now for _, now in pairs if now > ZERO_LAYER]
    return LayerMeasures(
        count=len(pairs),
        dead_from_start=sum(first <= ZERO_LAYER and now <= ZERO_LAYER for first, now in pairs),
        became_dead=sum(now <= ZERO_LAYER < first for first, now in pairs),
        first_over_last=_exp(alive[0] - alive[-1]) if len(alive) >= 2 else None,
    )


def _exp(x: float) -> float:
    return math.exp(min(max(x, -700.0), 700.0))
