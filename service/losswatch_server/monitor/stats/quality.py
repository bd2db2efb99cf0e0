"""What accuracy and its like say of a model: whether it still learns, and whether it is any good."""

from __future__ import annotations

import math
from dataclasses import dataclass

from losswatch_server.monitor.memory.quality import HIGHER, SHARES, Quality, quality_of
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test

BETTER_BY = 3.0
"""Standard errors by which the latest values must be better than those before, or are worse."""
LEAST_GAIN = 0.01
"""Of the scale of a share; of the value itself for other metrics."""
GOOD, POOR = 0.9, 0.25
"""Shares of right answers that are good for most tasks, and poor for any with few classes."""
OVER_GUESSING = 1.5
"""Times the share of a guess among known classes up to which a model is poor."""
CLEAR_GAIN = 0.05
"""The same for a gain that speaks against a loss that rests or rises: with a hundredth, four more bad floors of the
develop half went unsaid, and no healthy one."""
STILL_POINTS = 8
STILL_GAIN = 0.05
"""Of all answers: a gain of so many is excluded where a share stands still."""
STILL_ERRORS = 2.0
ORDERLY_POINTS = 5
ORDERLY = 0.01
"""Chance that so few values without a trend get better in such an order (Kendall's exact test): the scatter of a steep
slope from value to value hides it from the test above."""


@dataclass(frozen=True, slots=True)
class QualityVerdict:
    """``learning``: a metric got better lately; ``clearly``: by a twentieth, whatever the loss does; ``rising``: so,
    and it does not get worse now. ``good`` and ``poor``: by a share of right answers, which is None without one;
    ``still``: that no such share gained anything since the first values is beyond its noise."""

    learning: bool = False
    clearly: bool = False
    rising: bool = False
    share: float | None = None
    good: bool = False
    poor: bool = False
    still: bool = False


NOTHING_SAID = QualityVerdict()


def quality_verdict(quality: Quality, classes: int | None) -> QualityVerdict:
    """Read the metrics of a run that are remembered."""
    if not quality.names:
        return NOTHING_SAID
    learning, clearly, rising, still = False, False, False, True
    share: float | None = None
    for place, name in enumerate(quality.names):
        bare = quality_of(name) or ""
        latest, before = quality.latest[place], quality.middle[place] or quality.early[place]
        sign = 1.0 if bare in HIGHER else -1.0
        now = sum(latest) / len(latest)
        percent = 100.0 if bare in SHARES and max(*latest, *quality.early[place]) > 1.5 else 1.0
        if quality.counts[place] >= 4 and before is not latest:
            then = sum(before) / len(before)
            spread = max(difference_scale(latest), difference_scale(before))
            error = spread * math.sqrt(1 / len(latest) + 1 / len(before))
            size = percent if bare in SHARES else abs(then)
            gain, least = sign * (now - then), LEAST_GAIN * size
            better = gain > max(BETTER_BY * error, least) or _in_order(latest, sign, least)
            much = better and max(gain, sign * (latest[-1] - latest[0])) > CLEAR_GAIN * size
            learning = learning or better
            clearly = clearly or much
            rising = rising or (much and _goes_on(quality, place, sign))
        if bare in SHARES:
            share = max(share or 0.0, now / percent)
            still = still and _stands_still(quality, place, percent)
    if share is None:
        return QualityVerdict(learning, clearly, rising)
    poor = share < (OVER_GUESSING / classes if classes and classes > 1 else POOR)
    return QualityVerdict(learning, clearly, rising, share, share >= GOOD and not poor, poor, still and not learning)


def _in_order(latest: list[float], sign: float, least: float) -> bool:
    """Whether the latest values get better in an order that is no chance, by what matters."""
    if len(latest) < ORDERLY_POINTS or sign * (latest[-1] - latest[0]) <= least:
        return False
    s, chance = kendall_test(latest)
    return sign * s > 0 and chance <= ORDERLY


def _goes_on(quality: Quality, place: int, sign: float) -> bool:
    """Whether the latest values are no worse than all remembered ones before, nor their later half than the earlier
    one, beyond the noise."""
    latest = quality.latest[place]
    half = len(latest) // 2
    pairs = [(latest[:half], latest[-half:])]
    earlier = (quality.early[place][:half], quality.middle[place], quality.pending[place])
    pairs += [(before, latest) for before in earlier if before]
    for before, after in pairs:
        spread = max(difference_scale(before), difference_scale(after))
        error = spread * math.sqrt(1 / len(before) + 1 / len(after))
        if sign * (sum(after) / len(after) - sum(before) / len(before)) < -BETTER_BY * error:
            return False
    return True


def _stands_still(quality: Quality, place: int, whole: float) -> bool:
    """Whether the noise excludes that the share, of ``whole``, has gained what matters."""
    if quality.counts[place] < STILL_POINTS:
        return False
    first, last = quality.early[place][: STILL_POINTS // 2], quality.latest[place][-STILL_POINTS // 2 :]
    spread = max(difference_scale(first), difference_scale(last))
    error = spread * math.sqrt(1 / len(first) + 1 / len(last))
    gain = sum(last) / len(last) - sum(first) / len(first)
    return gain + STILL_ERRORS * error < STILL_GAIN * whole
