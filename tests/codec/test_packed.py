"""Packed points are the points, and what a request must know of them is known without a look at them."""

from __future__ import annotations

import pickle
import random

import pytest

from losswatch_server.codec import BodyRefusedError, packed
from losswatch_server.codec.bodies import LEAST_COLUMNS
from losswatch_server.codec.packed import BLOCK, PackedBatch, blocks_of, packed_body
from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.points import Point


def points(count: int, ranks: int = 1) -> list[Point]:
    draw = random.Random(count)
    return [
        Point(
            step,
            loss=None if step % 5 == 4 else draw.random(),
            grad_norm=draw.random() if step % 3 else float("inf"),
            metrics={"acc": draw.random()} if step % 11 == 0 else None,
            rank=step % ranks,
        )
        for step in range(count)
    ]


@pytest.mark.parametrize("count", [LEAST_COLUMNS, BLOCK, BLOCK + 1, 2 * BLOCK + 500])
@pytest.mark.parametrize("ranks", [1, 3])
def test_packed_points_are_the_points(count: int, ranks: int) -> None:
    whole = points(count, ranks)
    there = pickle.loads(pickle.dumps(PackedBatch.packed(Batch.of(whole))))
    assert list(there) == whole
    assert len(there) == count
    assert (there[0], there[-1], there[count // 2]) == (whole[0], whole[-1], whole[count // 2])
    draw = random.Random(count)
    for _ in range(50):
        begun, past = draw.randint(-count - 5, count + 5), draw.randint(-count - 5, count + 5)
        assert list(there[begun:past]) == whole[begun:past]
    assert list(there[::-7]) == whole[::-7]
    assert (there.of_rank_0, there.is_of_rank_0, there.ascends) == (
        count if ranks == 1 else -(-count // 3),
        ranks == 1,
        True,
    )
    assert list(there.steps) == list(range(count))
    with pytest.raises(AttributeError):
        there.colums  # noqa: B018


def test_what_goes_on_is_known_without_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    there = PackedBatch.packed(Batch.of(points(3 * BLOCK)))
    monkeypatch.setattr(packed, "unpack", None)
    assert (there[0].step, there[-1].step, len(there), there.is_of_rank_0, there.ascends) == (0, 2999, 3000, True, True)


@pytest.mark.parametrize("count", [1, BLOCK, 2 * BLOCK + 500])
def test_blocks_are_those_of_the_points(count: int) -> None:
    whole = Batch.of(points(count))
    assert list(blocks_of(PackedBatch.packed(whole))) == list(blocks_of(whole))


def test_a_body_is_refused_as_elsewhere() -> None:
    raw = b'{"points":[' + b",".join(b'{"step":%d,"loss":1}' % step for step in range(100)) + b',{"step":-1}]}'
    with pytest.raises(BodyRefusedError) as refused:
        packed_body(raw)
    assert refused.value.problems[0].pointer == "/points/100/step"
