"""Gradient norms by layer, in order: which get nothing, and how the first compares with the largest."""

from __future__ import annotations

import math
from dataclasses import dataclass

from losswatch_server.monitor.memory.memory import LAYER_HALF_LIFE, SMALLEST_NORM, Layers

GONE = math.log(SMALLEST_NORM)
LEFT = 1e-9
"""Share of an average below which rounding has eaten what it tells of the past: after 30 half-lives."""
DEAD = math.log(1e-12)
"""ln of a gradient norm that moves no weight of a float32."""


@dataclass(frozen=True, slots=True)
class LayerNorms:
    """Logarithms of the norms of the layers that were measured, from the input to the output, and what they were
    first."""

    now: list[float]
    first: list[float]

    @property
    def dead(self) -> int:
        """Layers without a gradient."""
        return sum(1 for norm in self.now if norm < DEAD)

    @property
    def dead_from_start(self) -> int:
        """Those that had none from the first points on."""
        return sum(1 for norm, first in zip(self.now, self.first, strict=True) if norm < DEAD and first < DEAD)

    @property
    def died_ago(self) -> int | None:
        """Points since the first of the layers without a gradient lost it; None where one never had any."""
        dead = [(first, now) for first, now in zip(self.first, self.now, strict=True) if now < DEAD]
        known = [_gone_ago(first, now) for first, now in dead if first >= DEAD]
        return max(known) if known and len(known) == len(dead) else None

    @property
    def first_died_ago(self) -> int:
        """Points since the first layer lost its gradient, if it did at one stroke."""
        return _gone_ago(self.first[0], self.now[0])

    @property
    def first_over_largest(self) -> float:
        """The first layer's norm as a share of the largest layer's."""
        return math.exp(min(self.now[0] - max(self.now), 700.0))

    @property
    def first_over_largest_at_start(self) -> float:
        """The same over the first points."""
        return math.exp(min(self.first[0] - max(self.first), 700.0))


def _gone_ago(first: float, now: float) -> int:
    """Points since a norm that was as at first became 0: an average that forgets by halves tells how often it was
    halved. Within one point where it did so at one stroke, too few where it sank by and by."""
    left = (now - GONE) / (first - GONE)
    return max(1, round(-LAYER_HALF_LIFE * math.log2(min(max(left, LEFT), 1.0))))


def layer_norms(layers: Layers, order: tuple[str, ...] | None) -> LayerNorms | None:
    """The layers in the client's order, else in that in which they were sent; None for fewer than two."""
    places = {name: i for i, name in enumerate(layers.names)}
    kept = [places[n] for n in (order or layers.names) if n in places and not math.isnan(layers.now[places[n]])]
    if len(kept) < 2:
        return None
    return LayerNorms([layers.now[i] for i in kept], [layers.first[i] for i in kept])
