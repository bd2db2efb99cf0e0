"""The series of a run from its first point to its last, a bounded number of points at a time.

By attempt, step and rank. What stands at a step under an attempt was said between the beginning of the last attempt
that took that step over, and the next such beginning: so for each attempt the steps fall into a few ranges, and in
each of them only one stretch of the record counts, besides what earlier writers sent after a later one took over.
Nothing here depends on how long the run is, and what is appended meanwhile is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from losswatch_server.monitor.entries import Attempt, Entry, EntryKind
from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.answers import StoredPoint
from losswatch_server.runs.points.accept import Key
from losswatch_server.store import Store
from losswatch_server.store.cuts import NEVER
from losswatch_server.store.rows import StoredRun
from losswatch_server.store.windows import GAP_FILLING, NOT_SUPERSEDED_BY_WRITER, SUPERSEDED_BY_WRITER, Source, Window

POINTS = 4096
"""Points that are read at a time: about 3 MB of them."""
BESIDE = 512
"""Points from which on they are laid together beside the event loop: about a millisecond of work."""


class Place(NamedTuple):
    """A place in the order of the series: where an earlier writer contradicts what stands, its point comes second."""

    attempt: int
    step: int
    rank: int
    superseded: bool

    @classmethod
    def of(cls, stored: StoredPoint) -> Place:
        """The place of a point."""
        return cls(stored.attempt, stored.point.step, stored.point.rank, stored.superseded)


class _Range(NamedTuple):
    """Steps up to ``high`` at which the same stretch of the record, from ``seq`` to ``past``, counts for an attempt."""

    high: int
    seq: int
    past: int


class Passage(NamedTuple):
    """A window with the attempt that it counts for."""

    window: Window
    attempt: int
    superseded: bool
    """Whether a later attempt superseded it."""
    after: Place | None
    """Only what comes after this place."""

    def points(self) -> list[StoredPoint]:
        """Its points, in their order."""
        found = _points(self.window.entries(), self.attempt, self.superseded)
        return found if self.after is None else [stored for stored in found if Place.of(stored) > self.after]


async def walk(
    store: Store,
    run: StoredRun,
    *,
    low: int = 0,
    high: int = NEVER,
    attempt: int | None = None,
    after: Place | None = None,
    points: int = POINTS,
) -> AsyncIterator[list[StoredPoint]]:
    """The points at steps from low to high, both included, of one attempt or of all, after a place."""
    async for passage in passages(store, run, low=low, high=high, attempt=attempt, after=after, points=points):
        if found := await points_of(passage):
            yield found


async def points_of(passage: Passage) -> list[StoredPoint]:
    """The points of a passage; many are laid together in a thread."""
    return await asyncio.to_thread(passage.points) if passage.window.n > BESIDE else passage.points()


async def passages(
    store: Store,
    run: StoredRun,
    *,
    low: int = 0,
    high: int = NEVER,
    attempt: int | None = None,
    after: Place | None = None,
    points: int = POINTS,
) -> AsyncIterator[Passage]:
    """The same as it lies in the record, about so many points at a time. Some passages may have none."""
    begins = [Attempt(1, 0, 0), *sorted(run.attempts)]
    for index, begin in enumerate(begins):
        if attempt is not None and begin.number != attempt:
            continue
        first = low
        if after is not None:
            if begin.number < after.attempt:
                continue
            if begin.number == after.attempt:
                first = max(first, after.step)
        async for window, superseded in _windows(store, run, begins, index, first, high, points):
            reaches = after is not None and begin.number == after.attempt and window.low <= after.step
            yield Passage(window, begin.number, superseded, after if reaches else None)


async def _windows(
    store: Store, run: StoredRun, begins: list[Attempt], index: int, low: int, high: int, points: int
) -> AsyncIterator[tuple[Window, bool]]:
    """What counts for one attempt, and whether a later attempt superseded it."""
    project, uid, end = run.row.project, run.row.uid, run.next_seq
    begin = begins[index]
    superseded_by_writer = Source(begin.seq, end, SUPERSEDED_BY_WRITER)
    while low < begin.step and low <= high:  # before its own beginning an attempt has only what filled gaps
        own = (Source(begin.seq, end, GAP_FILLING | SUPERSEDED_BY_WRITER),)
        there = await store.next_window(project, uid, own, low, min(high, begin.step - 1), points)
        if there is None:
            break
        span = _range(begins, index, there.low, end)
        last = min(there.high, span.high)
        sources = (Source(span.seq, span.past, NOT_SUPERSEDED_BY_WRITER), superseded_by_writer)
        window = await store.next_window(project, uid, sources, there.low, last, points)
        if window is not None:
            last = window.high
            yield window, span.past < end
        low = last + 1
    low = max(low, begin.step)
    while low <= high:
        span = _range(begins, index, low, end)
        last = min(high, span.high)
        sources = (Source(span.seq, span.past, NOT_SUPERSEDED_BY_WRITER), superseded_by_writer)
        window = await store.next_window(project, uid, sources, low, last, points)
        if window is not None:
            last = window.high
            yield window, span.past < end
        low = last + 1


def _range(begins: list[Attempt], index: int, step: int, end: int) -> _Range:
    """The stretch of the record that counts at ``step`` for an attempt, and how far in steps that is so."""
    high = NEVER
    seq = 0
    for begin in begins[: index + 1]:
        if begin.step <= step:
            seq = begin.seq
        else:
            high = min(high, begin.step - 1)
    past = end
    for begin in begins[index + 1 :]:
        if begin.step <= step:
            past = min(past, begin.seq)
            break
        high = min(high, begin.step - 1)
    return _Range(high, seq, past)


def _points(entries: Iterable[Entry], attempt: int, superseded: bool) -> list[StoredPoint]:
    """Merges and late fields laid into the attempt's points; those of an earlier writer are among the superseded."""
    said: dict[Key, tuple[Point, int]] = {}
    superseded_by_writer: dict[Key, Point] = {}
    for entry in entries:
        point = entry.point
        key = (point.step, point.rank)
        if entry.kind != EntryKind.SUPERSEDED_BY_WRITER:
            before = said.get(key)
            said[key] = (point, entry.attempt) if before is None else (merge(before[0], point), before[1])
        elif entry.attempt == attempt:
            earlier = superseded_by_writer.get(key)
            superseded_by_writer[key] = point if earlier is None else merge(earlier, point)
    found = {
        (*key, superseded): StoredPoint(point, attempt, superseded)
        for key, (point, number) in said.items()
        if number == attempt
    }
    for key, point in superseded_by_writer.items():
        mine = found.get((*key, True))
        found[*key, True] = StoredPoint(point if mine is None else merge(mine.point, point), attempt, True)
    return [found[place] for place in sorted(found)]
