"""A run's record as a sequence of entries: what its rows hold, sealed or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point
from losswatch_server.store import damage
from losswatch_server.store.documents import DamagedDocumentError, context_from
from losswatch_server.store.rows import EntryKind, RecordRow
from losswatch_server.store.sealing import opened

WITHOUT_POINT = frozenset({EntryKind.CONTEXT, EntryKind.ATTEMPT})
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
            try:
                items: Iterable[Item] = (Item(row.seq, row.kind, row.attempt, context=context_from(row.body)),)
            except DamagedDocumentError as error:  # the context before it goes on
                damage.note_block(row, error)
                continue
        elif row.kind == EntryKind.ATTEMPT:
            items = (Item(row.seq, row.kind, row.attempt, Point(row.first_step)),)
        else:
            items = _point_items(row)
        if row.seq < from_seq:
            items = (item for item in items if item.seq >= from_seq)
        yield from items


def _point_items(row: RecordRow) -> Iterator[Item]:
    for part, points in opened(row):
        kind, attempt = part.kind, part.attempt
        for seq, point in enumerate(points, part.seq):
            yield Item(seq, kind, attempt, point)
