"""A batch is its points as columns, whoever looks at it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.codec import read_body
from losswatch_server.codec.blocks import pack, unpack
from losswatch_server.codec.bodies import parse_json, read_value
from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.entries import Entry, EntryKind, NewPoints
from losswatch_server.monitor.points import Point
from losswatch_server.runs.points.accept import RunCursor, Stored, accept, needs_record
from losswatch_server.runs.points.merge import in_order
from losswatch_server.runs.record import write

_number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_named = st.none() | st.dictionaries(st.sampled_from(["a", "b", "lr/group 1"]), st.floats(-1e9, 1e9), max_size=3)
_fields: dict[str, st.SearchStrategy[Any]] = {
    "loss": _number,
    "grad_norm": _number,
    "learning_rate": _number,
    "validation_loss": _number,
    "epoch": _number,
    "time": st.none() | st.just("2026-03-01T12:00:00Z"),
    "layers": _named,
    "metrics": _named,
}
_rows = st.lists(
    st.fixed_dictionaries({"step": st.integers(0, 50)}, optional=_fields | {"rank": st.integers(0, 1)}),
    min_size=1,
    max_size=40,
)
_some = st.lists(
    st.builds(Point, step=st.integers(0, 2**53 - 1), rank=st.integers(0, 3), loss_is_null=st.booleans(), **_fields),
    min_size=1,
    max_size=30,
)


@pytest.mark.slow
@given(st.lists(st.tuples(_some, st.booleans()), min_size=1, max_size=5))
def test_parts_are_joined_in_their_order(parts: list[tuple[list[Point], bool]]) -> None:
    joined = Batch.joined(Batch.of(points) if packed else points for points, packed in parts)
    assert list(joined) == [point for points, _ in parts for point in points]


@given(_some, st.data())
def test_a_batch_is_the_list_of_its_points(points: list[Point], data: st.DataObject) -> None:
    batch = Batch.of(points)
    assert list(batch) == points
    assert batch == points
    assert len(batch) == len(points)
    place = data.draw(st.integers(-len(points), len(points) - 1))
    assert batch[place] == points[place]
    assert type(batch[place]) is Point
    low, high = sorted(data.draw(st.tuples(st.integers(0, len(points)), st.integers(0, len(points)))))
    assert list(batch[low:high]) == points[low:high]
    assert Batch.of(batch) is batch


@given(_some)
def test_a_batch_is_packed_as_its_points_are(points: list[Point]) -> None:
    points = [point._replace(layers=point.layers or None, metrics=point.metrics or None) for point in points]
    packed = pack(Batch.of(points))
    assert packed == pack(points)
    assert unpack(packed) == points


@given(_rows)
def test_a_body_is_read_into_the_points_that_the_exact_path_reads(rows: list[dict[str, Any]]) -> None:
    raw = msgspec.json.encode({"points": rows})
    assert list(read_body(raw).points) == list(read_value(parse_json(raw)).points)
    assert read_body(raw) == read_body(json.dumps({"points": rows}).encode())


@given(_rows, st.none() | st.integers(0, 60))
def test_a_batch_is_accepted_as_its_points_are(rows: list[dict[str, Any]], last: int | None) -> None:
    by_step = {row["step"]: Point(**row) for row in rows}
    points = [by_step[step] for step in sorted(by_step)]
    cursor = RunCursor(last=None if last is None else Point(last, 1.0))
    batch = Batch.of(points)
    assert list(in_order(batch)) == list(in_order(points))
    assert needs_record(cursor, batch, None) == needs_record(cursor, points, None)
    one, other = (accept(cursor, Stored({}, {}), some, None, 7, len(points)) for some in (points, batch))
    assert list(one.entries) == list(other.entries)
    assert one._replace(entries=()) == other._replace(entries=())
    assert write(list(one.entries), None, 5) == write(other.entries, None, 5)


def test_new_points_are_entries_with_consecutive_numbers() -> None:
    points = [Point(step, 1.0) for step in range(5)]
    entries = NewPoints(10, 2, Batch.of(points))
    listed = [Entry(10 + i, EntryKind.POINTS, 2, point) for i, point in enumerate(points)]
    assert list(entries) == listed
    assert entries[-1] == listed[-1]
    assert list(entries[1:4]) == listed[1:4]
