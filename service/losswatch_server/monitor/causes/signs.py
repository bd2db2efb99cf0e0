"""A sign: something seen in the numbers, how clearly, and the sentence that says it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sign:
    """Soft evidence. ``strength`` from 0 (not there) to 1 (plain); ``sentence`` names the numbers."""

    name: str
    strength: float
    sentence: str


def soft(value: float, centre: float, width: float) -> float:
    """How far ``value`` lies above ``centre``, as a number between 0 and 1; a negative width asks for below."""
    return 1 / (1 + math.exp(-min(max((value - centre) / width, -50.0), 50.0)))


def between(value: float, low: float, high: float, width: float) -> float:
    """How far ``value`` lies inside an interval with soft edges."""
    return soft(value, low, width) * soft(value, high, -width)


def number(value: float) -> str:
    """A number as people write it: three significant digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.3g}'):,.10g}"
    return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e+")


def times(ratio: float) -> str:
    """A ratio above 1 as "x35"."""
    return f"x{number(ratio)}"
