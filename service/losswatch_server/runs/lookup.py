"""What the record of a run says at given steps: as many rows are opened as can hold them, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from losswatch_server.monitor.entries import Entry
from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.points.accept import Key
from losswatch_server.runs.record import combined
from losswatch_server.store import Store
from losswatch_server.store.entries import read
from losswatch_server.store.rows import RecordRow, RunRow

PAGE = 4096
"""Points that are unpacked at a time."""
BESIDE = 512
"""Points from which on even the question is worked out beside the event loop."""


async def said_at(
    store: Store, row: RunRow, wanted: Collection[Key], counts: Callable[[Entry], bool]
) -> dict[Key, Point]:
    """What the entries that count say of each wanted step and rank together."""
    points: dict[Key, Point] = {}
    if not wanted:
        return points

    def prepared() -> tuple[frozenset[Key], list[int]]:
        return frozenset(wanted), sorted({step for step, _ in wanted})

    keys, steps = await asyncio.to_thread(prepared) if len(wanted) > BESIDE else prepared()

    def take(rows: Sequence[RecordRow]) -> None:
        said = combined(entry for entry in read(rows) if (entry.point.step, entry.point.rank) in keys and counts(entry))
        for key, point in said.items():
            before = points.get(key)
            points[key] = point if before is None else merge(before, point)

    seq = 0
    while rows := await store.record_at(row.project, row.uid, steps, seq, PAGE):
        await asyncio.to_thread(take, rows)
        seq = rows[-1].seq + rows[-1].n
    return points
