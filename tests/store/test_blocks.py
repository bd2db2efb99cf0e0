"""A block gives back exactly what was packed, whatever was measured."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losswatch_server.codec.blocks import pack, unpack
from losswatch_server.monitor.entries import EntryKind
from losswatch_server.monitor.points import MAX_STEP, Point
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import opened, row_points, seal

numbers = st.one_of(st.none(), st.floats())
names = st.dictionaries(st.text(max_size=5), st.floats(), max_size=3)
points = st.builds(
    Point,
    step=st.integers(0, MAX_STEP),
    loss=numbers,
    grad_norm=numbers,
    learning_rate=numbers,
    validation_loss=numbers,
    epoch=numbers,
    time=st.one_of(st.none(), st.just("2026-11-21T13:00:00.123456+00:00")),
    layers=st.one_of(st.none(), names),
    metrics=st.one_of(st.none(), names),
    rank=st.integers(0, 2**31),
    loss_is_null=st.booleans(),
)


def bits(point: Point) -> Any:
    """A point for comparing to the last bit: NaN is itself, and -0.0 is not 0.0."""

    def one(value: Any) -> Any:
        if isinstance(value, float):
            return struct.pack("<d", value)
        if isinstance(value, dict):
            return [(name, struct.pack("<d", number)) for name, number in value.items()]
        return value

    return tuple(one(value) for value in point)


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(points, min_size=1, max_size=20))
def test_a_block_gives_back_every_bit(batch: list[Point]) -> None:
    assert list(map(bits, unpack(pack(batch)))) == list(map(bits, batch))


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 2)
@given(
    st.lists(
        st.tuples(
            st.lists(points, min_size=1, max_size=5),
            st.sampled_from([EntryKind.POINTS, EntryKind.MERGE, EntryKind.LATE, EntryKind.SUPERSEDED_BY_WRITER]),
            st.integers(1, 3),
            st.one_of(st.none(), st.text(max_size=5)),
            st.integers(0, 2**45),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_sealing_keeps_every_point_with_its_place_attempt_writer_and_receive_time(parts: list[Any]) -> None:
    rows, seq = [], 7
    for batch, kind, attempt, writer, received in parts:
        low, high = min(p.step for p in batch), max(p.step for p in batch)
        rows.append(RecordRow(seq, len(batch), kind, attempt, writer, received, low, high, pack(batch)))
        seq += len(batch)
    sealed = [block for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]) if half for block in seal(half)]
    again = seal(sealed)
    assert [row._replace(body=b"") for block in again for row, _ in opened(block)] == [
        r._replace(body=b"") for r in rows
    ]
    assert [bits(p) for block in again for p in row_points(block)] == [bits(p) for batch, *_ in parts for p in batch]


def test_absent_null_and_nan_are_three_things() -> None:
    absent, null, nan = Point(1), Point(1, loss_is_null=True), Point(1, loss=math.nan)
    assert len({bits(unpack(pack([point]))[0]) for point in (absent, null, nan)}) == 3


def test_a_block_of_another_format_is_refused() -> None:
    data = bytearray(pack([Point(1, loss=1.0)]))
    data[0] = 9
    with pytest.raises(ValueError, match="format 9"):
        unpack(bytes(data))


def test_one_point_takes_few_bytes() -> None:
    assert len(pack([Point(1, loss=1.0, grad_norm=2.0)])) == 7 + 16 + 16
