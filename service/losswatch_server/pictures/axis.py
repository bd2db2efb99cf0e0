"""Axes: where a value stands, on a linear or a logarithmic scale, and the round values that are written beside it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

LOGARITHMIC_FROM = 10.0
"""Positive values that span more than this factor stand on a logarithmic axis: each factor of ten is as high."""
LARGEST = sys.float_info.max
MARGIN = 0.05
"""Share of an axis that is left free beyond the first and the last value."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from ``low`` to ``high``, both in the units of the scale: logarithms to base 10 where ``logarithmic``."""

    low: float
    high: float
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a finite value stands, from 0 at the low end to 1 at the high one."""
        at = math.log10(value) if self.logarithmic else value
        return (at / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halves: the largest floats have a difference

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Round values with their words, at most ``most``."""
        if self.logarithmic and self.high - self.low >= 3:
            return self._decades(most)
        if self.logarithmic and self.high - self.low >= 1:
            return self._within_decades(most)
        low, high = (10**self.low, 10**self.high) if self.logarithmic else (self.low, self.high)
        step = _round_step(high / most - low / most)
        first, last = math.ceil(low / step), math.floor(high / step)
        values = [n * step for n in range(first, min(last, first + most) + 1)]
        largest = max(map(abs, values), default=0.0)
        return [(value, _words(value, step, largest)) for value in values if value > 0 or not self.logarithmic]

    def _within_decades(self, most: int) -> list[tuple[float, str]]:
        """One or two decades: 1, 2, 5, 10, or as many of them as fit."""
        exponents = range(math.floor(self.low), math.ceil(self.high) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            values = [factor * 10.0**n for n in exponents if -307 <= n <= 307 for factor in factors]
            found = [value for value in values if self.low <= math.log10(value) <= self.high]
            if len(found) <= most:
                break
        largest = max(found, default=0.0)
        return [(value, _words(value, value, largest) if largest >= 1e4 else _short(value)) for value in found]

    def _decades(self, most: int) -> list[tuple[float, str]]:
        first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
        step = max(1, math.ceil((last - first + 1) / most))
        exponents = range(math.ceil(first / step) * step, last + 1, step)
        return [(10.0**n, _power(n)) for n in exponents if -307 <= n <= 308]


def axis_of(values: Iterable[float]) -> Axis | None:
    """The axis on which finite values are best seen; None where there are none."""
    found = list(values)
    if not found:
        return None
    low, high = min(found), max(found)
    if low > 0 and high / LOGARITHMIC_FROM > low:
        return _with_margin(math.log10(low), math.log10(high), logarithmic=True)
    return _with_margin(low, high, logarithmic=False)


def steps_axis(first: int, last: int) -> Axis:
    """The axis of steps: without margins, and never empty."""
    return Axis(first, last) if last > first else Axis(first - 1, first + 1)


def _with_margin(low: float, high: float, *, logarithmic: bool) -> Axis:
    span = high / 2 - low / 2
    if span <= 1e-12 * abs(high):
        span = abs(high) / 4 or 0.5
    room = min(2 * MARGIN * span, 1e307)
    return Axis(max(low - room, -LARGEST), min(high + room, LARGEST), logarithmic)


def _round_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((n * power for n in (1, 2, 2.5, 5, 10) if n * power >= rough * (1 - 1e-9)), 10 * power)


def _words(value: float, step: float, largest: float) -> str:
    """A value with as many digits as its neighbours need to differ, in the unit of the ``largest`` of them."""
    if value == 0:
        return "0"
    size = abs(value)
    for limit, unit in ((1e15, ""), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if unit and limit <= largest < 1e15:
            scale = 1e3 if unit == "k" else limit
            return f"{_plain(value / scale, step / scale)}{unit}"
    return _plain(value, step) if 1e-4 <= size < 1e4 else f"{value:.{_digits(size, step)}e}".replace("e+", "e")


def _plain(value: float, step: float) -> str:
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:.{min(places + 1, 12)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _digits(size: float, step: float) -> int:
    return max(0, min(15, math.floor(math.log10(size)) - math.floor(math.log10(step))))


def _power(exponent: int) -> str:
    return _short(10.0**exponent) if -3 <= exponent <= 3 else f"1e{exponent}"


def _short(value: float) -> str:
    return f"{value:g}".replace("e+", "e").replace("e-0", "e-").replace("e0", "e")
