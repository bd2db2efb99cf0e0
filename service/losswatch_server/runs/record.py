"""The record of a run as a sequence of items, and which of them count.

An attempt that begins at step s supersedes what the record said before about steps from s on. What is left, in
the order of the record, with each merge laid into its point, is what a monitor folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.points.accept import Fate, Key
from losswatch_server.store.blocks import pack
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.documents import context_text
from losswatch_server.store.entries import WITHOUT_POINT, Item
from losswatch_server.store.rows import Attempt, EntryKind, RecordRow

BLOCK = 1000
"""Most points in one row: a lookup never unpacks more than this for one point."""

KIND_OF = {
    Fate.NEW: EntryKind.POINTS,
    Fate.OTHER_RANK: EntryKind.OTHER_RANKS,
    Fate.MERGE: EntryKind.MERGE,
    Fate.LATE: EntryKind.LATE,
    Fate.ASIDE: EntryKind.ASIDE,
}


def write(items: Sequence[Item], writer: str | None, received_ms: int) -> list[RecordRow]:
    """Rows for new items with consecutive sequence numbers: one for each stretch of one kind and attempt."""
    rows = []
    start = 0
    count = len(items)
    while start < count:
        first = items[start]
        kind, attempt = first.kind, first.attempt
        end = start + 1
        if kind == EntryKind.CONTEXT:
            body, low, high = context_text(first.context).encode(), 0, 0
        elif kind == EntryKind.ATTEMPT:
            body, low, high = b"", first.point.step, first.point.step
        else:
            while end < count and end < start + BLOCK and items[end].kind == kind and items[end].attempt == attempt:
                end += 1
            points = [item.point for item in items[start:end]]
            body, low, high = pack(points), points[0].step, points[-1].step
        rows.append(RecordRow(first.seq, end - start, kind, attempt, writer, received_ms, low, high, body))
        start = end
    return rows


def standing(attempts: Sequence[Attempt]) -> Callable[[Item], bool]:
    """Whether an item counts: no later attempt supersedes it, and it did not come aside."""
    cuts = Cuts(attempts)
    return lambda item: item.kind != EntryKind.ASIDE and item.point.step < cuts.at(item.seq)


def judged(items: Iterable[Item], attempts: Sequence[Attempt]) -> Iterator[Item]:
    """The items that no later attempt supersedes, in order; merges are still items of their own."""
    stands = standing(attempts)
    for item in items:
        if item.kind == EntryKind.CONTEXT or stands(item):
            yield item


def looked_up(items: Iterable[Item]) -> dict[Key, Point]:
    """What items say of each step and rank together."""
    points: dict[Key, Point] = {}
    for item in items:
        if item.kind not in WITHOUT_POINT:
            key = (item.point.step, item.point.rank)
            before = points.get(key)
            points[key] = item.point if before is None else merge(before, item.point)
    return points
