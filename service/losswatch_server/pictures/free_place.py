"""Where words of a picture cover no curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from losswatch_server.pictures.scene import Spot


class Covered:
    """What a curve, or words, cover: for each pixel from left to right, the highest and the lowest place."""

    def __init__(self, width: int) -> None:
        self._high = [math.inf] * width
        self._low = [-math.inf] * width

    def line(self, places: Sequence[Spot]) -> None:
        """A line from place to place, or a dot."""
        for a, b in pairwise(places) if len(places) > 1 else ((places[0], places[0]),):
            for x in range(self._within(math.floor(a.x)), self._within(math.ceil(b.x)) + 1):
                at = [_between(a, b, max(a.x, min(b.x, x + part))) for part in (-0.5, 0.5)]
                self._high[x] = min(self._high[x], *at)
                self._low[x] = max(self._low[x], *at)

    def box(self, left: float, top: float, right: float, bottom: float) -> None:
        """Words that stand there already."""
        for x in range(self._within(math.floor(left)), self._within(math.ceil(right)) + 1):
            self._high[x], self._low[x] = min(self._high[x], top), max(self._low[x], bottom)

    def is_free(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Whether it covers nothing of a box."""
        columns = range(self._within(math.floor(left)), self._within(math.ceil(right)) + 1)
        return all(self._low[x] < top or self._high[x] > bottom for x in columns)

    def _within(self, x: int) -> int:
        return max(0, min(len(self._high) - 1, x))


def first_free(
    covered: Sequence[Covered], lefts: Iterable[float], tops: Sequence[float], width: float, height: float
) -> tuple[float, float] | None:
    """The first place at which a box of this size covers nothing: the places beside each other before those below."""
    found = list(lefts)
    return next(
        (
            (left, top)
            for top in tops
            for left in found
            if all(one.is_free(left - 2, top - 2, left + width + 2, top + height + 2) for one in covered)
        ),
        None,
    )


def _between(a: Spot, b: Spot, x: float) -> float:
    return a.y if b.x <= a.x else a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x)
