"""However long a run is, reading a part of it opens a part of it; and what is read is what the whole record says."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import product

import pytest

from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.runs import StoredPoint, series
from losswatch_server.store import sealing, summary_tree
from runs.record_as_told import chosen, whole_series

NAN = math.nan


@pytest.fixture
def small_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Summaries of a few entries each, so that a short run has a deep tree."""
    monkeypatch.setattr(summary_tree, "LEAF", 8)
    monkeypatch.setattr(summary_tree, "AT_ONCE", 40)
    monkeypatch.setattr(summary_tree, "FULL_BYTES", 0)


class Opened:
    """Counts the sealed rows that are unpacked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        real = sealing._read_body

        def counting(body: bytes, n: int | None) -> object:
            self.rows += 1
            return real(body, n)

        monkeypatch.setattr(sealing, "_read_body", counting)

    def during(self, work: object, *arguments: object, **named: object) -> int:
        """How many rows ``work`` unpacked."""
        before = self.rows
        work(*arguments, **named)
        return self.rows - before


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def falling(first: int, count: int, seed: int = 0) -> list[Point]:
    draw = random.Random(seed)
    return [
        Point(step, loss=2 * math.exp(-step / 9000) * math.exp(0.1 * draw.gauss(0, 1)), grad_norm=1.0)
        for step in range(first, first + count)
    ]


def seal(house: House, name: str = "run") -> None:
    (uid,) = house.sql("SELECT uid FROM run_name WHERE name = ?", name)[0]
    house.do(house.store.seal("default", uid))


def a_random_story(house: House, seed: int, posts: int) -> None:
    """Requests of a few writers and ranks, forwards and back, with late fields, gaps, contexts, seals and restarts."""
    draw = random.Random(seed)
    writers: list[str | None] = [None] if draw.random() < 0.5 else ["a", "b", "c"]
    at, stride = 0, draw.choice([1, 1, 7])
    for number in range(posts):
        what = draw.random()
        if what < 0.15:
            at = draw.randrange(at + 1)
        if what < 0.65:
            loss = lambda: draw.choice([NAN, math.inf, *[draw.random()] * 20])  # noqa: E731
            points = [Point(at + n * stride, loss=loss(), metrics={"m": n}) for n in range(draw.randrange(1, 30))]
            at = points[-1].step + stride
        elif what < 0.8:
            points = [Point(draw.randrange(at + 1), validation_loss=draw.random()) for _ in range(draw.randrange(1, 5))]
            points = list({point.step: point for point in points}.values())
        elif what < 0.95:
            rank, first = draw.randrange(1, 4), draw.randrange(at + 1)
            points = [Point(first + n, loss=draw.random(), rank=rank) for n in range(draw.randrange(1, 9))]
        else:
            points = [Point(at - stride, grad_norm=draw.random())] if at >= stride else []
        context = Context(batch_size=number) if draw.random() < 0.1 else None
        house.record(points, context, draw.choice(writers))
        if draw.random() < 0.2:
            seal(house)
        if draw.random() < 0.05:
            house.restart()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("small_leaves")
def test_the_series_walked_a_few_points_at_a_time_are_what_the_whole_record_says(house: House, seed: int) -> None:
    a_random_story(house, seed, posts=30)
    whole, draw = whole_series(house), random.Random(seed)
    expected = list(map(repr, whole))
    assert house.sql("SELECT count(*) FROM summary")[0][0] > 0
    assert list(map(repr, house.stored())) == expected
    for attempt in (None, 1, 2, 3):
        low, high = draw.randrange(80), draw.randrange(200)
        part = house.stored(from_step=low, to_step=high, attempt=attempt)
        assert list(map(repr, part)) == list(map(repr, chosen(whole, low, high, attempt)))
    assert list(map(repr, in_pages(house, draw.randrange(3, 30)))) == expected


def in_pages(house: House, limit: int) -> Iterator[object]:
    cursor = None
    while True:
        points, cursor = house.do(house.runs.points("default", "run", limit=limit, cursor=cursor))
        assert len(points) <= limit
        yield from points
        if cursor is None:
            return


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("resolution", [2, 50])
@pytest.mark.usefixtures("small_leaves")
def test_a_picture_from_summaries_shows_every_extreme_and_every_number_that_is_not_finite(
    house: House, monkeypatch: pytest.MonkeyPatch, seed: int, resolution: int
) -> None:
    monkeypatch.setattr(series, "EXACT", 0)
    a_random_story(house, seed, posts=30)
    whole, drawn = whole_series(house), house.stored(resolution=resolution)
    for superseded, name in product((False, True), ("loss", "grad_norm", "validation_loss")):
        there = finite(whole, name, superseded)
        if there:
            found = finite(drawn, name, superseded)
            assert (min(found), max(found)) == (min(there), max(there))
    values = {(p.attempt, p.point.step, p.point.rank, p.superseded): p.point for p in whole}
    for stored in drawn:
        real = values.get((stored.attempt, stored.point.step, stored.point.rank, stored.superseded))
        for one, other in zip(stored.point[1:6], real[1:6] if real else (), strict=False):
            assert one is None or one == other or one != one
    assert {at(p) for p in whole if not_finite(p)} <= {at(p) for p in drawn}


def finite(points: list[StoredPoint], name: str, superseded: bool) -> list[float]:
    values = [getattr(p.point, name) for p in points if p.superseded is superseded]
    return [value for value in values if value is not None and math.isfinite(value)]


def not_finite(stored: StoredPoint) -> bool:
    return stored.point.loss is not None and not math.isfinite(stored.point.loss)


def at(stored: StoredPoint) -> tuple[int, int]:
    return stored.point.step, stored.point.rank


@pytest.mark.slow
def test_of_an_unbroken_row_of_numbers_that_are_not_finite_the_ends_are_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [p._replace(loss=NAN) if 5000 <= p.step < 15_000 else p for p in falling(0, 20_000)]
    house.record(points)
    house.do(house.runs.close())
    monkeypatch.setattr(series, "EXACT", 0)
    bad = [p.point.step for p in house.stored(resolution=20) if not_finite(p)]
    assert {5000, 5001, 14_998, 14_999} <= set(bad)
    assert all(5000 <= step < 15_000 for step in bad)
    assert len(bad) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("sealed", [True, False])
def test_a_picture_reaches_the_last_step_though_old_steps_got_more_after_it(
    house: House, monkeypatch: pytest.MonkeyPatch, sealed: bool
) -> None:
    house.record(falling(0, 5000))
    house.record([Point(step, validation_loss=1.0) for step in (40, 100, 2000)])
    if sealed:
        seal(house)
    monkeypatch.setattr(series, "EXACT", 0)
    drawn = [p.point for p in house.stored(resolution=20)]
    assert (drawn[0].step, drawn[-1].step) == (0, 4999)
    assert drawn[-1].loss is not None


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """50,000 points, sealed and summed up."""
    house = House(tmp_path_factory.mktemp("long"))
    points = falling(0, 50_000)
    points[31_234] = points[31_234]._replace(loss=NAN)
    points[17_777] = points[17_777]._replace(loss=99.0)
    for start in range(0, 50_000, 10_000):
        house.record(points[start : start + 10_000], writer="w")
    seal(house)
    house.do(house.runs.close())
    yield house
    house.close()


@pytest.mark.slow
def test_a_duplicate_of_an_old_step_opens_one_block(long_run: House, opened: Opened) -> None:
    for step in (0, 25_000, 44_000):
        point = falling(0, 50_000)[step]
        assert opened.during(long_run.record, [point], writer="w") <= 2
        assert long_run.record([point], writer="w").duplicates == 1


def test_a_late_validation_opens_one_block_for_each_step(long_run: House, opened: Opened) -> None:
    points = [Point(step, validation_loss=1.0) for step in (100, 20_000, 40_000)]
    assert opened.during(long_run.record, points, writer="evaluation") <= 6


def test_a_picture_of_a_long_run_opens_no_block_and_has_its_extremes(long_run: House, opened: Opened) -> None:
    assert opened.during(long_run.stored, resolution=200) <= 4
    drawn = {stored.point.step for stored in long_run.stored(resolution=200)}
    assert {0, 17_777, 31_234, 49_999} <= drawn
    assert 100 <= len(drawn) <= 1000
    near = [stored.point.step for stored in long_run.stored(from_step=17_000, to_step=18_000, resolution=200)]
    assert sum(17_000 <= step <= 18_000 for step in near) == len(near) > 100


def test_a_page_opens_the_blocks_that_hold_it(long_run: House, opened: Opened) -> None:
    assert opened.during(long_run.do, long_run.runs.points("default", "run", from_step=30_000, limit=100)) <= 4


def test_what_comes_while_one_turns_the_pages_moves_nothing(house: House) -> None:
    house.record(falling(0, 500), writer="w")
    first, cursor = house.do(house.runs.points("default", "run", limit=200))
    house.record(falling(500, 500), writer="w")
    house.record([Point(10, validation_loss=1.0), Point(300, validation_loss=1.0)], writer="e")
    second, _ = house.do(house.runs.points("default", "run", limit=200, cursor=cursor))
    assert [stored.point.step for stored in first + second] == list(range(400))


def test_a_cursor_of_another_run_is_refused(house: House) -> None:
    house.record(falling(0, 50), name="one")
    house.record(falling(0, 50), name="two")
    _, cursor = house.do(house.runs.points("default", "one", limit=20))
    with pytest.raises(ValueError, match="cursor"):
        house.do(house.runs.points("default", "two", limit=20, cursor=cursor))


@pytest.mark.slow
def test_stepping_back_to_the_start_of_a_long_run_opens_next_to_nothing_of_it(house: House, opened: Opened) -> None:
    for start in range(0, 30_000, 10_000):
        house.record(falling(start, 10_000), Context(batch_size=8), writer="first")
    house.do(house.runs.close())
    assert opened.during(house.record, falling(0, 50, seed=1), writer="second") <= 4
    recorded = house.record(falling(50, 1), writer="second")
    assert (recorded.attempt, recorded.run.points) == (2, 51)
    report = house.report_bytes()
    house.sql("DELETE FROM snapshot")
    house.restart()
    assert house.report_bytes() == report


@pytest.mark.slow
def test_a_run_that_an_older_version_kept_is_summed_up_when_it_is_first_drawn(house: House) -> None:
    for start in range(0, 40_000, 10_000):
        house.record(falling(start, 10_000), writer="w")
    seal(house)
    house.do(house.runs.close())
    before = house.stored(resolution=100)
    for table in ("summary", "rank_tail", "series_name"):
        house.sql(f"DELETE FROM {table}")
    house.restart()
    assert house.stored(resolution=100) == before
    assert house.sql("SELECT count(*) FROM summary")[0][0] > 15
    assert house.columns() == {"loss", "grad_norm"}
    house.do(house.runs.delete("default", "run"))
    assert house.sql("SELECT count(*) FROM summary") == [(0,)]
