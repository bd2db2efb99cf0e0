"""Sealed blocks: many small record rows as one compressed row, with every sequence number and receive time kept.

Numbers of 8 bytes are split into byte planes: the planes of signs, exponents and steady counters repeat and deflate
well, the planes of mantissa noise do not and are kept as they are (deflating all of them together costs 0.6 bytes a
point more: 14.5 instead of 13.9 for a noisy loss and gradient norm of 16 bytes).
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from losswatch_server.codec.blocks import Section, count, read_sections, sections, unpack
from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.entries import EntryKind, NewPoints
from losswatch_server.monitor.points import Point
from losswatch_server.store.damage import note_block
from losswatch_server.store.rows import RecordRow

FORMAT = 1
TARGET_BYTES = 4 * 4092 + 640
"""A full block: four overflow pages of 4 KiB (4092 bytes each), and 489 to 1002 bytes that SQLite keeps of the row in
its leaf page: a row that misses this range by a byte pays for a page it does not use."""
_SLACK = 200
FULL_BYTES = TARGET_BYTES - _SLACK
"""A sealed row of this size stays as it is."""
_TRIES = 4
_SMALL = 8
"""Points of a part below which objects are cut faster than columns."""
_AT_ONCE = 4096
_GUESS = 1260
"""Points that a full block usually holds, of loss and gradient norm: the first try, so that there are few."""
SEAL_POINTS = 3600
"""Unsealed points at which sealing is worth while: nearly three full blocks. What does not fill one is sealed again
the next time, so that sealing at every 1200 points did most of its work twice."""

_HEAD = struct.Struct("<BIIH")
_PLANE_HEAD = struct.Struct("<BI")
_RAW, _DEFLATED = 0, 1


def seal(rows: Sequence[RecordRow]) -> list[RecordRow]:
    """Sealed rows for ``rows`` (adjacent, points in them, sealed or not): full ones sized to whole pages, and the rest.

    A row may be cut in two: its points keep their sequence numbers and receive time.
    """
    found = [opened(row) for row in rows]
    damaged = next((place for place, parts_of_row in enumerate(found) if not parts_of_row), None)
    if damaged is not None:  # it stays as it is: somebody may be able to read it some day
        before, after = rows[:damaged], rows[damaged + 1 :]
        return [*(seal(before) if before else ()), rows[damaged], *(seal(after) if after else ())]
    parts = [part for parts_of_row in found for part, _ in parts_of_row]
    points = Batch.joined(mine for parts_of_row in found for _, mine in parts_of_row)
    sealed = []
    guess = _GUESS
    while parts:
        first, rest = _cut(parts, points, guess)
        here = points[: sum(part.n for part in first)]
        body = _body(first, here)
        for _ in range(_TRIES):
            if len(body) <= TARGET_BYTES + _SLACK and (not rest or len(body) >= FULL_BYTES):
                break
            first, rest = _cut(parts, points, min(_AT_ONCE, len(here) * TARGET_BYTES // len(body)))
            here = points[: sum(part.n for part in first)]
            body = _body(first, here)
        parts, points, guess = rest, points[len(here) :], len(here)
        sealed.append(
            RecordRow(
                seq=first[0].seq,
                n=len(here),
                kind=EntryKind.SEALED,
                attempt=first[-1].attempt,
                writer=None,
                received_ms=first[-1].received_ms,
                first_step=min(part.first_step for part in first),
                last_step=max(part.last_step for part in first),
                body=body,
            )
        )
    return sealed


def seal_all(raw: bytes, rows: Sequence[RecordRow]) -> list[RecordRow]:
    """``seal``, for another process."""
    return seal(rows)


def is_full(row: RecordRow) -> bool:
    """Whether a sealed row has the size at which it stays as it is."""
    return row.kind == EntryKind.SEALED and len(row.body) >= FULL_BYTES


def opened(row: RecordRow) -> list[tuple[RecordRow, Sequence[Point]]]:
    """The rows that ``row`` was sealed from, without their bodies, each with its points; itself if it is not sealed.

    Nothing where its block is damaged.
    """
    if row.kind != EntryKind.SEALED:
        points = row_points(row)
        return [(row, points)] if points else []
    parts, points = _read_or_nothing(row)
    if len(parts) > 1 and len(points) < _SMALL * len(parts):
        points = list(points)
    result = []
    start = 0
    seq = row.seq
    for n, kind, attempt, writer, received_ms in parts:
        mine = points[start : start + n]
        steps = mine.steps if isinstance(mine, Batch) else [point.step for point in mine]
        part = RecordRow(seq, n, EntryKind(kind), attempt, writer, received_ms, min(steps), max(steps), b"")
        result.append((part, mine))
        start += n
        seq += n
    return result


def row_points(row: RecordRow) -> Sequence[Point]:
    """The points of a row, sealed or not, in the order of the record; none where its block is damaged."""
    return _read_or_nothing(row)[1]


def new_points(row: RecordRow) -> NewPoints | None:
    """The entries of a sealed row as columns, where each is the next point of one attempt; None for any other row."""
    if row.kind != EntryKind.SEALED:
        return None
    parts, points = _read_or_nothing(row)
    if any(kind != EntryKind.POINTS or attempt != row.attempt for _, kind, attempt, _, _ in parts):
        return None
    return NewPoints(row.seq, row.attempt, Batch.of(points)) if parts else None


def shape(kind: EntryKind, body: bytes) -> tuple[int, int, int] | None:
    """How many points a block has, its first and its last step, as its row should say; None where it is damaged."""
    try:
        if kind != EntryKind.SEALED:
            points = unpack(body)
            return len(points), points[0].step, points[-1].step
        steps = _read_body(body, None)[1].steps
        return len(steps), min(steps), max(steps)
    except Exception:  # noqa: BLE001 - as below
        return None


def _cut(parts: Sequence[RecordRow], points: Batch, wanted: int) -> tuple[list[RecordRow], list[RecordRow]]:
    """``parts`` with the first ``wanted`` points (at least one), and the others."""
    first: list[RecordRow] = []
    start = 0
    for index, part in enumerate(parts):
        left = max(1, wanted) - start
        if left <= 0:
            return first, list(parts[index:])
        if left < part.n:
            cut = start + left
            first.append(_resized(part, part.seq, points[start:cut]))
            rest = _resized(part, part.seq + left, points[cut : start + part.n])
            return first, [rest, *parts[index + 1 :]]
        first.append(part)
        start += part.n
    return first, []


def _resized(part: RecordRow, seq: int, points: Batch) -> RecordRow:
    steps = points.steps
    return part._replace(seq=seq, n=len(points), first_step=min(steps), last_step=max(steps))


def _body(parts: Sequence[RecordRow], points: Batch) -> bytes:
    writers = sorted({part.writer for part in parts if part.writer is not None})
    number = {writer: index + 1 for index, writer in enumerate(writers)}
    times = [part.received_ms for part in parts]
    gaps = [times[0], *(after - before for before, after in pairwise(times))]
    columns = (
        [part.n for part in parts],
        [part.kind for part in parts],
        [part.attempt for part in parts],
        [0 if part.writer is None else number[part.writer] for part in parts],
        gaps,
    )
    point_head, point_sections = sections(points)
    names = json.dumps(writers).encode()
    numbers = [(8, struct.pack(f"<{len(parts)}q", *column)) for column in columns]
    head = _HEAD.pack(FORMAT, len(parts), len(names), len(point_head))
    return b"".join([head, names, point_head, *map(_deflate, numbers + point_sections)])


def _deflate(section: Section) -> bytes:
    size, data = section
    planes = [data] if size == 1 else [plane.tobytes() for plane in np.frombuffer(data, np.uint8).reshape(-1, size).T]
    parts = []
    for plane in planes:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        small = packer.compress(plane) + packer.flush()
        if len(small) < len(plane):
            parts.append(_PLANE_HEAD.pack(_DEFLATED, len(small)) + small)
        else:
            parts.append(_PLANE_HEAD.pack(_RAW, len(plane)) + plane)
    return b"".join(parts)


Part = tuple[int, int, int, str | None, int]
"""Points, kind, attempt, writer, receive time in milliseconds: one row before sealing."""


def _read_or_nothing(row: RecordRow) -> tuple[list[Part], Sequence[Point]]:
    """The parts and points of a block, or none and a note of the damage: one block is no reason to lose the run."""
    parts: list[Part]
    points: Sequence[Point]
    try:
        parts, points = (
            _read_body(row.body, row.n) if row.kind == EntryKind.SEALED else ([], unpack(_sized(row.body, row.n)))
        )
        if len(points) != row.n:
            raise ValueError(f"{len(points)} of {row.n} points")
        if parts and sum(part[0] for part in parts) != row.n:
            raise ValueError("parts that do not add up")
        for part in parts:
            EntryKind(part[1])
    except Exception as error:  # noqa: BLE001 - what damaged bytes make of struct, zlib, json and numpy has no bound
        note_block(row, error)
        return [], []
    return parts, points


def _read_body(body: bytes, n: int | None) -> tuple[list[Part], Batch]:
    """The parts and points of a sealed block; of ``n`` points, where that is known."""
    version, count, names_bytes, head_bytes = _HEAD.unpack_from(body)
    if version != FORMAT:
        raise ValueError(f"a sealed block of format {version}; this version reads format {FORMAT}")
    offset = _HEAD.size
    names: list[str] = json.loads(body[offset : offset + names_bytes])
    offset += names_bytes
    point_head = body[offset : offset + head_bytes]
    offset += head_bytes

    def plane() -> bytes:
        nonlocal offset
        kind, length = _PLANE_HEAD.unpack_from(body, offset)
        offset += _PLANE_HEAD.size + length
        data = body[offset - length : offset]
        return zlib.decompress(data, -15) if kind == _DEFLATED else data

    def take(size: int, items: int) -> bytes:
        if size == 1:
            return plane()
        planes = b"".join([plane() for _ in range(size)])
        return np.frombuffer(planes, np.uint8).reshape(size, items).T.tobytes()

    ns, kinds, attempts, writers, gaps = (struct.unpack(f"<{count}q", take(8, count)) for _ in range(5))
    writer_names: list[str | None] = [None, *names]
    parts = list(zip(ns, kinds, attempts, [writer_names[index] for index in writers], accumulate(gaps), strict=True))
    return parts, read_sections(_sized(point_head, sum(ns) if n is None else n), take)


def _sized(block: bytes, n: int) -> bytes:
    """A block that says it holds so many points. Before that is known, what it says may be any number to allocate."""
    if count(block) != n:
        raise ValueError(f"{count(block)} points instead of {n}")
    return block
