"""Student's distribution, exactly, for the few degrees of freedom of few points.

The finite series of Abramowitz and Stegun 26.7.3 and 26.7.4. scipy has it as well, and takes half a second to load.
"""

from __future__ import annotations

import math


def student_tail(t: float, degrees: int) -> float:
    """Chance that Student's t with so many degrees of freedom (1 or more) is above ``t``."""
    if not math.isfinite(t):
        return 0.0 if t > 0 else 1.0
    angle = math.atan(t / math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= square * (k - 1) / k
        total += term
    if not odd:
        return 0.5 * (1 - sine * total)
    return 0.5 - (angle + (sine * total if degrees > 1 else 0.0)) / math.pi


def line_test(values: list[float]) -> float:
    """Chance that independent normal values of any spread, at least three, rise as straight as these."""
    n = len(values)
    mean, middle = sum(values) / n, (n - 1) / 2
    sxx = n * (n * n - 1) / 12
    slope = sum((i - middle) * (v - mean) for i, v in enumerate(values)) / sxx
    rss = sum((v - mean - slope * (i - middle)) ** 2 for i, v in enumerate(values))
    return student_tail(_over(slope, math.sqrt(rss / (n - 2) / sxx)), n - 2)


def step_test(values: list[float], late: int) -> float:
    """Chance that the ``late`` last of independent normal values, at least three, lie as far above the others."""
    before, after = values[:-late], values[-late:]
    low, high = sum(before) / len(before), sum(after) / late
    rss = sum((v - low) ** 2 for v in before) + sum((v - high) ** 2 for v in after)
    degrees = len(values) - 2
    return student_tail(_over(high - low, math.sqrt(rss / degrees * (1 / len(before) + 1 / late))), degrees)


def next_test(values: list[float], following: float) -> float:
    """Chance that what follows independent normal values about a line, at least three, lies as far above that line."""
    n = len(values)
    mean, middle = sum(values) / n, (n - 1) / 2
    sxx = n * (n * n - 1) / 12
    slope = sum((i - middle) * (v - mean) for i, v in enumerate(values)) / sxx
    rss = sum((v - mean - slope * (i - middle)) ** 2 for i, v in enumerate(values))
    ahead = n - middle
    error = math.sqrt(rss / (n - 2) * (1 + 1 / n + ahead * ahead / sxx))
    return student_tail(_over(following - mean - slope * ahead, error), n - 2)


def _over(distance: float, error: float) -> float:
    """In standard errors; what rounding alone may leave of a perfect fit bounds them."""
    error = max(error, 1e-12 * abs(distance))
    return distance / error if error > 0 else 0.0
