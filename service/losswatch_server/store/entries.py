"""A run's record as a sequence of entries: what its rows hold, sealed or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat

from losswatch_server.codec.contexts import context_of_text
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.monitor.entries import Entry, EntryKind
from losswatch_server.monitor.points import EMPTY_CONTEXT, Point
from losswatch_server.store.damage import note_block
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import opened

_entry = partial(tuple.__new__, Entry)


def read(rows: Iterable[RecordRow], from_seq: int = 0) -> Iterator[Entry]:
    """The entries of rows, in order, from a sequence number on."""
    for row in rows:
        if row.kind == EntryKind.CONTEXT:
            try:
                entries: Iterable[Entry] = (Entry(row.seq, row.kind, row.attempt, context=context_of_text(row.body)),)
            except DamagedCellError as error:  # the context before it goes on
                note_block(row, error)
                continue
        elif row.kind == EntryKind.ATTEMPT:
            entries = (Entry(row.seq, row.kind, row.attempt, Point(row.first_step)),)
        else:
            entries = _point_entries(row)
        if row.seq < from_seq:
            entries = (entry for entry in entries if entry.seq >= from_seq)
        yield from entries


def _point_entries(row: RecordRow) -> Iterator[Entry]:
    for part, points in opened(row):
        seqs, same = range(part.seq, part.seq + part.n), (repeat(part.kind), repeat(part.attempt))
        yield from map(_entry, zip(seqs, *same, points, repeat(EMPTY_CONTEXT), strict=False))
