"""Which records travel together: properties that hold for every order of steps, contexts and ends."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from losswatch.batches import Batch, Record, next_batch, parse

POINTS = st.builds(
    lambda step, names: {"step": step, **dict.fromkeys(names, 1.0)},
    st.integers(0, 6),
    st.sets(st.sampled_from(["loss", "grad_norm", "validation_loss"]), min_size=1),
)
CONTEXTS = st.builds(lambda rate: {"context": {"learning_rate": rate}}, st.integers(1, 3))
ENDS = st.sampled_from([{"finish": "finished"}, {"finish": "failed"}])
RECORDS = st.lists(st.one_of(POINTS, POINTS, POINTS, CONTEXTS, ENDS), max_size=30)


def split(records: list[Record], max_points: int) -> tuple[list[Batch], list[Record]]:
    """All batches, and what waits for more."""
    batches = []
    while (batch := next_batch(records, max_points)) is not None:
        assert batch.used > 0
        batches.append(batch)
        records = records[batch.used :]
    return batches, records


def parsed(values: list[dict[str, Any]]) -> list[Record]:
    return [parse(json.dumps(value).encode()) for value in values]


@given(RECORDS, st.integers(1, 5))
def test_every_point_and_end_travels_once_and_in_order(values: list[dict[str, Any]], max_points: int) -> None:
    batches, waiting = split(parsed(values), max_points)
    sent = [json.loads(line) for batch in batches for line in batch.points or [json.dumps({"finish": batch.finish})]]
    assert sent == [value for value in values if "context" not in value]
    assert all(record.context is not None for record in waiting)


@given(RECORDS, st.integers(1, 5))
def test_the_service_may_sort_a_batch_by_step_without_mixing_anything_up(
    values: list[dict[str, Any]], max_points: int
) -> None:
    for batch in split(parsed(values), max_points)[0]:
        points = [json.loads(line) for line in batch.points]
        assert len(points) <= max_points
        assert points == sorted(points, key=lambda point: point["step"])
        seen: set[tuple[int, str]] = set()
        for point in points:
            fields = {(point["step"], name) for name in point if name != "step"}
            assert seen.isdisjoint(fields)
            seen |= fields


@given(RECORDS)
def test_a_context_holds_for_exactly_the_points_that_follow_it(values: list[dict[str, Any]]) -> None:
    rate = None
    wanted = []
    for value in values:
        rate = value.get("context", {}).get("learning_rate", rate)
        if "step" in value:
            wanted.append(rate)
    rate = None
    got = []
    for batch in split(parsed(values), 5)[0]:
        rate = (batch.context or {}).get("learning_rate", rate)
        got.extend([rate] * len(batch.points))
    assert got == wanted
