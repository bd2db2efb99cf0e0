"""A record read a page at a time, while others may be sealing it.

A page is of one moment, and the next one of another: rows that were apart may be one block by then, which holds
entries that were read already beside new ones. So a page knows from which place in the record on it is new, and what
is taken out of it begins there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from losswatch_server.monitor.entries import WITHOUT_POINT, Entry
from losswatch_server.monitor.points import Point
from losswatch_server.store.entries import read
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import opened

PAGE = 4096
"""Points read from the store at a time."""


class RecordPage(NamedTuple):
    """Rows of a record in order, of which the entries from ``seq`` on are new."""

    rows: Sequence[RecordRow]
    seq: int

    def entries(self) -> Iterator[Entry]:
        """The new entries, in order."""
        return read(self.rows, self.seq)

    def parts(self) -> Iterator[tuple[RecordRow, Sequence[Point]]]:
        """What was received of the new entries, as it was received (see ``sealing.opened``): contexts and attempts as
        they are, without points."""
        for row in self.rows:
            if row.kind in WITHOUT_POINT:
                if row.seq >= self.seq:
                    yield row, ()
                continue
            for part, points in opened(row):
                old = self.seq - part.seq
                if old <= 0:
                    yield part, points
                elif old < part.n:
                    yield part._replace(seq=self.seq, n=part.n - old), points[old:]


async def pages(read_page: Callable[[int], Awaitable[Sequence[RecordRow]]], seq: int = 0) -> AsyncIterator[RecordPage]:
    """The pages of a record from a place on. ``read_page`` gives rows in order, from the one that holds a place on, and
    none where there is nothing more."""
    while rows := await read_page(seq):
        yield RecordPage(rows, seq)
        seq = rows[-1].seq + rows[-1].n
