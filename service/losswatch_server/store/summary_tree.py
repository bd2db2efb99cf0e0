"""The summaries of a run in the database: grown in the background, and searched from the top.

What no leaf sums up yet is the tail of the record. Sealing and growing keep it at a few thousand entries, so reading
it is bounded too; a run of an older database is all tail until it has grown its summaries.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from losswatch_server.monitor.entries import Attempt, Entry, EntryKind
from losswatch_server.store.cells import text, whole
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.dialect import upsert
from losswatch_server.store.entries import read
from losswatch_server.store.names import Tail, column_names, rank_tails
from losswatch_server.store.record_rows import CHECK_BYTES, RECORD, Key, attempts_of, from_database
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import FULL_BYTES, new_points
from losswatch_server.store.summaries import FANOUT, LEAF, Summary, above, leaf, zones_from_bytes, zones_to_bytes

AT_ONCE = 16 * 1260
"""Points summed up in one go: bounds the memory that it takes."""

EVERYTHING = 1 << 62
ROWS_AT_ONCE = 64
"""Rows that are fetched in one go: at most a mebibyte, whatever the caller still wants of them."""

_SUMMARY = "level, seq, past, n, kinds, zones"
_LEVELS = 32
"""A run of 2^53 entries would have fewer."""


class Growth(NamedTuple):
    """New summaries of a run from ``seq`` on, with what they say of ranks and names."""

    key: Key
    seq: int
    nodes: Sequence[Summary]
    tails: dict[int, Tail]
    names: set[str]


class DamagedSummariesError(Exception):
    """The summaries of a run are not what was written. They are made of the record: ``forget`` them, and let them grow
    anew."""


def tail_start(connection: DatabaseConnection, key: Key) -> int:
    """The place in the record from which on nothing is summed up. Raises DamagedSummariesError."""
    query = f"SELECT {_SUMMARY} FROM summary WHERE project = ? AND uid = ? AND level = ? ORDER BY seq DESC LIMIT 1"
    found = connection.execute(query, (*key, 0)).fetchone()
    return 0 if found is None else _summary(found).past


def forget(connection: DatabaseConnection, key: Key) -> None:
    """Remove the summaries of a run, with what they say of ranks and names."""
    for table in ("summary", "rank_tail", "series_name"):
        connection.execute(f"DELETE FROM {table} WHERE project = ? AND uid = ?", key)


def rows_between(connection: DatabaseConnection, key: Key, seq: int, past: int) -> Iterator[RecordRow]:
    """The rows that hold the entries from ``seq`` up to, not including, ``past``; the first and last may hold more."""
    first: tuple[str, tuple[object, ...]] = (
        "seq >= coalesce((SELECT max(seq) FROM record WHERE project = ? AND uid = ? AND seq <= ?), 0)",
        (*key, seq),
    )
    while True:
        where, values = first
        found = connection.execute(
            f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? AND {where} AND seq < ? ORDER BY seq LIMIT ?",
            (*key, *values, past, ROWS_AT_ONCE),
        ).fetchall()
        for row in from_database(connection, key, found):
            if row.seq + row.n > seq:
                yield row
        if len(found) < ROWS_AT_ONCE:
            return
        first = "seq > ?", (found[-1][0],)


class NotSummedUp(NamedTuple):
    """The next rows to be summed up, from ``seq`` on, and what must be known of those before them."""

    key: Key
    seq: int
    rows: Sequence[RecordRow]
    tails: Mapping[int, Tail]
    attempts: Sequence[Attempt]
    goes_on: bool
    """Whether there are more rows."""


class Leaves(NamedTuple):
    """The first summaries of some rows, with what the rows say of ranks and names."""

    leaves: Sequence[Summary]
    tails: dict[int, Tail]
    names: set[str]


def not_summed_up(connection: DatabaseConnection, key: Key, most: int = AT_ONCE) -> NotSummedUp | None:
    """The next entries, about ``most`` of them; None while there are too few.

    Leaves end where rows end that will not be compressed together with later ones.
    """
    start = tail_start(connection, key)
    query = (
        "SELECT seq + n FROM record WHERE project = ? AND uid = ? AND seq >= ? AND "
        "(kind IN (?, ?) OR kind = ? AND length(body) >= ?) ORDER BY seq DESC LIMIT 1"
    )
    settled = (EntryKind.CONTEXT.value, EntryKind.ATTEMPT.value, EntryKind.SEALED.value, FULL_BYTES + CHECK_BYTES)
    found = connection.execute(query, (*key, start, *settled)).fetchone()
    if found is None or found[0] - start < LEAF:
        return None
    rows: list[RecordRow] = []
    for row in rows_between(connection, key, start, found[0]):
        rows.append(row)
        if row.seq + row.n - start >= most + LEAF:
            break
    goes_on = bool(rows) and rows[-1].seq + rows[-1].n < found[0]
    return NotSummedUp(key, start, rows, stored_tails(connection, key), attempts_of(connection, key), goes_on)


def summed_up(raw: bytes, rest: NotSummedUp) -> Leaves:
    """Leaves of the rows; pure, for another process."""
    leaves: list[Summary] = []
    entries: Sequence[Entry] = []
    cuts = Cuts(rest.attempts)
    tails: dict[int, Tail] = {}
    names: set[str] = set()
    for row in rest.rows:
        alone = new_points(row) if not entries and row.n >= LEAF and row.seq >= rest.seq else None
        entries = [*entries, *read((row,), rest.seq)] if alone is None else alone
        if len(entries) >= LEAF:
            leaves.append(leaf(entries))
            names |= column_names(entries)
            tails |= rank_tails(entries, {**rest.tails, **tails}, cuts)
            entries = []
            if leaves[-1].past - rest.seq >= AT_ONCE:
                break
    return Leaves(leaves, tails, names)


def growth(connection: DatabaseConnection, rest: NotSummedUp, found: Leaves) -> Growth | None:
    """The leaves with the summaries above them that they complete."""
    if not found.leaves:
        return None
    key = rest.key
    nodes = [*found.leaves, *_above(connection, key, found.leaves)]
    return Growth(key, rest.seq, nodes, found.tails, found.names - stored_names(connection, key))


def _above(connection: DatabaseConnection, key: Key, new: Sequence[Summary]) -> Iterator[Summary]:
    """The nodes that new ones of one level complete, on all levels above it."""
    while new:
        level = new[0].level
        query = "SELECT coalesce(max(past), 0) FROM summary WHERE project = ? AND uid = ? AND level = ?"
        (covered,) = connection.execute(query, (*key, level + 1)).fetchone()
        waiting = [*_nodes(connection, key, level, covered, new[0].seq, body=True), *new]
        new = [above(waiting[n : n + FANOUT]) for n in range(0, len(waiting) - FANOUT + 1, FANOUT)]
        yield from new


def grow(connection: DatabaseConnection, growth: Growth) -> bool:
    """Keep new summaries, unless somebody else did. False where the run is gone."""
    key = growth.key
    exists = f"SELECT 1 FROM run WHERE project = ? AND uid = ?{connection.dialect.lock}"
    if connection.execute(exists, key).fetchone() is None:
        return False
    if tail_start(connection, key) != growth.seq:
        return True
    connection.executemany(
        f"INSERT INTO summary (project, uid, {_SUMMARY}, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(*key, *node[:5], _checked_zones(node), node.body) for node in growth.nodes],
    )
    connection.executemany(
        upsert("rank_tail", "project, uid, rank, step, seq", "project, uid, rank"),
        [(*key, rank, *tail) for rank, tail in growth.tails.items()],
    )
    connection.executemany(
        "INSERT INTO series_name (project, uid, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(*key, name) for name in sorted(growth.names)],
    )
    return True


def top(connection: DatabaseConnection, key: Key, *, body: bool = False) -> list[Summary]:
    """The fewest summaries that together cover all that is summed up, by place in the record.

    Raises DamagedSummariesError.
    """
    (highest,) = connection.execute("SELECT max(level) FROM summary WHERE project = ? AND uid = ?", key).fetchone()
    if highest is not None and not (type(highest) is int and 0 <= highest < _LEVELS):
        raise DamagedSummariesError(f"level {highest!r:.40}")
    nodes: list[Summary] = []
    for level in range(-1 if highest is None else highest, -1, -1):
        nodes += _nodes(connection, key, level, nodes[-1].past if nodes else 0, None, body=body)
    _without_gap(nodes, 0, None)
    return nodes


def below(connection: DatabaseConnection, key: Key, node: Summary, *, body: bool = False) -> list[Summary]:
    """The summaries from which a node was made. Raises DamagedSummariesError."""
    nodes = _nodes(connection, key, node.level - 1, node.seq, node.past, body=body)
    _without_gap(nodes, node.seq, node.past)
    return nodes


def _without_gap(nodes: Sequence[Summary], seq: int, past: int | None) -> None:
    """A summary that is missing would hide what it sums up."""
    for node in nodes:
        if node.seq != seq:
            raise DamagedSummariesError(f"there is none of level {node.level} at {seq}")
        seq = node.past
    if past is not None and seq != past:
        raise DamagedSummariesError(f"there is none at {seq}")


def _nodes(
    connection: DatabaseConnection, key: Key, level: int, seq: int, past: int | None, *, body: bool
) -> list[Summary]:
    query = (
        f"SELECT {_SUMMARY}{', body' if body else ''} FROM summary "
        "WHERE project = ? AND uid = ? AND level = ? AND seq >= ? AND seq < ? ORDER BY seq"
    )
    found = connection.execute(query, (*key, level, seq, 1 << 62 if past is None else past))
    return [_summary(one) for one in found]


_CELLS = struct.Struct("<BqqqI")
_CHECKSUM = struct.Struct("<I")


def _checked_zones(node: Summary) -> bytes:
    """The zones with a checksum of them and of the cells beside them."""
    data = zones_to_bytes(node.zones)
    return data + _CHECKSUM.pack(zlib.crc32(data, zlib.crc32(_CELLS.pack(*node[:5]))))


def _summary(found: Sequence[Any]) -> Summary:
    """The node of a row. Raises DamagedSummariesError. Those of older versions have no checksum."""
    level, seq, past, n, kinds, zones, *body = found
    try:
        if len(zones) % 16 == _CHECKSUM.size:
            zones, checksum = zones[: -_CHECKSUM.size], zones[-_CHECKSUM.size :]
            if _CHECKSUM.unpack(checksum)[0] != zlib.crc32(zones, zlib.crc32(_CELLS.pack(level, seq, past, n, kinds))):
                raise ValueError("the checksum does not fit")
        whole(past, whole(seq) + 1)
        steps = zones_from_bytes(zones)
        if any(low > high for low, high in steps):
            raise ValueError("zones that end before they begin")
        kept = body[0] if body and type(body[0]) is bytes else b""
        return Summary(whole(level, 0, _LEVELS), seq, past, whole(n), whole(kinds, 0, 1 << 16), steps, kept)
    except (ValueError, TypeError, struct.error) as error:
        raise DamagedSummariesError(f"level {level!r:.40} at {seq!r:.40}: {error}") from None


def leaves(
    connection: DatabaseConnection, key: Key, wanted: Callable[[Summary], bool], *, backwards: bool = False
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


def stored_tails(connection: DatabaseConnection, key: Key) -> dict[int, Tail]:
    """How far each other rank has come in what is summed up."""
    query = "SELECT rank, step, seq FROM rank_tail WHERE project = ? AND uid = ?"
    found = connection.execute(query, key)
    try:
        return {whole(rank): Tail(whole(step, -1), whole(seq)) for rank, step, seq in found}
    except ValueError as error:
        raise DamagedSummariesError(f"the last step of a rank: {error}") from None


def stored_names(connection: DatabaseConnection, key: Key) -> set[str]:
    """The names of the columns in what is summed up."""
    query = "SELECT name FROM series_name WHERE project = ? AND uid = ?"
    try:
        return {text(name) for (name,) in connection.execute(query, key)}
    except ValueError as error:
        raise DamagedSummariesError(f"the name of a series: {error}") from None
