"""A sign: something seen in the numbers, how clearly, and the sentence that says it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from losswatch_server.monitor.sentences import number


@dataclass(frozen=True, slots=True)
class Sign:
    """Soft evidence. ``strength`` from 0 (not there) to 1 (plain); ``sentence`` names the numbers."""

    name: str
    strength: float
    sentence: str


def soft(value: float, centre: float, width: float) -> float:
    """How far ``value`` lies above ``centre``, as a number between 0 and 1; a negative width asks for below."""
    distance = (value - centre) / width
    if math.isnan(distance):
        return 0.0
    return 1 / (1 + math.exp(-min(max(distance, -50.0), 50.0)))


def between(value: float, low: float, high: float, width: float) -> float:
    """How far ``value`` lies inside an interval with soft edges."""
    return soft(value, low, width) * soft(value, high, -width)


def times(ratio: float) -> str:
    """A ratio above 1 as "x35"."""
    return f"x{number(ratio)}"
