"""A stretch: successive points of rank 0 whose values are all finite, as columns.

What rules and memory do with one point after the other they can do with a stretch at once, as long as nothing happens
in it (see ``rules.base.Detector``).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from losswatch_server.monitor.batch import GRAD_NORM, LAYERS, LOSS, METRICS, NULL, RANK, VALIDATION, Batch
from losswatch_server.monitor.loss_kind import is_of_a_game
from losswatch_server.monitor.memory.coming import Coming, coming, work_out
from losswatch_server.monitor.memory.held_out import HeldOut, rank_of
from losswatch_server.monitor.memory.memory import Array, Memory
from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.points import LARGEST, SMALLEST, cut_to_range


@dataclass(slots=True)
class Stretch:
    """``end`` is the place up to which it may be passed over: there a review is due."""

    points: Batch
    steps: list[int]
    loss: Coming
    grad_norm: Coming
    validation: Coming
    rates: list[float]
    rate_places: Sequence[int]
    layers: bool
    logarithms: Array | None
    """Those of all layers' norms, where ``Layers.logarithms`` has them."""
    metrics: bool
    end: int = 0
    layers_from: int = 0
    """The place from which on the layers' norms are not in the memory yet."""

    def remember(self, memory: Memory, place: int, until: int) -> None:
        """Add the points from ``place`` up to ``until`` to the memory, all but their layers."""
        loss, norms = self.loss, self.grad_norm
        first = loss.before(until) - 1
        if first >= loss.taken:
            memory.loss_missing = until - 1 - loss.places[first]
        else:
            memory.loss_missing += until - place
        memory.grad_zero += norms.values[norms.taken : norms.before(until)].count(0.0)
        for series in (loss, norms, self.validation):
            if series.values:
                series.add(until)
        first, past = bisect_left(self.rate_places, place), bisect_left(self.rate_places, until)
        if past > first:
            rates, steps = self.rates[first:past], [self.steps[at] for at in self.rate_places[first:past]]
            memory.rates.add_all(steps, rates)
        if self.metrics:
            for at, measured in enumerate(self.points.columns[METRICS][place:until], place):
                if measured:
                    memory.add_metrics(self.steps[at], measured)

    def measures(self, place: int, held_out: HeldOut) -> bool:
        """Whether that point brings the metric that is kept, or the first one that could be."""
        measured = self.points.columns[METRICS][place]
        if not measured:
            return False
        return held_out.name in measured if held_out.name else any(rank_of(name) is not None for name in measured)

    def remember_layers(self, memory: Memory, until: int) -> None:
        """Add the layers of the points up to ``until``: nothing but reviews and causes looks at them, so that they are
        added together."""
        place, self.layers_from = self.layers_from, until
        if not self.layers or place == until:
            return
        # a point that was added by itself may have brought a new layer
        if self.logarithms is not None and self.logarithms.shape[1] == len(memory.layers.names):
            memory.layers.add_all(self.logarithms[place:until])
            return
        for norms in self.points.columns[LAYERS][place:until]:
            if norms:
                memory.layers.add(norms)


def stretch_of(points: Batch, memory: Memory) -> Stretch:
    """What comes next of plain points."""
    steps, losses, norms, rates, validations, _, _, layers, metrics, _, _ = points.columns
    listed = list(steps)
    rated = _finite_places(rates)
    series = (
        _series(memory.loss, losses, listed),
        _series(memory.grad_norm, norms, listed),
        _series(memory.validation, validations, listed),
    )
    work_out(series)
    return Stretch(
        points=points,
        steps=listed,
        loss=series[0],
        grad_norm=series[1],
        validation=series[2],
        rates=_cut([rates[i] for i in rated]),
        rate_places=rated,
        layers=any(layers),
        logarithms=memory.layers.logarithms(layers) if any(layers) else None,
        metrics=any(metrics),
    )


def _series(track: Track, column: Sequence[Any], steps: list[int]) -> Coming:
    places: Sequence[int] = range(len(column))
    missing = column.count(None)
    if missing == len(column):
        return coming(track, [], [], ())
    if missing:
        places = [i for i, value in enumerate(column) if value is not None]
        steps = [steps[i] for i in places]
    values = [column[i] for i in places]
    return coming(track, _cut(values), steps, places)


def _cut(values: list[float]) -> list[float]:
    """Finite values as they are judged (see ``points.tamed``)."""
    if not values or SMALLEST <= min(values) <= max(values) <= LARGEST:
        return values
    cut: list[Any] = [cut_to_range(value) for value in values]
    return cut


def _finite_places(column: Sequence[Any]) -> Sequence[int]:
    if column.count(None) == len(column):
        return ()
    if None not in column and math.isfinite(sum(column)):
        return range(len(column))
    return [i for i, value in enumerate(column) if value is not None and math.isfinite(value)]


def are_plain(points: Batch, game: bool) -> bool:
    """Whether there are no odd places among points, for sure: of huge ones it may not say so."""
    columns = points.columns
    if any(columns[RANK]) or any(columns[NULL]):
        return False
    metrics = columns[METRICS]
    if not game and any(metrics) and any(map(is_of_a_game, {name for some in metrics if some for name in some})):
        return False
    # a sum that is finite has no term that is not
    series = (columns[LOSS], columns[GRAD_NORM], columns[VALIDATION])
    return all(
        math.isfinite(sum(column if None not in column else [value for value in column if value is not None]))
        for column in series
    )


def odd_places(points: Batch, game: bool) -> Iterator[int]:
    """The places of points that are no part of a stretch: of another rank, with a value that is not finite or null,
    or the first to show that the loss is of a ``game``."""
    for place, (_, loss, norm, _, validation, _, _, _, metrics, rank, null) in enumerate(points):
        if rank or null or any(value is not None and value - value != 0 for value in (loss, norm, validation)):
            yield place
        elif metrics and not game and any(map(is_of_a_game, metrics)):
            game = True
            yield place
