"""Pace: steps per second over time, and whether a run has slowed to less than half for long. Pure.

A job that shares its machine with a new neighbour, or whose disk fails slowly, goes on without a wrong number. Its
speed is taken over windows of five minutes; three windows in a row under half of the usual one make a notice.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

WINDOW_S = 300.0
USUAL_WINDOWS = 6
SLOW_WINDOWS = 3
KEPT_WINDOWS = 24
SLOW = 0.5
RECOVERED = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The window under way (from when and which step), the speeds of the last windows, and the usual speed at the
    moment a slowdown was noticed (None: not slow)."""

    since: float | None = None
    since_step: int = 0
    speeds: tuple[float, ...] = ()
    slow_from: float | None = None

    def seen(self, at: float, step: int, *, interrupted: bool = False) -> Pace:
        """After a request whose last step is ``step``. A step back or an interruption starts the window over."""
        if self.since is None or interrupted or step < self.since_step:
            return replace(self, since=at, since_step=step)
        if at - self.since < WINDOW_S:
            return self
        speed = (step - self.since_step) / (at - self.since)
        after = replace(self, since=at, since_step=step, speeds=(*self.speeds, speed)[-KEPT_WINDOWS:])
        return after._judged()

    @property
    def is_slow(self) -> bool:
        """Whether the run is slow now."""
        return self.slow_from is not None

    @property
    def now(self) -> float:
        """Steps per second in the last window."""
        return self.speeds[-1] if self.speeds else 0.0

    def _judged(self) -> Pace:
        if self.slow_from is not None:
            return replace(self, slow_from=None) if self.now >= RECOVERED * self.slow_from else self
        earlier, late = self.speeds[:-SLOW_WINDOWS], self.speeds[-SLOW_WINDOWS:]
        if len(earlier) < USUAL_WINDOWS:
            return self
        usual = statistics.median(earlier)
        return replace(self, slow_from=usual) if max(late) < SLOW * usual else self
