"""The summaries of a run in the database: grown in the background, and searched from the top.

What no leaf sums up yet is the tail of the record. Sealing and growing keep it at a few thousand entries, so reading
it is bounded too; a run of an older database is all tail until it has grown its summaries.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from losswatch_server.monitor.entries import Attempt, Entry, EntryKind
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.entries import read
from losswatch_server.store.names import Tail, column_names, rank_tails
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import FULL_BYTES
from losswatch_server.store.summaries import FANOUT, LEAF, Summary, above, leaf, zones_from_bytes, zones_to_bytes

AT_ONCE = 16 * 1260
"""Points summed up in one go: bounds the memory that it takes."""

Key = tuple[str, str]
"""Project and uid of a run."""

RECORD = "seq, n, kind, attempt, writer, received_ms, first_step, last_step, body"
_SUMMARY = "level, seq, past, n, kinds, zones"


class Growth(NamedTuple):
    """New summaries of a run from ``seq`` on, with what they say of ranks and names."""

    key: Key
    seq: int
    nodes: Sequence[Summary]
    tails: dict[int, Tail]
    names: set[str]


def record_row(found: tuple[Any, ...]) -> RecordRow:
    """A row as it was selected by ``RECORD``."""
    return RecordRow(found[0], found[1], EntryKind(found[2]), *found[3:])


def tail_start(connection: sqlite3.Connection, key: Key) -> int:
    """The place in the record from which on nothing is summed up."""
    query = "SELECT past FROM summary WHERE project = ? AND uid = ? AND level = ? ORDER BY seq DESC LIMIT 1"
    found = connection.execute(query, (*key, 0)).fetchone()
    return 0 if found is None else int(found[0])


def rows_between(connection: sqlite3.Connection, key: Key, seq: int, past: int) -> Iterator[RecordRow]:
    """The rows that hold the entries from ``seq`` up to, not including, ``past``; the first and last may hold more."""
    found = connection.execute(
        f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? AND seq >= coalesce("
        "(SELECT max(seq) FROM record WHERE project = ? AND uid = ? AND seq <= ?), 0) AND seq < ? ORDER BY seq",
        (*key, *key, seq, past),
    )
    for one in found:
        row = record_row(one)
        if row.seq + row.n > seq:
            yield row


def growth(connection: sqlite3.Connection, key: Key) -> Growth | None:
    """Summaries of the next entries, up to ``AT_ONCE``; None while there are too few.

    Leaves end where rows end that will not be compressed together with later ones.
    """
    start = tail_start(connection, key)
    query = (
        "SELECT seq + n FROM record WHERE project = ? AND uid = ? AND seq >= ? AND "
        "(kind IN (?, ?) OR kind = ? AND length(body) >= ?) ORDER BY seq DESC LIMIT 1"
    )
    settled = (EntryKind.CONTEXT.value, EntryKind.ATTEMPT.value, EntryKind.SEALED.value, FULL_BYTES)
    found = connection.execute(query, (*key, start, *settled)).fetchone()
    if found is None or found[0] - start < LEAF:
        return None
    leaves: list[Summary] = []
    entries: list[Entry] = []
    cuts = Cuts(_attempts(connection, key))
    known = stored_tails(connection, key)
    tails: dict[int, Tail] = {}
    names: set[str] = set()
    for row in rows_between(connection, key, start, found[0]):
        entries += read((row,), start)
        if len(entries) >= LEAF:
            leaves.append(leaf(entries))
            names |= column_names(entries)
            tails |= rank_tails(entries, known | tails, cuts)
            entries = []
            if leaves[-1].past - start >= AT_ONCE:
                break
    if not leaves:
        return None
    return Growth(key, start, [*leaves, *_above(connection, key, leaves)], tails, names - stored_names(connection, key))


def _above(connection: sqlite3.Connection, key: Key, new: Sequence[Summary]) -> Iterator[Summary]:
    """The nodes that new ones of one level complete, on all levels above it."""
    while new:
        level = new[0].level
        query = "SELECT coalesce(max(past), 0) FROM summary WHERE project = ? AND uid = ? AND level = ?"
        (covered,) = connection.execute(query, (*key, level + 1)).fetchone()
        waiting = [*_nodes(connection, key, level, covered, new[0].seq, body=True), *new]
        new = [above(waiting[n : n + FANOUT]) for n in range(0, len(waiting) - FANOUT + 1, FANOUT)]
        yield from new


def grow(connection: sqlite3.Connection, growth: Growth) -> bool:
    """Keep new summaries, unless somebody else did. False where the run is gone."""
    key = growth.key
    if connection.execute("SELECT 1 FROM run WHERE project = ? AND uid = ?", key).fetchone() is None:
        return False
    if tail_start(connection, key) != growth.seq:
        return True
    connection.executemany(
        f"INSERT INTO summary (project, uid, {_SUMMARY}, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(*key, *node[:5], zones_to_bytes(node.zones), node.body) for node in growth.nodes],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO rank_tail (project, uid, rank, step, seq) VALUES (?, ?, ?, ?, ?)",
        [(*key, rank, *tail) for rank, tail in growth.tails.items()],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO series_name (project, uid, name) VALUES (?, ?, ?)",
        [(*key, name) for name in sorted(growth.names)],
    )
    return True


def top(connection: sqlite3.Connection, key: Key, *, body: bool = False) -> list[Summary]:
    """The fewest summaries that together cover all that is summed up, by place in the record."""
    found = connection.execute("SELECT max(level) FROM summary WHERE project = ? AND uid = ?", key).fetchone()
    nodes: list[Summary] = []
    for level in range(-1 if found[0] is None else found[0], -1, -1):
        nodes += _nodes(connection, key, level, nodes[-1].past if nodes else 0, None, body=body)
    return nodes


def below(connection: sqlite3.Connection, key: Key, node: Summary, *, body: bool = False) -> list[Summary]:
    """The summaries from which a node was made."""
    return _nodes(connection, key, node.level - 1, node.seq, node.past, body=body)


def _nodes(
    connection: sqlite3.Connection, key: Key, level: int, seq: int, past: int | None, *, body: bool
) -> list[Summary]:
    query = (
        f"SELECT {_SUMMARY}{', body' if body else ''} FROM summary "
        "WHERE project = ? AND uid = ? AND level = ? AND seq >= ? AND seq < ? ORDER BY seq"
    )
    found = connection.execute(query, (*key, level, seq, 1 << 62 if past is None else past))
    return [
        Summary(one[0], one[1], one[2], one[3], one[4], zones_from_bytes(one[5]), one[6] if body else b"")
        for one in found
    ]


def leaves(
    connection: sqlite3.Connection, key: Key, wanted: Callable[[Summary], bool], *, backwards: bool = False
) -> Iterator[Summary]:
    """The leaves that are wanted, and lie below nodes that are all wanted, by place in the record."""
    stack = top(connection, key)
    if not backwards:
        stack.reverse()
    while stack:
        node = stack.pop()
        if not wanted(node):
            continue
        if node.level == 0:
            yield node
        else:
            nodes = below(connection, key, node)
            stack += nodes if backwards else nodes[::-1]


def stored_tails(connection: sqlite3.Connection, key: Key) -> dict[int, Tail]:
    """How far each other rank has come in what is summed up."""
    query = "SELECT rank, step, seq FROM rank_tail WHERE project = ? AND uid = ?"
    return {rank: Tail(step, seq) for rank, step, seq in connection.execute(query, key)}


def stored_names(connection: sqlite3.Connection, key: Key) -> set[str]:
    """The names of the columns in what is summed up."""
    query = "SELECT name FROM series_name WHERE project = ? AND uid = ?"
    return {name for (name,) in connection.execute(query, key)}


def _attempts(connection: sqlite3.Connection, key: Key) -> list[Attempt]:
    found = connection.execute("SELECT number, step, seq FROM attempt WHERE project = ? AND uid = ?", key)
    return list(map(Attempt._make, found))
