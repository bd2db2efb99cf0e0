"""The validation loss in numbers, for the ranking of causes and what is suspected."""

from __future__ import annotations

from dataclasses import dataclass

from losswatch_server.monitor.diagnosis.series_measures import printing_step
from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.stats.trend import median


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationMeasures:
    """The validation loss."""

    points: int
    first: float
    now: float
    """Median of the last three."""
    latest: float
    best: float
    best_step: int
    equal_at_end: int
    """How many of the last validation losses are the same number."""
    quantum: float = 0.0
    """The step in which they were printed."""

    @property
    def risen_to(self) -> float:
        """Where it stands above its best: the lower of the last one and the last three's median, so that neither one
        bad evaluation counts as a rise, nor does a series whose best is its last."""
        return min(self.now, self.latest)


def validation_measures(track: Track) -> ValidationMeasures | None:
    if track.n == 0:
        return None
    now = median(track.recent[-min(3, track.n) :])
    return ValidationMeasures(
        points=track.n,
        first=track.head[0],
        now=now,
        latest=track.recent[-1],
        best=track.lowest,
        best_step=track.lowest_step,
        equal_at_end=_equal_at_end(track.recent),
        quantum=printing_step(track.recent[-128:]),
    )


def _equal_at_end(values: list[float]) -> int:
    count = 0
    for value in reversed(values):
        if value != values[-1]:
            break
        count += 1
    return count
