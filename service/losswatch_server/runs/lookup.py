"""What the record of a run says at given steps: as many rows are opened as can hold them, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from losswatch_server.monitor.entries import Entry
from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.points.accept import Key
from losswatch_server.runs.record import combined
from losswatch_server.store import Store
from losswatch_server.store.pages import PAGE, RecordPage, pages
from losswatch_server.store.rows import RunRow

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

    def take(page: RecordPage) -> None:
        entries = page.entries()
        said = combined(entry for entry in entries if (entry.point.step, entry.point.rank) in keys and counts(entry))
        for key, point in said.items():
            before = points.get(key)
            points[key] = point if before is None else merge(before, point)

    async for page in pages(lambda seq: store.record_at(row.project, row.uid, steps, seq, PAGE)):
        await asyncio.to_thread(take, page)
    return points
