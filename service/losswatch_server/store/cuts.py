"""Which entries of a record still count: an attempt supersedes what was said before about steps from its own on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from losswatch_server.monitor.entries import Attempt

NEVER = 1 << 62
"""Past every step and every place in a record."""


class Cuts:
    """The steps at which later attempts cut off what is said at a place in the record."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        ordered = sorted(attempts, key=lambda attempt: attempt.seq)
        self._seqs = [attempt.seq for attempt in ordered]
        self._steps = [attempt.step for attempt in ordered]
        lowest = NEVER
        self._lowest = [NEVER]
        for step in reversed(self._steps):
            lowest = min(lowest, step)
            self._lowest.append(lowest)
        self._lowest.reverse()

    def __bool__(self) -> bool:
        return bool(self._seqs)

    def at(self, seq: int) -> int:
        """The step from which on what the entry at ``seq`` says is superseded; ``NEVER`` where nothing is."""
        return self._lowest[bisect_right(self._seqs, seq)]

    def between(self, seq: int, end: int) -> bool:
        """Whether an attempt began at a place after ``seq`` and before ``end``."""
        return bisect_right(self._seqs, seq) < bisect_right(self._seqs, end - 1)

    def until(self, seq: int, past: int) -> int:
        """The lowest step of the attempts that began after ``seq`` and before ``past``; ``NEVER`` without one."""
        return min(self._steps[bisect_right(self._seqs, seq) : bisect_right(self._seqs, past - 1)], default=NEVER)
