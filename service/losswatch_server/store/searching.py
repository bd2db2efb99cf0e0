"""Reading parts of a record through its summaries: only rows that can hold what is asked for are opened."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from losswatch_server.monitor.entries import Attempt, EntryKind
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.entries import read
from losswatch_server.store.names import Tail, column_names, rank_tails
from losswatch_server.store.record_rows import RECORD, Key, from_database
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import opened
from losswatch_server.store.summaries import Summary
from losswatch_server.store.summary_tree import (
    leaves,
    rows_between,
    stored_names,
    stored_tails,
    tail_start,
)

_PAST = 1 << 62
_AT_ONCE = 32
"""Rows of a tail that are opened at a time, from the end."""


def rows_at(
    connection: DatabaseConnection, key: Key, steps: Sequence[int], first_seq: int, max_points: int
) -> list[RecordRow]:
    """Rows that may hold entries at some of the steps (ascending), in order, from the one that holds ``first_seq`` on,
    until about ``max_points`` points."""

    def holds(low: int, high: int) -> bool:
        place = bisect_left(steps, low)
        return place < len(steps) and steps[place] <= high

    def wanted(node: Summary) -> bool:
        return node.past > first_seq and any(holds(low, high) for low, high in node.zones)

    rows: list[RecordRow] = []
    points = 0
    for row in _found(connection, key, wanted, first_seq, steps[0], steps[-1]):
        if row.kind != EntryKind.CONTEXT and holds(row.first_step, row.last_step):
            rows.append(row)
            points += row.n
            if points >= max_points:
                break
    return rows


def standing_rows(
    connection: DatabaseConnection, key: Key, cuts: Cuts, first_seq: int, max_points: int
) -> list[RecordRow]:
    """Rows with entries that no attempt has superseded, in order, from the one that holds ``first_seq`` on, until about
    ``max_points`` points. Contexts always stand."""

    def wanted(node: Summary) -> bool:
        return node.past > first_seq and (
            node.has(EntryKind.CONTEXT) or (bool(node.zones) and node.zones[0][0] < cuts.at(node.past - 1))
        )

    rows: list[RecordRow] = []
    points = 0
    for row in _found(connection, key, wanted, first_seq, 0, _PAST):
        if row.kind == EntryKind.CONTEXT or row.first_step < cuts.at(row.seq + row.n - 1):
            rows.append(row)
            points += row.n
            if points >= max_points:
                break
    return rows


def _found(
    connection: DatabaseConnection, key: Key, wanted: object, first_seq: int, low: int, high: int
) -> Iterator[RecordRow]:
    """The rows of the leaves that are wanted and of the tail, each once, by place in the record."""
    seen = first_seq
    for node in leaves(connection, key, wanted):  # type: ignore[arg-type]
        for row in rows_between(connection, key, max(node.seq, seen), node.past):
            yield row
            seen = row.seq + row.n
    yield from tail_rows(connection, key, max(tail_start(connection, key), seen), low, high)


def tail_rows(connection: DatabaseConnection, key: Key, seq: int, low: int, high: int) -> Iterator[RecordRow]:
    """The rows from the one that holds ``seq`` on, with the contexts, and with points at steps from low to high."""
    found = connection.execute(
        f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? AND seq >= coalesce("
        "(SELECT max(seq) FROM record WHERE project = ? AND uid = ? AND seq <= ?), 0) "
        "AND seq + n > ? AND (kind = ? OR (last_step >= ? AND first_step <= ?)) ORDER BY seq",
        (*key, *key, seq, seq, EntryKind.CONTEXT.value, low, high),
    )
    return from_database(connection, key, found)


def last_main_step(connection: DatabaseConnection, key: Key, before: int) -> int | None:
    """The step of the last point of rank 0 that was new when it came, before a place in the record."""
    start = tail_start(connection, key)
    while before > start:
        query = (
            f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? AND seq < ? AND seq >= ? "
            "ORDER BY seq DESC LIMIT ?"
        )
        found = connection.execute(query, (*key, before, start, _AT_ONCE)).fetchall()
        for row in from_database(connection, key, found):
            step = _last_main(row, before)
            if step is not None:
                return step
        if len(found) < _AT_ONCE:
            break
        before = found[-1][0]
    for node in leaves(connection, key, lambda node: node.seq < before and node.has(EntryKind.POINTS), backwards=True):
        for row in reversed(list(rows_between(connection, key, node.seq, min(node.past, before)))):
            step = _last_main(row, before)
            if step is not None:
                return step
    return None


def _last_main(row: RecordRow, before: int) -> int | None:
    if row.kind not in (EntryKind.POINTS, EntryKind.SEALED):
        return None
    steps = [
        points[min(len(points), before - part.seq) - 1].step
        for part, points in opened(row)
        if part.kind == EntryKind.POINTS and part.seq < before
    ]
    return steps[-1] if steps else None


def all_rank_tails(connection: DatabaseConnection, key: Key, attempts: Sequence[Attempt]) -> dict[int, int]:
    """The last step of each rank other than 0."""
    cuts = Cuts(attempts)
    tails = stored_tails(connection, key)
    for row in tail_rows(connection, key, tail_start(connection, key), 0, _PAST):
        if row.kind in (EntryKind.OTHER_RANKS, EntryKind.LATE, EntryKind.SEALED):
            tails |= _tails_of(row, tails, cuts)
    return {rank: tail.after(cuts) for rank, tail in tails.items()}


def _tails_of(row: RecordRow, known: dict[int, Tail], cuts: Cuts) -> dict[int, Tail]:
    return rank_tails(read((row,)), known, cuts)


def all_column_names(connection: DatabaseConnection, key: Key) -> set[str]:
    """The names of all columns that a table of the run has."""
    names = stored_names(connection, key)
    for row in tail_rows(connection, key, tail_start(connection, key), 0, _PAST):
        if row.kind not in (EntryKind.CONTEXT, EntryKind.ATTEMPT):
            names |= column_names(read((row,)))
    return names
