"""What accuracy and its like show: where they began, where they are, and whether they move."""

from __future__ import annotations

from dataclasses import dataclass

from losswatch_server.monitor.memory.quality import SHARES, Quality, quality_of
from losswatch_server.monitor.stats.trend import median

_HELD_OUT = ("val", "eval", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityMeasures:
    """Accuracies as shares of 1; None where none was sent."""

    train: float | None = None
    """The training accuracy now."""
    held_out: float | None = None
    """The validation accuracy now."""
    first: float | None = None
    """Where the accuracy that says most (validation before training) began."""
    points: int = 0
    """Values of it."""
    constant: bool = False
    """All that is remembered of it is one number."""

    @property
    def now(self) -> float | None:
        """The accuracy that says most."""
        return self.train if self.held_out is None else self.held_out


def quality_measures(quality: Quality) -> QualityMeasures | None:
    """What the accuracies show; None where the client sends none. Percentages (above 1.5) become shares."""
    train = held_out = None
    for place, name in enumerate(quality.names):
        if quality_of(name) not in SHARES or not quality.latest[place]:
            continue
        if any(word in name.lower() for word in _HELD_OUT):
            held_out = place if held_out is None else held_out
        else:
            train = place if train is None else train
    chief = train if held_out is None else held_out
    if chief is None:
        return None
    values = [*quality.early[chief], *quality.middle[chief], *quality.latest[chief]]
    return QualityMeasures(
        train=None if train is None else _share(quality, train),
        held_out=None if held_out is None else _share(quality, held_out),
        first=median(quality.early[chief][:3]) / _unit(quality, chief),
        points=quality.counts[chief],
        constant=len(values) > 2 and min(values) == max(values),
    )


def _unit(quality: Quality, place: int) -> float:
    return 100.0 if max(*quality.early[place], *quality.latest[place]) > 1.5 else 1.0


def _share(quality: Quality, place: int) -> float:
    return median(quality.latest[place][-3:]) / _unit(quality, place)
