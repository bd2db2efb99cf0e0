"""The outline of a run between two steps: what a picture of it needs, from as few summaries as give enough detail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from losswatch_server.monitor.entries import WITHOUT_POINT, Attempt, Entry, EntryKind
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.entries import read
from losswatch_server.store.record_rows import Key
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.searching import tail_rows
from losswatch_server.store.summaries import FANOUT, Summary, bucket, buckets, laid_together, most_not_finite
from losswatch_server.store.summary_tree import below, rows_between, tail_start, top


def count_between(connection: DatabaseConnection, key: Key, low: int, high: int) -> int:
    """About how many points there are at steps from low to high: at most two leaves' points too many, where the steps
    came in order."""
    n = 0
    stack = top(connection, key)
    while stack:
        node = stack.pop()
        if node.touches(low, high):
            if node.level and not node.within(low, high):
                stack += below(connection, key, node)
            else:
                n += node.n
    query = (
        "SELECT coalesce(sum(n), 0) FROM record WHERE project = ? AND uid = ? AND seq >= ? "
        "AND last_step >= ? AND first_step <= ?"
    )
    (rest,) = connection.execute(query, (*key, tail_start(connection, key), low, high)).fetchone()
    return n + (rest if type(rest) is int else 0)


def outline(
    connection: DatabaseConnection, key: Key, attempts: Sequence[Attempt], low: int, high: int, stretches: int
) -> list[Entry]:
    """Entries at steps from low to high: in each of at least so many stretches, where the leaves are as fine as that,
    the first and the last, the extremes, and those that are not finite (see summaries).

    Only summaries whose points all stand or fall together are used: where an attempt's beginning cuts through a leaf,
    its entries are read themselves.
    """
    cuts = Cuts(attempts)
    nodes = [node for node in top(connection, key, body=True) if node.touches(low, high)]
    while FANOUT * len(nodes) < stretches and (level := max((node.level for node in nodes), default=0)):
        nodes = [
            finer
            for node in nodes
            for finer in (below(connection, key, node, body=True) if node.level == level else (node,))
            if finer.touches(low, high)
        ]
    weight = max(1, sum(node.n for node in nodes) // stretches)
    entries: list[Entry] = []
    stack = nodes[::-1]
    while stack:
        node = stack.pop()
        if not node.touches(low, high):
            continue
        if node.within(low, high) and _of_one_fate(node, cuts):
            entries += [kept.entry for one in buckets(node) for kept in one]
        elif node.level:
            stack += below(connection, key, node, body=True)[::-1]
        else:
            rows = rows_between(connection, key, node.seq, node.past)
            entries += _thinned(_entries(rows, node.seq, node.past, low, high), cuts, weight)
    start = tail_start(connection, key)
    tail = _entries(tail_rows(connection, key, start, low, high), start, 1 << 62, low, high)
    return entries + _thinned(tail, cuts, weight)


def _of_one_fate(node: Summary, cuts: Cuts) -> bool:
    """Whether all its entries are of one attempt, and all or none of them superseded."""
    if cuts.between(node.seq, node.past):
        return False
    cut = cuts.at(node.past - 1)
    return cut <= node.zones[0][0] or cut > node.zones[-1][1]


def _entries(rows: Iterable[RecordRow], seq: int, past: int, low: int, high: int) -> Iterator[Entry]:
    for entry in read(rows, seq):
        if entry.seq < past and (entry.kind in WITHOUT_POINT or low <= entry.point.step <= high):
            yield entry


def _thinned(entries: Iterable[Entry], cuts: Cuts, weight: int) -> list[Entry]:
    """Stretches of about ``weight`` entries of one fate, each as a leaf would keep it."""
    together = laid_together(list(entries))

    def fate(entry: Entry) -> tuple[int, bool, bool]:
        return entry.attempt, entry.kind == EntryKind.SUPERSEDED_BY_WRITER, entry.point.step >= cuts.at(entry.seq)

    kept: list[Entry] = []
    for _, group in groupby(sorted(together, key=fate), key=fate):
        mine = list(group)
        for start in range(0, len(mine), weight):
            part = mine[start : start + weight]
            kept += [one.entry for one in bucket(part, most_not_finite(0))]
    return kept
