"""The points of a run for charts: what stands, what was superseded, and a thinner series that looks the same."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import pairwise

from losswatch_server.monitor.entries import Entry, EntryKind
from losswatch_server.monitor.points import SERIES, merge
from losswatch_server.runs.answers import StoredPoint
from losswatch_server.runs.walk import Place, walk
from losswatch_server.store import Store
from losswatch_server.store.cuts import NEVER, Cuts
from losswatch_server.store.rows import StoredRun
from losswatch_server.store.summaries import is_finite

EXACT = 32_768
"""Points up to which a picture is made of all of them; past that of summaries, which takes less than reading these."""


async def in_turns(
    parts: AsyncIterator[list[StoredPoint]], turns: asyncio.Semaphore
) -> AsyncIterator[list[StoredPoint]]:
    """The parts, each read in a turn: who streams whole runs waits for others who do, and live runs for one alone."""
    while True:
        async with turns:
            part = await anext(parts, None)
        if part is None:
            return
        yield part


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
