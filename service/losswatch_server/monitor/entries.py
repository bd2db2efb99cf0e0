"""The record of a run as a monitor folds it: entries in the order in which they were accepted."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, overload

from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point


class EntryKind(IntEnum):
    """What a row of a run's record holds. The numbers are stored: they never change."""

    POINTS = 1  # points of rank 0 as they were measured, by ascending step
    MERGE = 2  # fields added to the point at the last step
    LATE = 3  # fields of an older step, or a point that fills a gap
    SUPERSEDED_BY_WRITER = 4  # points of an earlier writer after a later one took over: kept, never judged
    CONTEXT = 5  # the complete context from here on
    ATTEMPT = 6  # a new attempt begins at first_step
    SEALED = 7  # a row alone, never an entry: many rows of the kinds with points, compressed
    OTHER_RANKS = 8  # points of other ranks, each rank by ascending step


WITHOUT_POINT = frozenset({EntryKind.CONTEXT, EntryKind.ATTEMPT})
_NO_POINT = Point(0)


class Entry(NamedTuple):
    """One entry of a record, ``seq`` its place in it. An attempt has its step in ``point``, a context has no point."""

    seq: int
    kind: EntryKind
    attempt: int
    point: Point = _NO_POINT
    context: Context = EMPTY_CONTEXT


class NewPoints(Sequence[Entry]):
    """Entries that are the next points of rank 0, with consecutive numbers from ``seq`` on. An entry is made when it is
    asked for; a slice is of the same kind."""

    __slots__ = ("attempt", "points", "seq")

    def __init__(self, seq: int, attempt: int, points: Batch) -> None:
        self.seq = seq
        self.attempt = attempt
        self.points = points

    def __len__(self) -> int:
        return len(self.points)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> NewPoints: ...
    def __getitem__(self, place: int | slice) -> Entry | NewPoints:
        if isinstance(place, slice):
            begun, _, stride = place.indices(len(self))
            if stride != 1:
                raise ValueError("entries in a row have no gaps")
            return NewPoints(self.seq + begun, self.attempt, self.points[place])
        place = range(len(self))[place]
        return Entry(self.seq + place, EntryKind.POINTS, self.attempt, self.points[place])


class Attempt(NamedTuple):
    """An attempt that began by stepping back to ``step``; ``seq`` is its place in the record."""

    number: int
    step: int
    seq: int
