"""A leaf of the summaries says the same whether its entries came as columns or one by one."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from losswatch_server.codec.blocks import pack
from losswatch_server.monitor.entries import Entry, EntryKind
from losswatch_server.monitor.points import Point
from losswatch_server.store.entries import read
from losswatch_server.store.names import column_names
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import new_points, seal
from losswatch_server.store.summaries import leaf


def drawn(seed: int, count: int) -> list[Point]:
    """Points of which some lack a value or bring more, and some are not finite."""
    draw = random.Random(seed)
    points = []
    for place in range(count):
        point = Point(3 * place, draw.random(), 1.5 * draw.random())
        if draw.random() < 0.1:
            point = point._replace(validation_loss=draw.random(), epoch=place / 7)
        if draw.random() < 0.1:
            odd = draw.choice([math.nan, math.inf, None])
            point = point._replace(loss=odd, loss_is_null=odd is None and draw.random() < 0.5)
        if draw.random() < 0.1:
            point = point._replace(layers={"a": draw.random()}, metrics={"m": draw.choice([1.0, math.nan])}, time="t")
        points.append(point)
    return points


def sealed(points: Sequence[Point], size: int, kind: EntryKind = EntryKind.POINTS) -> RecordRow:
    rows = []
    for start in range(0, len(points), size):
        some = points[start : start + size]
        rows.append(RecordRow(start, len(some), kind, 2, "w", start, some[0].step, some[-1].step, pack(some)))
    return seal(rows)[0]


@settings(max_examples=settings().max_examples // 4)
@given(st.integers(0, 1 << 30), st.sampled_from([7, 100]))
def test_a_leaf_of_columns_is_that_of_entries(seed: int, size: int) -> None:
    row = sealed(drawn(seed, 300), size)
    columns, entries = new_points(row), list(read((row,)))
    assert columns is not None
    assert repr(list(columns)) == repr(entries)
    assert repr(leaf(columns)) == repr(leaf(entries))
    assert column_names(columns) == column_names(entries)


def test_only_the_next_points_of_one_attempt_are_columns() -> None:
    points = drawn(1, 200)
    assert new_points(sealed(points, 50, EntryKind.LATE)) is None
    row = sealed(points, 50)
    one = RecordRow(200, 1, EntryKind.POINTS, 3, "w", 200, 600, 600, pack([Point(600, 1.0)]))
    assert new_points(one) is None
    (both,) = seal([row, one])
    assert new_points(both) is None
    assert [entry.attempt for entry in read((both,))][-2:] == [2, 3]
    assert isinstance(next(iter(read((both,)))), Entry)
