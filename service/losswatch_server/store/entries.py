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
    """The entries of rows, in order, from a sequence number on.

    None is given twice: where rows were read at several moments, a block may hold what single rows before it held.
    """
    for row in rows:
        if row.kind == EntryKind.CONTEXT:
            if row.seq >= from_seq:
                try:
                    yield Entry(row.seq, row.kind, row.attempt, context=context_of_text(row.body))
                except DamagedCellError as error:  # the context before it goes on
                    note_block(row, error)
                from_seq = row.seq + 1
        elif row.kind == EntryKind.ATTEMPT:
            if row.seq >= from_seq:
                yield Entry(row.seq, row.kind, row.attempt, Point(row.first_step))
                from_seq = row.seq + 1
        else:
            for part, points in opened(row):
                past = part.seq + part.n
                if past > from_seq:
                    new = max(part.seq, from_seq)
                    seqs, same = range(new, past), (repeat(part.kind), repeat(part.attempt))
                    mine = points if new == part.seq else points[new - part.seq :]
                    yield from map(_entry, zip(seqs, *same, mine, repeat(EMPTY_CONTEXT), strict=False))
                    from_seq = past
