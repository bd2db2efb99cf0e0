"""The course of one number in bounded memory: of each stretch of steps the first step, the smallest and the largest."""

from __future__ import annotations

import threading
from typing import List, NamedTuple, Tuple

STRETCHES = 256
"""As many as a small chart has pixels to tell apart."""


class Stretch(NamedTuple):
    """Some steps in a row."""

    step: int
    low: float
    high: float


class History:
    """Takes what comes, in the order it comes; twice as many stretches as are kept are merged in pairs."""

    def __init__(self) -> None:
        self._stretches: List[Stretch] = []
        self._points_each = 1
        self._points_in_last = 0
        self._lock = threading.Lock()
        self.last_step = -1

    def add(self, step: int, value: float) -> None:
        """One finite value."""
        with self._lock:
            self.last_step = step
            if self._stretches and self._points_in_last < self._points_each:
                self._stretches[-1] = _joined(self._stretches[-1], Stretch(step, value, value))
                self._points_in_last += 1
                return
            if len(self._stretches) == 2 * STRETCHES:
                pairs = zip(self._stretches[::2], self._stretches[1::2])
                self._stretches = [_joined(one, other) for one, other in pairs]
                self._points_each *= 2
            self._stretches.append(Stretch(step, value, value))
            self._points_in_last = 1

    def stretches(self) -> Tuple[Stretch, ...]:
        """From the first step to the last."""
        with self._lock:
            return tuple(self._stretches)


def _joined(one: Stretch, other: Stretch) -> Stretch:
    return Stretch(one.step, min(one.low, other.low), max(one.high, other.high))
