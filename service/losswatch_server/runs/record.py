"""The record of a run as a sequence of entries, and which of them count.

An attempt that begins at step s supersedes what the record said before about steps from s on. What is left, in
the order of the record, with each merge laid into its point, is what a monitor folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from losswatch_server.codec.blocks import pack
from losswatch_server.codec.contexts import context_text
from losswatch_server.codec.packed import BLOCK, blocks_of
from losswatch_server.monitor.entries import WITHOUT_POINT, Attempt, Entry, EntryKind, NewPoints
from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.points.accept import Key
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.rows import RecordRow


def write(entries: Sequence[Entry], writer: str | None, received_ms: int) -> list[RecordRow]:
    """Rows for new entries with consecutive sequence numbers: one for each stretch of one kind and attempt."""
    if isinstance(entries, NewPoints):
        return _write_points(entries, writer, received_ms)
    rows = []
    start = 0
    count = len(entries)
    while start < count:
        first = entries[start]
        kind, attempt = first.kind, first.attempt
        end = start + 1
        if kind == EntryKind.CONTEXT:
            body, low, high = context_text(first.context).encode(), 0, 0
        elif kind == EntryKind.ATTEMPT:
            body, low, high = b"", first.point.step, first.point.step
        else:
            while end < count and end < start + BLOCK and entries[end].kind == kind and entries[end].attempt == attempt:
                end += 1
            points = [entry.point for entry in entries[start:end]]
            body, low, high = pack(points), points[0].step, points[-1].step
        rows.append(RecordRow(first.seq, end - start, kind, attempt, writer, received_ms, low, high, body))
        start = end
    return rows


def _write_points(entries: NewPoints, writer: str | None, received_ms: int) -> list[RecordRow]:
    rows = []
    seq = entries.seq
    for n, low, high, body in blocks_of(entries.points):
        rows.append(RecordRow(seq, n, EntryKind.POINTS, entries.attempt, writer, received_ms, low, high, body))
        seq += n
    return rows


def standing(attempts: Sequence[Attempt]) -> Callable[[Entry], bool]:
    """Whether an entry counts: no later attempt supersedes it, and no later writer had taken over."""
    cuts = Cuts(attempts)
    return lambda entry: entry.kind != EntryKind.SUPERSEDED_BY_WRITER and entry.point.step < cuts.at(entry.seq)


def effective(entries: Iterable[Entry], attempts: Sequence[Attempt]) -> Iterator[Entry]:
    """The entries that no later attempt supersedes, in order; merges are still entries of their own."""
    stands = standing(attempts)
    for entry in entries:
        if entry.kind == EntryKind.CONTEXT or stands(entry):
            yield entry


def combined(entries: Iterable[Entry]) -> dict[Key, Point]:
    """What entries say of each step and rank together."""
    points: dict[Key, Point] = {}
    for entry in entries:
        if entry.kind not in WITHOUT_POINT:
            key = (entry.point.step, entry.point.rank)
            before = points.get(key)
            points[key] = entry.point if before is None else merge(before, entry.point)
    return points
