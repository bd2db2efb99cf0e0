"""CONTRACT rule 2, case by case and as invariants: a point is counted once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.entries import EntryKind
from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.points.accept import (
    Acceptance,
    PointsRefusedError,
    RunCursor,
    Stored,
    accept,
    in_order,
    needs_record,
    own_attempt,
)
from losswatch_server.runs.points.merge import compare
from losswatch_server.runs.points.writers import newest_of

NAN = float("nan")
NULL_LOSS = Point(5, loss_is_null=True)


class Memory:
    """Everything a run was told, as a record would say it; acceptance asks it only for what it needs."""

    def __init__(self) -> None:
        self.cursor = RunCursor()
        self.next_seq = 0
        self.judged: dict[tuple[int, int], Point] = {}
        self.attempt_of: dict[tuple[int, int], int] = {}
        self.aside: dict[tuple[int, int, int], Point] = {}

    def post(self, points: Sequence[Point], writer: str | None = None) -> Acceptance:
        ordered = in_order(points)
        need = needs_record(self.cursor, ordered, writer)
        stored = Stored({}, {})
        if need is not None:
            known = {key: self.judged[key] for key in need.wanted if key in self.judged}
            own = {}
            if need.superseded_by_writer and writer is not None:
                attempt = own_attempt(self.cursor, writer)
                own = {(step, rank): p for (a, step, rank), p in self.aside.items() if a == attempt}
                own = {key: own[key] for key in need.wanted if key in own}
            stored = Stored(known, own)
        result = accept(self.cursor, stored, ordered, writer, self.next_seq, len(points))
        assert [entry.seq for entry in result.entries] == [self.next_seq + n for n in range(len(result.entries))]
        self.next_seq += len(result.entries)
        for entry in result.entries:
            key = (entry.point.step, entry.point.rank)
            if entry.kind is EntryKind.ATTEMPT:
                assert result.begin == (entry.attempt, entry.point.step, entry.seq)
                for old in [old for old in self.judged if old[0] >= entry.point.step]:
                    self.aside[self.attempt_of[old], *old] = self.judged.pop(old)
            elif entry.kind is EntryKind.SUPERSEDED_BY_WRITER:
                before = self.aside.get((entry.attempt, *key))
                self.aside[entry.attempt, *key] = entry.point if before is None else merge(before, entry.point)
            elif key in self.judged:
                self.judged[key] = merge(self.judged[key], entry.point)
            else:
                self.judged[key] = entry.point
                self.attempt_of[key] = entry.attempt
        self.cursor = result.cursor
        return result


def counts(result: Acceptance) -> tuple[int, int, int, int]:
    return result.accepted, result.duplicates, result.late, result.conflicts


def steps(first: int, last: int, level: float = 1.0) -> list[Point]:
    return [Point(step, loss=level + step) for step in range(first, last + 1)]


@pytest.mark.parametrize(
    ("before", "post", "expected", "attempt"),
    [
        pytest.param([], [Point(0, loss=1.0)], (1, 0, 0, 0), 1, id="the first point"),
        pytest.param(steps(0, 9), [Point(10, loss=1.0)], (1, 0, 0, 0), 1, id="the next point"),
        pytest.param(steps(0, 9), [Point(9, loss=10.0)], (0, 1, 0, 0), 1, id="the last point again"),
        pytest.param(steps(0, 9), steps(0, 9), (0, 10, 0, 0), 1, id="everything again"),
        pytest.param([Point(3, loss=NAN)], [Point(3, loss=NAN)], (0, 1, 0, 0), 1, id="NaN equals NaN"),
        pytest.param([Point(3, loss=NAN)], [Point(3, loss=1.0)], (1, 0, 0, 0), 2, id="a number contradicts NaN"),
        pytest.param([Point(3, loss=1.0)], [Point(3, grad_norm=2.0)], (1, 0, 0, 0), 1, id="a field for the last step"),
        pytest.param(steps(0, 9), [Point(4, validation_loss=2.0)], (0, 0, 1, 0), 1, id="late validation"),
        pytest.param(steps(0, 9), [Point(4, grad_norm=2.0)], (0, 0, 1, 0), 1, id="a late gradient norm"),
        pytest.param(
            [Point(2, loss=1.0), Point(8, loss=1.0)], [Point(4, validation_loss=2.0)], (0, 0, 1, 0), 1,
            id="late validation at a step that was never posted",
        ),
        pytest.param(
            [Point(2, loss=1.0), Point(8, loss=1.0)], [Point(4, loss=2.0)], (1, 0, 0, 0), 2,
            id="a loss at a step that was left out: training stepped back",
        ),
        pytest.param(steps(0, 9), [Point(9, loss=99.0)], (1, 0, 0, 0), 2, id="another loss at the last step"),
        pytest.param(steps(0, 9), [Point(4, loss=99.0)], (1, 0, 0, 0), 2, id="another loss at an older step"),
        pytest.param(
            [Point(3, loss=1.0, epoch=1.0)], [Point(3, loss=1.0, epoch=2.0)], (0, 0, 0, 1), 1,
            id="another field that contradicts: the first stands",
        ),
        pytest.param(
            [Point(3, metrics={"a": 1.0})], [Point(3, metrics={"a": 1.0, "b": 2.0})], (1, 0, 0, 0), 1,
            id="a metric more",
        ),
        pytest.param(
            [Point(3, metrics={"a": 1.0})], [Point(3, metrics={"a": NAN})], (0, 0, 0, 1), 1, id="a metric that differs"
        ),
        pytest.param([Point(5)], [NULL_LOSS], (1, 0, 0, 0), 1, id="an explicit null is more than nothing"),
        pytest.param([NULL_LOSS], [Point(5)], (0, 1, 0, 0), 1, id="nothing adds nothing to an explicit null"),
        pytest.param([NULL_LOSS], [Point(5, loss=1.0)], (1, 0, 0, 0), 1, id="a number takes the place of a null"),
        pytest.param([Point(5, loss=1.0)], [NULL_LOSS], (0, 1, 0, 0), 1, id="a null contradicts no number"),
        pytest.param(
            steps(0, 3), [Point(3, loss=7.0, rank=1), Point(3, loss=8.0, rank=2)], (2, 0, 0, 0), 1,
            id="other ranks have points of their own",
        ),
        pytest.param(
            [Point(3, loss=7.0, rank=1)], [Point(3, loss=8.0, rank=1)], (0, 0, 0, 1), 1,
            id="another rank that contradicts itself begins no attempt",
        ),
        pytest.param(
            [Point(3, loss=7.0, rank=1)], [Point(2, loss=8.0, rank=1)], (0, 0, 1, 0), 1,
            id="another rank that is behind itself begins no attempt",
        ),
    ],
)  # fmt: skip
def test_each_point_is_counted_once(
    before: list[Point], post: list[Point], expected: tuple[int, int, int, int], attempt: int
) -> None:
    run = Memory()
    if before:
        run.post(before)
    result = run.post(post)
    assert counts(result) == expected
    assert result.cursor.attempt == attempt


def test_an_attempt_begins_where_a_batch_first_contradicts() -> None:
    run = Memory()
    run.post(steps(0, 9))
    result = run.post([*steps(5, 6), *steps(7, 12, level=50.0)])
    assert counts(result) == (6, 2, 0, 0)
    assert result.begin is not None
    assert (result.begin.number, result.begin.step) == (2, 7)


def test_two_contradicting_points_in_one_request_are_refused_with_their_place() -> None:
    with pytest.raises(PointsRefusedError) as refused:
        in_order(
            [
                Point(1, loss=1.0),
                Point(2, loss=2.0),
                Point(1, loss=3.0),
                Point(2, metrics={"a": 1.0}),
                Point(2, loss=9.0),
            ]
        )
    assert [(problem.index, problem.field) for problem in refused.value.problems] == [(2, "loss"), (4, "loss")]
    assert "step 1" in refused.value.problems[0].detail


def test_pieces_of_a_point_in_one_request_are_one_point_and_each_is_accepted() -> None:
    run = Memory()
    result = run.post([Point(1, grad_norm=2.0), Point(1, loss=1.0)])
    assert counts(result) == (2, 0, 0, 0)
    assert [entry.point for entry in result.entries] == [Point(1, loss=1.0, grad_norm=2.0)]


def test_an_unsorted_request_is_taken_by_ascending_step() -> None:
    run = Memory()
    result = run.post(steps(0, 9)[::-1])
    assert [entry.point.step for entry in result.entries] == list(range(10))
    assert result.begin is None


def test_a_new_writer_that_starts_at_or_before_the_last_step_begins_an_attempt_even_with_equal_values() -> None:
    run = Memory()
    run.post(steps(0, 9), "first")
    result = run.post(steps(9, 9), "second")
    assert result.begin is not None
    assert counts(result) == (1, 0, 0, 0)


def test_a_new_writer_that_starts_past_the_last_step_continues_the_attempt() -> None:
    run = Memory()
    run.post(steps(0, 9), "first")
    assert run.post(steps(10, 12), "second").begin is None


def test_a_repeated_request_of_a_new_writer_is_a_duplicate() -> None:
    run = Memory()
    run.post(steps(0, 9), "first")
    run.post(steps(5, 7), "second")
    assert counts(run.post(steps(5, 7), "second")) == (0, 3, 0, 0)


def test_a_writer_that_only_validates_begins_no_attempt() -> None:
    run = Memory()
    run.post(steps(0, 9), "trainer")
    result = run.post([Point(5, validation_loss=1.0)], "validator")
    assert result.begin is None
    assert counts(result) == (0, 0, 1, 0)
    assert result.cursor.newest == "trainer"
    assert result.cursor.non_training_writers == {"validator"}


def test_points_of_an_earlier_writer_never_begin_an_attempt() -> None:
    run = Memory()
    run.post([*steps(0, 3), *steps(6, 9)], "first")
    run.post(steps(8, 12, level=50.0), "second")
    gap = run.post(steps(5, 5), "first")
    assert [entry.kind for entry in gap.entries] == [EntryKind.LATE]
    past = run.post(steps(9, 11), "first")
    assert [entry.kind for entry in past.entries] == [EntryKind.SUPERSEDED_BY_WRITER, EntryKind.SUPERSEDED_BY_WRITER]
    assert counts(past) == (0, 1, 2, 0)
    assert counts(run.post(steps(9, 11), "first")) == (0, 3, 0, 0)
    assert run.cursor.attempt == 2


def test_two_writers_alive_at_once_are_known_by_name_but_a_repeat_is_no_sign_of_life() -> None:
    run = Memory()
    run.post(steps(0, 9), "first")
    run.post(steps(5, 7, level=50.0), "second")
    run.post(steps(0, 4), "first")
    assert run.cursor.training_writers["first"].concurrent_with is None
    run.post(steps(10, 10), "first")
    assert run.cursor.training_writers["first"].concurrent_with == "second"


def test_two_writers_of_one_attempt_may_take_turns() -> None:
    run = Memory()
    run.post(steps(0, 1), "first")
    run.post(steps(2, 3), "second")
    result = run.post(steps(4, 5), "first")
    assert [entry.kind for entry in result.entries] == [EntryKind.POINTS, EntryKind.POINTS]
    assert result.begin is None


def test_a_forked_process_that_repeats_its_parents_steps_never_takes_the_run_over() -> None:
    run = Memory()
    run.post(steps(0, 9), "parent")
    child = run.post(steps(5, 12, level=50.0), "parent~child")
    assert child.begin is None
    assert [entry.kind for entry in child.entries] == [EntryKind.SUPERSEDED_BY_WRITER] * 5 + [EntryKind.POINTS] * 3
    own = run.post(steps(10, 14), "parent")
    assert own.begin is not None, "what the child had put there gives way"
    assert [run.judged[step, 0].loss for step in (9, 10, 14)] == [p.loss for p in (*steps(9, 10), *steps(14, 14))]
    later = run.post(steps(13, 20, level=50.0), "parent~child")
    assert {entry.kind for entry in later.entries} == {EntryKind.SUPERSEDED_BY_WRITER}
    assert run.post(steps(15, 15), "parent").begin is None
    assert run.cursor.training_writers["parent~child"].concurrent_with == "parent"


def test_a_forked_process_goes_on_where_its_parent_ended() -> None:
    run = Memory()
    run.post(steps(0, 9), "parent")
    for child in ("parent~first", "parent~second"):
        last = run.cursor.last
        assert last is not None
        result = run.post(steps(last.step + 1, last.step + 5), child)
        assert (counts(result), result.begin) == ((5, 0, 0, 0), None)
    assert {writer.concurrent_with for writer in run.cursor.training_writers.values()} == {None}


def test_a_forked_process_whose_parent_logs_nothing_is_like_any_other() -> None:
    run = Memory()
    run.post(steps(0, 9), "launcher~first")
    assert run.post(steps(5, 7), "launcher~second").begin is not None
    assert run.cursor.newest == "launcher~second"


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), st.booleans()), max_size=12))
def test_what_a_parent_logs_is_the_run_whatever_its_children_log(posts: list[tuple[int, int, bool]]) -> None:
    run, step, told = Memory(), 0, {}
    for first, count, is_parents in posts:
        if is_parents:
            mine = steps(step, step + count - 1)
            step += count
            run.post(mine, "parent")
            told |= {point.step: point for point in mine}
        else:
            run.post(steps(first, first + count - 1, level=50.0), "parent~child")
        assert newest_of(run.cursor.training_writers) == run.cursor.newest
        if "parent" in run.cursor.training_writers:
            assert {step: run.judged.get((step, 0)) for step in told} == told


numbers = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0, NAN, math.inf]))
points = st.builds(
    Point,
    step=st.integers(0, 12),
    loss=numbers,
    grad_norm=numbers,
    validation_loss=numbers,
    metrics=st.one_of(st.none(), st.dictionaries(st.sampled_from("ab"), st.sampled_from([1.0, NAN]), max_size=2)),
    rank=st.sampled_from([0, 0, 0, 1, 2]),
    learning_rate=st.none(),
    epoch=st.none(),
    time=st.none(),
    layers=st.none(),
    loss_is_null=st.just(False),
).map(lambda point: point._replace(loss_is_null=point.loss is None and point.grad_norm == 2.0))
posts = st.lists(
    st.tuples(st.lists(points, min_size=1, max_size=6), st.sampled_from([None, "a", "b", "c", "a~1", "a~2"])),
    max_size=8,
)


@pytest.mark.slow
@given(posts)
def test_every_point_is_in_exactly_one_count_and_repeating_the_last_request_changes_nothing(
    requests: list[tuple[list[Point], str | None]],
) -> None:
    run = Memory()
    for request, writer in requests:
        try:
            result = run.post(request, writer)
        except PointsRefusedError:
            continue
        assert sum(counts(result)) == len(request)
        before = (dict(run.judged), dict(run.aside), run.cursor.attempt)
        again = run.post(request, writer)
        assert not again.entries
        assert (run.judged, run.aside, run.cursor.attempt) == before


@pytest.mark.slow
@given(posts)
def test_the_last_point_of_the_cursor_is_the_merged_one_at_the_highest_step(
    requests: list[tuple[list[Point], str | None]],
) -> None:
    run = Memory()
    for request, writer in requests:
        try:
            run.post(request, writer)
        except PointsRefusedError:
            continue
        mains = [point for point in run.judged.values() if point.rank == 0]
        assert run.cursor.last == max(mains, key=lambda point: point.step, default=None)


@given(points, points)
def test_what_a_point_adds_is_what_merging_adds(first: Point, second: Point) -> None:
    second = second._replace(step=first.step, rank=first.rank)
    added = compare(first, second).added
    assert merge(first, second) == (first if added is None else merge(first, added))
    assert compare(merge(first, second), second).added is None


@given(st.lists(points, min_size=1, max_size=8), st.integers(1, 7))
def test_splitting_a_sorted_request_makes_the_same_entries(request: list[Point], cut: int) -> None:
    try:
        ordered = list(in_order(request))
    except PointsRefusedError:
        return
    whole, parts = Memory(), Memory()
    one = whole.post(ordered)
    two = [entry for part in (ordered[:cut], ordered[cut:]) if part for entry in parts.post(part).entries]
    assert list(one.entries) == two
