"""Walking a record by step: the next entries from a step on, however they came in, in bounded memory.

Leaves are taken from the top of the tree in the order of the first step that they may hold, until they have about as
many points as are wanted; then all entries at the steps up to there are in those leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

from losswatch_server.monitor.entries import WITHOUT_POINT, Entry, EntryKind
from losswatch_server.store.cells import MOST
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.entries import read
from losswatch_server.store.record_rows import Key
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.searching import tail_rows
from losswatch_server.store.summaries import Summary
from losswatch_server.store.summary_tree import below, rows_between, tail_start, top

_ALL = sum(1 << kind for kind in EntryKind if kind not in WITHOUT_POINT)
SUPERSEDED_BY_WRITER = 1 << EntryKind.SUPERSEDED_BY_WRITER
NOT_SUPERSEDED_BY_WRITER = _ALL & ~SUPERSEDED_BY_WRITER
GAP_FILLING = 1 << EntryKind.LATE | 1 << EntryKind.OTHER_RANKS


class Source(NamedTuple):
    """Entries of some kinds from one place in the record up to, not including, another."""

    seq: int
    past: int
    kinds: int

    def may_hold(self, node: Summary) -> bool:
        """Whether the node may have such entries."""
        return node.seq < self.past and node.past > self.seq and bool(node.kinds & self.kinds)

    def holds(self, entry: Entry) -> bool:
        """Whether the entry is one of them."""
        return self.seq <= entry.seq < self.past and bool(self.kinds >> entry.kind & 1)


class Window(NamedTuple):
    """All entries of some sources at steps from ``low`` to ``high``: the rows that hold them, by place in the record,
    each with the place from which on it counts."""

    low: int
    high: int
    sources: Sequence[Source] = ()
    rows: Sequence[tuple[RecordRow, int]] = ()

    @property
    def n(self) -> int:
        """How many entries there are, at most."""
        return sum(row.n for row, _ in self.rows)

    def entries(self) -> list[Entry]:
        """The entries, by place in the record."""
        return [
            entry
            for row, first in self.rows
            for entry in read((row,), first)
            if self.low <= entry.point.step <= self.high and any(source.holds(entry) for source in self.sources)
        ]


def next_window(
    connection: DatabaseConnection, key: Key, sources: Sequence[Source], low: int, high: int, points: int
) -> Window | None:
    """The next window from ``low`` on with about so many points, at most to ``high``; None where there are no more."""
    start = tail_start(connection, key)
    tail = _tail(connection, key, sources, start, low, high)
    order = count()
    heap = [
        (_begins(node, low, high), next(order), node)
        for node in [*top(connection, key), *tail]
        if _wanted(node, sources, low, high)
    ]
    heapify(heap)
    if not heap:
        return None
    taken: list[Summary] = []
    n = 0
    density = 0.0
    low = heap[0][0]
    while heap:
        step, _, node = heap[0]
        if n >= points and step > low:
            high = min(high, step - 1)
            break
        heappop(heap)
        if node.level:
            for child in below(connection, key, node):
                if _wanted(child, sources, low, high):
                    heappush(heap, (_begins(child, low, high), next(order), child))
            continue
        taken.append(node)
        n += node.n
        density += node.n / sum(zone[1] - zone[0] + 1 for zone in node.zones)
    if not taken:
        return Window(low, high)
    if n > 2 * points:
        high = min(high, low + max(0, int(points / density) - 1))
    return Window(low, high, sources, _rows(connection, key, taken, start, low, high))


def _rows(
    connection: DatabaseConnection, key: Key, taken: Sequence[Summary], start: int, low: int, high: int
) -> list[tuple[RecordRow, int]]:
    found: list[tuple[RecordRow, int]] = []
    seen = 0
    for node in sorted(taken, key=lambda node: node.seq):
        first = max(node.seq, seen)
        if node.seq < start:
            rows = rows_between(connection, key, first, node.past)
        else:
            rows = tail_rows(connection, key, first, low, high)
        for row in rows:
            if row.kind not in WITHOUT_POINT and row.first_step <= high and row.last_step >= low:
                found.append((row, first))
            seen = row.seq + row.n
    return found


def _tail(
    connection: DatabaseConnection, key: Key, sources: Sequence[Source], start: int, low: int, high: int
) -> list[Summary]:
    """The tail as a leaf, at the steps that are left of it."""
    query = (
        "SELECT min(CASE WHEN first_step > ? THEN first_step ELSE ? END), max(CASE WHEN last_step < ? THEN last_step "
        "ELSE ? END), sum(n), max(seq + n) FROM record WHERE project = ? "
        "AND uid = ? AND seq + n > ? AND seq >= coalesce("
        "(SELECT max(seq) FROM record WHERE project = ? AND uid = ? AND seq <= ?), 0) "
        "AND last_step >= ? AND first_step <= ? AND kind NOT IN (?, ?) AND seq < ?"
    )
    kinds = (EntryKind.CONTEXT.value, EntryKind.ATTEMPT.value)
    past = max(source.past for source in sources)
    found = connection.execute(
        query, (low, low, high, high, *key, start, *key, start, low, high, *kinds, past)
    ).fetchone()
    if found is None or found[0] is None:
        return []
    if not all(type(cell) is int and 0 <= cell <= MOST for cell in found):  # a damaged row: all may be in any of them
        found = (low, high, 1, past)
    first, last, n, end = found
    return [Summary(0, start, end, n, _ALL, ((first, last),))]


def _wanted(node: Summary, sources: Sequence[Source], low: int, high: int) -> bool:
    return node.touches(low, high) and any(source.may_hold(node) for source in sources)


def _begins(node: Summary, low: int, high: int) -> int:
    """The first step from ``low`` on at which the node may have entries."""
    return min(max(zone[0], low) for zone in node.zones if zone[1] >= low and zone[0] <= high)
