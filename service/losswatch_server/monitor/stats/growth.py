"""How a loss grows: the factor between successive rises, and how steady it is."""

from __future__ import annotations

import itertools
import math
import sys
from typing import Any

from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.stats.trend import median

EPSILON = sys.float_info.epsilon


def growth_evidence(track: Track, steady_spread: float) -> dict[str, Any]:
    """The growth of the latest run of rises (at most 16 points): ratios of losses and of their differences.

    ``difference_ratio`` removes any floor and works for losses of any sign; ``steady`` says whether at least three
    successive ratios agree within ``steady_spread``, i.e. whether the loss is locally quadratic in the weights.
    """
    values, steps = track.recent, track.recent_steps
    i = len(values) - 1
    while i > 0 and values[i - 1] < values[i] and len(values) - i < 16:
        i -= 1
    rise = values[i:]
    if len(rise) < 3:
        return {"rises": len(rise) - 1, "steady": False}
    differences = [b - a for a, b in itertools.pairwise(rise)]
    ratios = [b / a for a, b in itertools.pairwise(differences) if a > 0]
    late = ratios[-8:]
    spread = max(late) / min(late) if late and min(late) > 0 else math.inf
    stride = (steps[-1] - steps[i]) / (len(rise) - 1)
    # a straight line has ratios of 1 but for the rounding of its values
    least = 1.0 + 8 * EPSILON * max(max(abs(a), abs(b)) / (b - a) for a, b in itertools.pairwise(rise))
    evidence: dict[str, Any] = {
        "rises": len(rise) - 1,
        "ratio_spread": spread if math.isfinite(spread) else None,
        "steady": len(late) >= 3 and spread <= steady_spread and min(late) > least,
        "accelerating": len(late) >= 3 and late[-1] > 1.3 * late[0],
    }
    if late:
        ratio = median(late)
        evidence["difference_ratio"] = ratio
        evidence["steps_per_rise"] = stride
        if ratio > least:
            # the rate may be too near 1 for a float64 although its logarithm is not 0
            evidence["growth_per_step"] = ratio ** (1 / stride)
            evidence["doubling_steps"] = stride * math.log(2) / math.log(ratio)
    return evidence
