"""The points of a run for charts: what stands, what was superseded, and a thinner series that looks the same."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from itertools import pairwise

from losswatch_server.monitor.entries import Entry, EntryKind
from losswatch_server.monitor.points import SERIES, merge
from losswatch_server.runs import written
from losswatch_server.runs.answers import StoredPoint
from losswatch_server.runs.page_cursors import read_place, write_place
from losswatch_server.runs.steady import Find, whole_passages
from losswatch_server.runs.walk import POINTS, Passage, Place, points_of, walk
from losswatch_server.runs.written import Wanted
from losswatch_server.store import Store
from losswatch_server.store.beside import beside
from losswatch_server.store.cuts import NEVER, Cuts
from losswatch_server.store.rows import StoredRun
from losswatch_server.store.summaries import is_finite
from losswatch_server.workers import Elsewhere

EXACT = 32_768
"""Points up to which a picture is made of all of them; past that of summaries, which takes less than reading these."""

FEW = 256
"""Points up to which a series is written where it is: about a millisecond of work."""


class WholeSeries:
    """A whole series as text, a few thousand points at a time. What is long of it is done elsewhere: who streams
    whole runs waits for others who do, and the event loop hands on what comes."""

    def __init__(
        self,
        store: Store,
        run: StoredRun,
        find: Find,
        elsewhere: Elsewhere,
        from_step: int | None,
        to_step: int | None,
        attempt: int | None,
        wanted: Wanted,
    ) -> None:
        high = NEVER if to_step is None else to_step
        self._store = store
        self._run = run
        self._passages = whole_passages(store, run, find, low=from_step or 0, high=high, attempt=attempt)
        self._wanted = wanted
        self._elsewhere = elsewhere

    async def __aiter__(self) -> AsyncIterator[list[StoredPoint]]:
        """The points themselves."""
        async for passage in self._passages:
            if points := await points_of(passage):
                yield written.only(points, self._wanted)

    async def ndjson(self) -> AsyncIterator[bytes]:
        """One object a line."""
        async for passage in self._passages:
            if text := await self._text(passage, written.ndjson):
                yield text

    async def csv(self) -> AsyncIterator[bytes]:
        """A line of names, and a line for each point. What fits into one part has the columns of its own points,
        anything longer those of the whole run."""
        first: list[StoredPoint] = []
        begun: list[Passage] = []
        filled = 0
        async for passage in self._passages:
            begun.append(passage)
            points = await points_of(passage)
            filled += bool(points)
            if filled > 1:
                break
            first = first or points
        if filled > 1:
            known = await self._store.column_names(self._run.row.project, self._run.row.uid)
            columns = written.ordered(written.chosen(known, self._wanted))
        else:
            columns = written.columns_of(written.only(first, self._wanted))
        yield written.csv_head(columns)
        write = partial(written.csv_rows, columns=columns)
        for passage in begun:
            if text := await self._text(passage, write):
                yield text
        async for passage in self._passages:
            if text := await self._text(passage, write):
                yield text

    async def _text(self, passage: Passage, write: written.Write) -> bytes:
        if passage.window.n <= FEW:
            return text_of(b"", passage, self._wanted, write)
        return await beside(self._elsewhere, text_of, b"", passage, self._wanted, write)


def text_of(raw: bytes, passage: Passage, wanted: Wanted, write: written.Write) -> bytes:
    """What is wanted of the points of a passage, for another process to write."""
    return write(written.only(passage.points(), wanted))


async def picture(
    store: Store, run: StoredRun, resolution: int, *, low: int = 0, high: int = NEVER, attempt: int | None = None
) -> list[StoredPoint]:
    """About ``resolution`` points at steps from low to high, of one attempt or of all; see ``thin``.

    Of many points it is made from summaries, whatever their number: then a point may come without what was added to
    its step long after, and layers and metrics come with the first point of a stretch alone. Of an unbroken row of
    points that are not finite the ends are enough.
    """
    project, uid = run.row.project, run.row.uid
    if run.next_seq > EXACT:
        await store.summarise(project, uid)
    if await store.count_between(project, uid, low, high) <= max(EXACT, resolution):
        points = [stored async for some in walk(store, run, low=low, high=high, attempt=attempt) for stored in some]
    else:
        entries = await store.outline(project, uid, run.attempts, low, high, max(1, resolution // 2))
        points = await asyncio.to_thread(_drawn, entries, run, attempt)
    return await asyncio.to_thread(thin, points, resolution) if len(points) > 256 else thin(points, resolution)


async def page(
    store: Store, run: StoredRun, cursor: str | None, limit: int | None, *, low: int, high: int, attempt: int | None
) -> tuple[list[StoredPoint], str | None]:
    """At most ``limit`` points after a cursor, and the cursor of those after them. Raises ValueError for a cursor that
    this function did not give for this run."""
    after = None if cursor is None else read_place(run.row.uid, cursor)
    points: list[StoredPoint] = []
    size = POINTS if limit is None else min(POINTS, limit + 1)
    async for some in walk(store, run, low=low, high=high, attempt=attempt, after=after, points=size):
        points += some
        if limit is not None and len(points) > limit:
            return points[:limit], write_place(run.row.uid, Place.of(points[limit - 1]))
    return points, None


def _drawn(entries: Iterable[Entry], run: StoredRun, attempt: int | None) -> list[StoredPoint]:
    """Entries as points by attempt, step and rank."""
    cuts = Cuts(run.attempts)
    owners = [(1, 0), *((begin.number, begin.step) for begin in sorted(run.attempts))]
    found: dict[Place, StoredPoint] = {}
    for entry in sorted(entries, key=lambda entry: entry.seq):
        point = entry.point
        number = entry.attempt
        if entry.kind == EntryKind.LATE:  # it says something about the point of the attempt that was there
            number = next((n for n, step in reversed(owners) if n <= entry.attempt and step <= point.step), number)
        if attempt is not None and number != attempt:
            continue
        gone = entry.kind == EntryKind.SUPERSEDED_BY_WRITER or point.step >= cuts.at(entry.seq)
        key = Place(number, point.step, point.rank, gone)
        known = found.get(key)
        found[key] = StoredPoint(point if known is None else merge(known.point, point), number, gone)
    return [found[key] for key in sorted(found)]


def thin(points: Sequence[StoredPoint], resolution: int) -> list[StoredPoint]:
    """About ``resolution`` points that keep the picture: in each of ``resolution / 2`` stretches of equal count the
    lowest and highest value of every series, apart for what was superseded, besides the first and last point of each
    attempt and every point with a number that is not finite."""
    if len(points) <= resolution:
        return list(points)
    kept = {0, len(points) - 1}
    for n, (before, after) in enumerate(pairwise(points)):
        if before.attempt != after.attempt:
            kept.update((n, n + 1))
    kept.update(n for n, stored in enumerate(points) if not is_finite(stored.point))
    stretches = max(1, resolution // 2)
    for stretch in range(stretches):
        here = range(len(points) * stretch // stretches, len(points) * (stretch + 1) // stretches)
        for superseded in (False, True):
            mine = [n for n in here if points[n].superseded is superseded]
            for name in SERIES:
                there = [
                    (value, n)
                    for n in mine
                    if (value := getattr(points[n].point, name)) is not None and math.isfinite(value)
                ]
                if there:
                    kept.add(min(there)[1])
                    kept.add(max(there)[1])
    return [points[n] for n in sorted(kept)]
