"""The shape of a loss curve so far, in numbers that survive rescaling of the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.loss_kind import LossKind
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.memory.track import COUNT, LOG_MEAN, M2, MEAN, Track
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test, median, middle, quantum, slope_test

Array = NDArray[np.float64]
Blocks = Array | list[list[float]]
"""Values in rows of one length, or the pyramid's buckets."""
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


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A summary of ``n`` finite losses. Levels are means in the loss's own unit; ``noise`` is the robust standard
    deviation of a single point about its local level (at least half a printing quantum). What few rules come to ask
    for is worked out where one does, from what the memory held when the summary was made."""

    n: int
    means: Array
    """Equal-width block means over the whole history, shape (m,)."""
    per_block: float
    """Points per block."""
    positive: bool
    first: float
    """Median of the first points (at most 8, at most an eighth of the run)."""
    now: float
    """Median of the last eighth of the run (at least 4 points)."""
    noise: float
    quantum: float
    progress: float
    """first - now."""
    share: float
    """Progress as a share of the first level above the lowest conceivable (0 for positive losses)."""
    t_half: float
    """t statistic of the slope over the second half (negative: falling)."""
    slope_half: float
    """Slope per point over the second half."""
    gain_half: float
    """Fall of the fitted line over the second half."""
    gain_error: float
    """Its standard error, inflated for autocorrelation."""
    fraction: float | None
    """Share of the planned steps that is done, None when not known."""
    chance: float | None
    constant: bool
    """Every value so far is the same."""
    few: list[float] | None
    """All losses while there are fewer than 32."""
    blocks: Blocks
    """What ``means`` are the means of."""

    @cached_property
    def best(self) -> float:
        """Lowest level of a late-sized window anywhere."""
        window = max(1, round(len(self.means) / 8))
        if len(self.means) > window:
            return float(np.convolve(self.means, np.full(window, 1 / window), mode="valid").min())
        return float(self.means.min())

    @cached_property
    def level(self) -> float:
        """``now`` from block means: single losses of small batches are skewed, and their median lies under their
        mean."""
        return middle(self.means[-max(1, len(self.means) // 8) :])

    @cached_property
    def t_log_half(self) -> float:
        """``t_half`` of log means, 0 where the loss is not positive."""
        late = self.blocks[len(self.means) // 2 :]
        if not self.positive or len(late) < 5:
            return 0.0
        logs = [row[LOG_MEAN] for row in late] if isinstance(late, list) else np.log(late).mean(axis=1)
        return slope_test(np.asarray(logs))[1]

    @cached_property
    def ordered_fall(self) -> bool:
        """Fewer than 32 points, and Kendall's exact test sees them fall at p < 0.05."""
        return self.few is not None and _falls_in_order(self.few)

    @cached_property
    def falling(self) -> bool:
        """Whether the second half (below 32 points: the whole) falls significantly, raw or logarithmic."""
        return self.t_half < -FALLS or self.t_log_half < -FALLS or self.ordered_fall


def block_means(track: Track) -> tuple[Array, float, Blocks]:
    """Equal-width means, points per block, and the blocks themselves, of the whole history.

    Up to 288 values the blocks are cut from the values themselves (at most 64 blocks); later they are the
    pyramid's complete buckets.
    """
    if track.complete():
        values = np.array(track.recent)
        size = max(1, math.ceil(len(values) / 64))
        m = len(values) // size
        cut = values[len(values) - m * size :].reshape(m, size)
        return cut.mean(axis=1), float(size), cut
    rows = track.buckets
    return np.array([row[MEAN] for row in rows]), rows[0][COUNT], list(rows)


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
    means, per_block, blocks = block_means(track)
    late = track.recent[-max(4, min(n // 8, len(track.recent))) :]
    early = track.head[: max(1, min(8, n // 8))]
    first = median(early)
    now = median(late)
    if n // 8 > len(track.recent):
        tail = means[-max(1, len(means) // 8) :]
        now = middle(tail)
    q = quantum(track.recent[-128:])
    noise = max(_noise(track), 0.5 * q)
    half = means[len(means) // 2 :]
    slope, t = slope_test(half) if len(half) >= 5 else (0.0, 0.0)
    positive = track.lowest > 0
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
        now=now,
        noise=noise,
        quantum=q,
        progress=first - now,
        share=(first - now) / base if base > 0 else 0.0,
        t_half=t,
        slope_half=slope / per_block,
        gain_half=-slope * (len(half) - 1),
        gain_error=abs(slope / t) * (len(half) - 1) if t else 0.0,
        fraction=(track.last_step + 1) / total if total and total > 0 else None,
        chance=chance,
        constant=track.lowest == track.highest,
        few=list(track.recent) if n < 32 else None,
        blocks=blocks,
    )
