"""The shape of a loss curve so far, in numbers that survive rescaling of the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.loss_kind import LossKind
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.memory.track import COUNT, LOG_MEAN, M2, MEAN, Track
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test, median, middle, quantum, slope_test

Array = NDArray[np.float64]
FALLS = 3.0
"""Standard errors of a significant fall."""


def reduced_alike(kind: LossKind, first: float, head: list[float], batch_size: int | None) -> float | None:
    """The kind's chance level for a loss that is summed, not averaged, over the batch: told by a first loss of about
    B ln K, or by the name.

    A loss that falls to a third of that within its first 24 points was averaged, and only began high.

    None for a loss that begins 300 times above or below chance: it has been scaled, and chance says nothing of it. What
    the client states holds as it stands.
    """
    chance = kind.chance
    if chance is None or kind.stated:
        return chance
    if kind.summed:
        return chance * batch_size if batch_size else None
    if not chance / 300 < first < 300 * chance:
        return None
    if batch_size and batch_size > 4 and min(head[:24]) > 0.33 * first and 0.7 < first / (chance * batch_size) < 1.5:
        return chance * batch_size
    return chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A summary of ``n`` finite losses. Levels are means in the loss's own unit; ``noise`` is the robust standard
    deviation of a single point about its local level (at least half a printing quantum)."""

    n: int
    means: Array
    """Equal-width block means over the whole history, shape (m,)."""
    per_block: float
    """Points per block."""
    positive: bool
    first: float
    """Median of the first points (at most 8, at most an eighth of the run)."""
    best: float
    """Lowest level of a late-sized window anywhere."""
    now: float
    """Median of the last eighth of the run (at least 4 points)."""
    level: float
    """The same from block means: single losses of small batches are skewed, and their median lies under their mean."""
    noise: float
    quantum: float
    progress: float
    """first - now."""
    share: float
    """Progress as a share of the first level above the lowest conceivable (0 for positive losses)."""
    span: float
    """Highest minus lowest block mean."""
    t_half: float
    """t statistic of the slope over the second half (negative: falling)."""
    slope_half: float
    """Slope per point over the second half."""
    t_all: float
    t_log_half: float
    """The same on log means over the second half, 0 where the loss is not positive."""
    gain_half: float
    """Fall of the fitted line over the second half."""
    gain_error: float
    """Its standard error, inflated for autocorrelation."""
    fraction: float | None
    """Share of the planned steps that is done, None when not known."""
    chance: float | None
    constant: bool
    """Every value so far is the same."""
    ordered_fall: bool
    """Fewer than 32 points, and Kendall's exact test sees them fall at p < 0.05."""

    @property
    def falling(self) -> bool:
        """Whether the second half (below 32 points: the whole) falls significantly, raw or logarithmic."""
        return self.t_half < -FALLS or self.t_log_half < -FALLS or self.ordered_fall


def block_means(track: Track) -> tuple[Array, Array, float]:
    """Equal-width means, log means (NaN where not positive) and points per block of the whole history.

    Up to 288 values the blocks are cut from the values themselves (at most 64 blocks); later they are the
    pyramid's complete buckets.
    """
    if track.complete():
        values = np.array(track.recent)
        size = max(1, math.ceil(len(values) / 64))
        m = len(values) // size
        cut = values[len(values) - m * size :].reshape(m, size)
        logs = np.log(cut).mean(axis=1) if values.min() > 0 else np.full(m, np.nan)
        return cut.mean(axis=1), logs, float(size)
    rows = track.buckets
    return np.array([row[MEAN] for row in rows]), np.array([row[LOG_MEAN] for row in rows]), rows[0][COUNT]


def _noise(track: Track) -> float:
    """Robust sd of a point about its local level: successive differences of the latest values when all are at
    hand, else the median within-bucket sd of the later half of the history (buckets up to 64 points wide) or of
    the latest values."""
    if track.complete() or track.width * 8 > 64:
        return difference_scale(track.recent[-128:])
    later = track.buckets[len(track.buckets) // 2 :]
    variances = np.array([row[M2] for row in later]) / (np.array([row[COUNT] for row in later]) - 1)
    return middle(np.sqrt(variances))


def _falls_in_order(values: list[float]) -> bool:
    s, p = kendall_test(values)
    return s < 0 and p < 0.05


def shape_of(memory: Memory, context: Context, kind: LossKind) -> Shape:
    """Summarise the loss. Needs at least one finite loss; short histories give blunt but finite numbers."""
    track = memory.loss
    n = track.n
    means, logs, per_block = block_means(track)
    late = track.recent[-max(4, min(n // 8, len(track.recent))) :]
    early = track.head[: max(1, min(8, n // 8))]
    first = median(early)
    now = median(late)
    if n // 8 > len(track.recent):
        tail = means[-max(1, len(means) // 8) :]
        now = middle(tail)
    window = max(1, round(len(means) / 8))
    rolling = np.convolve(means, np.full(window, 1 / window), mode="valid") if len(means) > window else means
    q = quantum(track.recent[-128:])
    noise = max(_noise(track), 0.5 * q)
    half = means[len(means) // 2 :]
    slope, t = slope_test(half) if len(half) >= 5 else (0.0, 0.0)
    _, t_all = slope_test(means) if len(means) >= 5 else (0.0, 0.0)
    log_half = logs[len(logs) // 2 :]
    positive = track.lowest > 0
    _, t_log = slope_test(log_half) if positive and len(log_half) >= 5 else (0.0, 0.0)
    base = abs(first)
    if track.lowest < 0:
        # without a lower end there is no share of the way; of the range, but not that of single outliers
        low, high = np.quantile(means, (0.05, 0.95))
        base = max(abs(first), abs(now), float(high - low), 1e-300)
    total = context.total_steps
    chance = reduced_alike(kind, first, track.head, context.batch_size)
    return Shape(
        n=n,
        means=means,
        per_block=per_block,
        positive=positive,
        first=first,
        best=float(rolling.min()),
        now=now,
        level=middle(means[-max(1, len(means) // 8) :]),
        noise=noise,
        quantum=q,
        progress=first - now,
        share=(first - now) / base if base > 0 else 0.0,
        span=float(means.max() - means.min()),
        t_half=t,
        slope_half=slope / per_block,
        t_all=t_all,
        t_log_half=t_log,
        gain_half=-slope * (len(half) - 1),
        gain_error=abs(slope / t) * (len(half) - 1) if t else 0.0,
        fraction=(track.last_step + 1) / total if total and total > 0 else None,
        chance=chance,
        constant=track.lowest == track.highest,
        ordered_fall=n < 32 and _falls_in_order(track.recent),
    )
