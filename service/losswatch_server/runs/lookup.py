"""What the record of a run says at given steps: as many rows are opened as can hold them, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from losswatch_server.admission import Key
from losswatch_server.monitor.points import Point
from losswatch_server.runs.record import looked_up
from losswatch_server.same_step import merge
from losswatch_server.store import Store
from losswatch_server.store.entries import Item, read
from losswatch_server.store.rows import RecordRow, RunRow

PAGE = 4096
"""Points that are unpacked at a time."""


async def said_at(
    store: Store, row: RunRow, wanted: Collection[Key], counts: Callable[[Item], bool]
) -> dict[Key, Point]:
    """What the entries that count say of each wanted step and rank together."""
    points: dict[Key, Point] = {}
    keys = frozenset(wanted)
    steps = sorted({step for step, _ in keys})

    def chosen(rows: Sequence[RecordRow]) -> dict[Key, Point]:
        return looked_up(item for item in read(rows) if (item.point.step, item.point.rank) in keys and counts(item))

    seq = 0
    while steps and (rows := await store.record_at(row.project, row.uid, steps, seq, PAGE)):
        for key, point in (await asyncio.to_thread(chosen, rows)).items():
            before = points.get(key)
            points[key] = point if before is None else merge(before, point)
        seq = rows[-1].seq + rows[-1].n
    return points
