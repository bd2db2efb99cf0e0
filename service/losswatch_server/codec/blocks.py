"""The packed form of points: columns of float64 with a presence mask, one block for the points of a request.

Layout, little-endian: ``u8 format, u16 presence, u32 n``, then the columns that are there. ``presence`` holds two
bits for each series of SERIES (0 absent, 1 at every point, 2 at some: one byte per point says which), then one bit
each for explicit steps (else first step and stride), ranks, explicit null losses, and the rest (time, layers,
metrics). A NaN is a value of its column; an explicit null loss is a mark beside it; an absent loss is neither.
A sealed block is made of the same columns, 8-byte numbers split into byte planes (see sealing.py).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence

from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.points import Point

FORMAT = 1
_HEAD = struct.Struct("<BHI")
_STRIDE = struct.Struct("<qq")
_LENGTH = struct.Struct("<I")
_ONE = [struct.Struct(f"<BHIqq{count}d") for count in range(6)]
_NO_MORE = (None, None, None, 0, False)
_SERIES_FIELDS = slice(1, 6)
_STEPS, _RANKS, _NULLS, _REST = 1 << 10, 1 << 11, 1 << 12, 1 << 13

Section = tuple[int, bytes]
"""The size of one item in bytes (8: float64 or int64, 1: plain bytes) and the items."""


def pack(points: Sequence[Point]) -> bytes:
    """The block of ``points`` (at least one), in their order; ``unpack`` gives them back exactly."""
    if len(points) == 1 and points[0][6:] == _NO_MORE:
        return _pack_one(points[0])
    head, parts = sections(points)
    return head + b"".join([data for _, data in parts])


def _pack_one(point: Point) -> bytes:
    """The block of one point that brings series alone: what ``sections`` would make of it, without the columns."""
    presence = 0
    values = []
    series = (point.loss, point.grad_norm, point.learning_rate, point.validation_loss, point.epoch)
    for index, value in enumerate(series):
        if value is not None:
            presence |= 1 << 2 * index
            values.append(value)
    return _ONE[len(values)].pack(FORMAT, presence, 1, point.step, 0, *values)


def sections(points: Sequence[Point]) -> tuple[bytes, list[Section]]:
    """The head of the block and its columns, for ``pack`` to join and for sealing to compress one by one."""
    n = len(points)
    columns = Batch.of(points).columns
    presence = 0
    parts: list[Section] = []
    steps: Sequence[int] = columns[0]
    stride = steps[1] - steps[0] if n > 1 else 0
    if n <= 2 or (stride and list(steps) == list(range(steps[0], steps[0] + stride * n, stride))):
        parts.append((8, _STRIDE.pack(steps[0], stride)))
    else:
        presence |= _STEPS
        parts.append((8, struct.pack(f"<{n}q", *steps)))
    for index, column in enumerate(columns[_SERIES_FIELDS]):
        missing = column.count(None)
        if not missing:
            presence |= 1 << 2 * index
            parts.append((8, struct.pack(f"<{n}d", *column)))
        elif missing < n:
            given = [value for value in column if value is not None]
            presence |= 2 << 2 * index
            parts.append((1, bytes([value is not None for value in column])))
            parts.append((8, struct.pack(f"<{len(given)}d", *given)))
    times, layers, metrics, ranks, nulls = columns[6:]
    if any(ranks):
        presence |= _RANKS
        parts.append((8, struct.pack(f"<{n}q", *ranks)))
    if any(nulls):
        presence |= _NULLS
        parts.append((1, bytes(nulls)))
    if any(times) or layers.count(None) < n or metrics.count(None) < n:
        presence |= _REST
        for text in (_texts(times), *_maps(layers), *_maps(metrics)):
            parts.append((1, _LENGTH.pack(len(text[1]))))
            parts.append(text)
    return _HEAD.pack(FORMAT, presence, n), parts


def unpack(data: bytes) -> Sequence[Point]:
    """The points of a block, exactly as they were packed. Raises ValueError for an unknown format."""
    version, presence, n = _HEAD.unpack_from(data)
    if n == 1 and version == FORMAT and presence < _STEPS:
        return [_unpack_one(data, presence)]
    offset = _HEAD.size

    def take(size: int, count: int) -> bytes:
        nonlocal offset
        start, offset = offset, offset + size * count
        return data[start:offset]

    return read_sections(data[:offset], take)


def count(head: bytes) -> int:
    """How many points a block says it holds."""
    n: int = _HEAD.unpack_from(head)[2]
    return n


def _unpack_one(data: bytes, presence: int) -> Point:
    """What ``_pack_one`` packed. Most rows that are not sealed yet are such blocks."""
    step, _, *values = _ONE[(len(data) - _ONE[0].size) // 8].unpack(data)[3:]
    given = iter(values)
    series = [next(given) if presence >> 2 * index & 3 else None for index in range(5)]
    return Point._make((step, *series, *_NO_MORE))


def read_sections(head: bytes, take: Callable[[int, int], bytes]) -> Batch:
    """The points of a head and its columns, where ``take(size, count)`` gives the next column's bytes."""
    version, presence, n = _HEAD.unpack(head)
    if version != FORMAT:
        raise ValueError(f"a block of format {version}; this version reads format {FORMAT}")
    steps: Sequence[int]
    if presence & _STEPS:
        steps = struct.unpack(f"<{n}q", take(8, n))
    else:
        first, stride = _STRIDE.unpack(take(8, 2))
        steps = range(first, first + stride * n, stride) if stride else (first,) * n
    series = [_read_series(presence >> 2 * index & 3, n, take) for index in range(5)]
    ranks = struct.unpack(f"<{n}q", take(8, n)) if presence & _RANKS else (0,) * n
    nulls = [value == 1 for value in take(1, n)] if presence & _NULLS else (False,) * n
    times: Sequence[str | None] = (None,) * n
    layers: Sequence[Mapping[str, float] | None] = (None,) * n
    metrics: Sequence[Mapping[str, float] | None] = (None,) * n
    if presence & _REST:

        def text() -> bytes:
            return take(1, _LENGTH.unpack(take(1, 4))[0])

        def numbers() -> bytes:
            return take(8, _LENGTH.unpack(take(1, 4))[0] // 8)

        times = json.loads(text() or b"null") or times
        layers = _read_maps(text(), numbers(), n)
        metrics = _read_maps(text(), numbers(), n)
    return Batch((steps, *series, times, layers, metrics, ranks, nulls))


def _read_series(code: int, n: int, take: Callable[[int, int], bytes]) -> Sequence[float | None]:
    if code == 0:
        return (None,) * n
    if code == 1:
        return struct.unpack(f"<{n}d", take(8, n))
    mask = take(1, n)
    count = sum(mask)
    values = iter(struct.unpack(f"<{count}d", take(8, count)))
    return [next(values) if given else None for given in mask]


def _texts(column: Sequence[str | None]) -> Section:
    return 1, json.dumps(column).encode() if any(text is not None for text in column) else b""


def _maps(column: Sequence[Mapping[str, float] | None]) -> tuple[Section, Section]:
    """Names once per distinct set of names, and the numbers of all maps in a row."""
    if column.count(None) == len(column):
        return (1, b""), (8, b"")
    numbers_of: dict[tuple[str, ...], int] = {}
    which: list[int] = []
    numbers: list[float] = []
    for value in column:
        if value is None:
            which.append(-1)
        else:
            which.append(numbers_of.setdefault(tuple(value), len(numbers_of)))
            numbers.extend(value.values())
    text = json.dumps([list(numbers_of), which], separators=(",", ":")).encode()
    return (1, text), (8, struct.pack(f"<{len(numbers)}d", *numbers))


def _read_maps(text: bytes, numbers: bytes, n: int) -> Sequence[Mapping[str, float] | None]:
    if not text:
        return (None,) * n
    names: list[list[str]]
    names, which = json.loads(text)
    values = iter(struct.unpack(f"<{len(numbers) // 8}d", numbers))
    return [None if index < 0 else {name: next(values) for name in names[index]} for index in which]
