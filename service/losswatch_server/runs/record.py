"""The record of a run as a sequence of items, and which of them count.

An attempt that begins at step s supersedes what the record said before about steps from s on. What is left, in
the order of the record, with each merge laid into its point, is what a monitor folds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from losswatch_server.admission import Fate, Key
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point
from losswatch_server.same_step import merge
from losswatch_server.store.blocks import pack
from losswatch_server.store.documents import context_from, context_text
from losswatch_server.store.rows import Attempt, EntryKind, RecordRow
from losswatch_server.store.sealing import row_points, unseal

BLOCK = 1000
"""Most points in one row: a lookup never unpacks more than this for one point."""

KIND_OF = {
    Fate.NEW: EntryKind.POINTS,
    Fate.OTHER_RANK: EntryKind.OTHER_RANKS,
    Fate.MERGE: EntryKind.MERGE,
    Fate.LATE: EntryKind.LATE,
    Fate.ASIDE: EntryKind.ASIDE,
}
_NO_POINT = Point(0)


class Item(NamedTuple):
    """One entry of a record. An attempt has its step in ``point``, a context has no point."""

    seq: int
    kind: EntryKind
    attempt: int
    point: Point = _NO_POINT
    context: Context = EMPTY_CONTEXT


def read(rows: Iterable[RecordRow], from_seq: int = 0) -> Iterator[Item]:
    """The items of rows, in order, from a sequence number on."""
    for row in rows:
        if row.kind == EntryKind.CONTEXT:
            items: Iterable[Item] = (Item(row.seq, row.kind, row.attempt, context=context_from(row.body)),)
        elif row.kind == EntryKind.ATTEMPT:
            items = (Item(row.seq, row.kind, row.attempt, Point(row.first_step)),)
        else:
            items = _point_items(row)
        if row.seq < from_seq:
            items = (item for item in items if item.seq >= from_seq)
        yield from items


def _point_items(row: RecordRow) -> Iterator[Item]:
    points = iter(row_points(row))
    for part in unseal(row):
        for seq, point in enumerate(islice(points, part.n), part.seq):
            yield Item(seq, part.kind, part.attempt, point)


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


def judged(items: Iterable[Item], attempts: Sequence[Attempt]) -> Iterator[Item]:
    """The items that no later attempt supersedes, in order; merges are still items of their own."""
    for item in items:
        if item.kind == EntryKind.CONTEXT or (item.kind != EntryKind.ASIDE and not superseded(item, attempts)):
            yield item


def superseded(item: Item, attempts: Sequence[Attempt]) -> bool:
    """Whether an attempt that began after this item took its step over."""
    seq, step = item.seq, item.point.step
    return any(attempt.seq > seq and attempt.step <= step for attempt in attempts)


def looked_up(items: Iterable[Item]) -> dict[Key, Point]:
    """What items say of each step and rank together."""
    points: dict[Key, Point] = {}
    for item in items:
        if item.kind not in (EntryKind.CONTEXT, EntryKind.ATTEMPT):
            key = (item.point.step, item.point.rank)
            before = points.get(key)
            points[key] = item.point if before is None else merge(before, item.point)
    return points


class Chart:
    """The points of a record as they stand: merged, with late fields laid in, superseded ones apart."""

    def __init__(self) -> None:
        self.judged: dict[Key, tuple[Point, int]] = {}
        self.superseded: dict[tuple[int, int, int], Point] = {}

    def add(self, item: Item) -> None:
        """Take the next item of the record."""
        point = item.point
        key = (point.step, point.rank)
        if item.kind == EntryKind.ATTEMPT:
            for old in [old for old in self.judged if old[0] >= point.step]:
                gone, attempt = self.judged.pop(old)
                self.superseded[attempt, *old] = gone
        elif item.kind == EntryKind.ASIDE:
            known = self.superseded.get((item.attempt, *key))
            self.superseded[item.attempt, *key] = point if known is None else merge(known, point)
        elif item.kind != EntryKind.CONTEXT:
            before = self.judged.get(key)
            self.judged[key] = (point, item.attempt) if before is None else (merge(before[0], point), before[1])
