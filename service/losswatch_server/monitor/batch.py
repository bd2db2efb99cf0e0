"""Points as columns: what a request of many points is from the wire to the record and the fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import lt
from typing import Any, overload

from losswatch_server.monitor.points import Point

STEP, LOSS, GRAD_NORM, LEARNING_RATE, VALIDATION, EPOCH, TIME, LAYERS, METRICS, RANK, NULL = range(11)
"""The places of the columns: those of the fields of a point."""

_make = partial(tuple.__new__, Point)


def _append(columns: tuple[list[Any], ...], singles: list[Point]) -> None:
    """Empty ``singles`` into the columns."""
    for column, more in zip(columns, zip(*singles, strict=True), strict=False):
        column += more
    singles.clear()


class Batch(Sequence[Point]):
    """Successive points, one column for each field of a point, all of one length. A point is made when it is asked for;
    a slice is a batch."""

    __slots__ = ("columns",)

    def __init__(self, columns: tuple[Sequence[Any], ...]) -> None:
        self.columns = columns

    @classmethod
    def of(cls, points: Sequence[Point]) -> Batch:
        """The columns of some points (at least one)."""
        return points if isinstance(points, Batch) else cls(tuple(zip(*points, strict=True)))

    @classmethod
    def joined(cls, parts: Iterable[Sequence[Point]]) -> Batch:
        """The columns of all points of the parts (one at least), one part after the other."""
        columns: tuple[list[Any], ...] = tuple([] for _ in Point._fields)
        singles: list[Point] = []
        for part in parts:
            if isinstance(part, Batch):
                _append(columns, singles)
                for column, more in zip(columns, part.columns, strict=True):
                    column += more
            else:
                singles += part
        _append(columns, singles)
        return cls(columns)

    def __len__(self) -> int:
        return len(self.columns[STEP])

    @overload
    def __getitem__(self, place: int) -> Point: ...
    @overload
    def __getitem__(self, place: slice) -> Batch: ...
    def __getitem__(self, place: int | slice) -> Point | Batch:
        if isinstance(place, slice):
            return Batch(tuple([column[place] for column in self.columns]))
        return Point._make([column[place] for column in self.columns])

    def __iter__(self) -> Iterator[Point]:
        return map(_make, zip(*self.columns, strict=True))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Batch({list(self)!r})"

    @property
    def steps(self) -> Sequence[int]:
        """The column of steps."""
        return self.columns[STEP]

    @property
    def of_rank_0(self) -> int:
        """How many points are."""
        return self.columns[RANK].count(0)

    @property
    def is_of_rank_0(self) -> bool:
        """Whether every point is."""
        return not any(self.columns[RANK])

    @property
    def ascends(self) -> bool:
        """Whether each step is above the one before."""
        return all(map(lt, self.steps, islice(self.steps, 1, None)))
