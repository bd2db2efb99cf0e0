"""Batching never matters: one record, told in any pieces, gives the same report to the byte."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from house import House
from losswatch_server.monitor.points import Context, Point, merge

NAN = float("nan")


@dataclass(frozen=True)
class Post:
    """What one writer says in one go."""

    points: Sequence[Point]
    context: Context | None = None
    writer: str | None = None


def curve(seed: int, first: int, count: int, kind: str) -> list[Point]:
    """A loss with noise that falls, explodes, stays flat, turns into NaN, or does so twice and comes back."""
    draw = random.Random(seed)
    points = []
    for step in range(first, first + count):
        x = step - first
        loss = {
            "falls": 2 * math.exp(-x / 60) + 0.1,
            "diverges": 0.5 * math.exp(max(0, x - 40) / 6),
            "flat": 0.693,
            "breaks": 1.0 if x < 70 else NAN,
            "breaks twice": NAN if 40 <= x < 43 or 60 <= x < 63 else 2 * math.exp(-x / 60) + 0.1,
        }[kind] * math.exp(0.03 * draw.gauss(0, 1))
        norm = math.exp(0.2 * draw.gauss(0, 1))
        points.append(Point(step, loss=loss, grad_norm=norm, learning_rate=0.1, metrics={"acc": x / count}))
    return points


def validated(first: int, count: int) -> list[Point]:
    """A validation loss that turns up at step 60, while the loss of ``curve`` falls on."""
    steps = range(first, first + count)
    return [Point(step, validation_loss=2 * math.exp(-step / 60) + 0.3 + 0.012 * max(0, step - 60)) for step in steps]


def late_validation() -> list[Post]:
    """Another process validates, seven steps behind; every fifth time it reaches the step at which training stands."""
    story: list[Post] = []
    training, validation, done = curve(15, 0, 200, "falls"), validated(0, 200), 0
    for first in range(0, 200, 10):
        until = first + (10 if first % 50 == 40 else 3)
        story += [Post(training[first : first + 10], None, "w"), Post(validation[done:until], None, "eval")]
        done = until
    return story


STORIES: dict[str, list[Post]] = {
    "a run that diverges": [Post(curve(1, 0, 120, "diverges"), Context(learning_rate=0.1, optimizer="sgd"), "w")],
    "a run that breaks and is resumed before that": [
        Post(curve(2, 0, 90, "breaks"), Context(learning_rate=0.1), "first"),
        Post(curve(3, 50, 70, "falls"), Context(learning_rate=0.05), "second"),
        Post([Point(step, validation_loss=1.5) for step in (30, 49, 100)], None, "eval"),
        Post(curve(4, 120, 30, "flat"), None, "second"),
    ],
    "a run that breaks, comes back, and does both again": [Post(curve(14, 0, 110, "breaks twice"), None, "w")],
    "a run that steps back twice without saying who writes": [
        Post(curve(5, 0, 60, "falls")),
        Post(curve(6, 40, 60, "diverges")),
        Post([Point(35, validation_loss=0.4)]),
        Post(curve(7, 20, 90, "falls")),
    ],
    "two writers that do not know of each other": [
        Post(curve(8, 0, 50, "falls"), None, "first"),
        Post(curve(9, 30, 50, "diverges"), None, "second"),
        Post(curve(10, 45, 20, "falls"), None, "first"),
        Post(curve(9, 80, 20, "diverges"), None, "second"),
    ],
    "a validation that comes late and sometimes catches up": late_validation(),
    "other ranks, one of which breaks": [
        Post(curve(11, 0, 30, "falls"), None, "rank0"),
        Post([point._replace(rank=1) for point in curve(12, 0, 30, "falls")], None, "rank1"),
        Post([Point(30, loss=NAN, rank=1)], None, "rank1"),
        Post(curve(13, 30, 40, "falls"), None, "rank0"),
    ],
}  # fmt: skip


def told_plainly(house: House, story: list[Post], name: str) -> bytes:
    for post in story:
        house.record(post.points, post.context, post.writer, name)
    return house.report_bytes(name)


def in_pieces(point: Point) -> list[Point]:
    """The same point as two requests would bring it: loss first, the rest after."""
    return [Point(point.step, loss=point.loss, rank=point.rank), point._replace(loss=None)]


def told_in_pieces(house: House, story: list[Post], name: str, draw: random.Random) -> bytes:
    before: list[tuple[Post, list[Point]]] = []
    for post in story:
        rest = list(post.points)
        context = post.context
        while rest:
            size = draw.choice([1, 2, 10, 30, 80])
            part, rest = rest[:size], rest[size:]
            what = draw.random()
            if what < 0.3 and part[-1].loss is not None and part[-1].grad_norm is not None:
                first, second = in_pieces(part[-1])
                house.record([*part[:-1], first], context, post.writer, name)
                if draw.random() < 0.3:
                    house.restart()
                house.record([second], None, post.writer, name)
            else:
                draw.shuffle(part)
                house.record(part, context, post.writer, name)
            context = None if draw.random() < 0.5 else post.context
            before.append((post, part))
            if draw.random() < 0.2:
                again, points = before[-1]
                recorded = house.record(points, None, again.writer, name)
                assert (recorded.accepted, recorded.late) == (0, 0)
            if draw.random() < 0.1:
                house.restart()
            if draw.random() < 0.1:
                house.sql("DELETE FROM snapshot")
                house.restart()
            if draw.random() < 0.1:
                (uid,) = house.sql("SELECT uid FROM run_name WHERE name = ?", name)[0]
                house.do(house.store.seal("default", uid))
    return house.report_bytes(name)


@pytest.mark.slow
@pytest.mark.parametrize("story", list(STORIES))
@settings(max_examples=settings().max_examples // 16, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_any_way_of_telling_a_story_gives_the_same_report_to_the_byte(story: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, pieces = House(Path(folder) / "a"), House(Path(folder) / "b")
        try:
            expected = told_plainly(plain, STORIES[story], "run")
            assert told_in_pieces(pieces, STORIES[story], "run", random.Random(seed)) == expected
            assert standing(pieces) == standing(plain)
            assert found(pieces) == found(plain)
            pieces.sql("DELETE FROM snapshot")
            pieces.restart()
            assert pieces.report_bytes() == expected
        finally:
            plain.close()
            pieces.close()


def standing(house: House) -> list[str]:
    return list(map(repr, house.stored()))


def found(house: House) -> list[tuple[Any, ...]]:
    findings = [stored.finding for stored in house.do(house.runs.findings("default", "run"))]
    return sorted(
        (f.id, f.condition, f.series, f.attempt, f.severity, f.onset_step, f.opened_step, f.resolved_step, f.closed_by)
        for f in findings
    )


def test_the_stories_hold_findings_and_attempts_to_compare(house: House) -> None:
    for story, posts in STORIES.items():
        told_plainly(house, posts, name="r" + str(list(STORIES).index(story)))
    conditions = {row[0] for row in house.sql("SELECT condition FROM finding")}
    assert {"diverging", "non_finite", "overfitting"} <= conditions
    assert house.sql("SELECT count(*) FROM attempt")[0][0] >= 3
    assert house.sql("SELECT count(*) FROM finding WHERE closed_by = 'superseded'")[0][0] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("behind", [0, 1, 5, 30])
@pytest.mark.parametrize("requests", [1, 3])
def test_validation_that_comes_late_gives_the_finding_that_it_gives_inline(
    house: House, behind: int, requests: int
) -> None:
    training = curve(15, 0, 200, "falls")
    validation = validated(0, 200)
    house.record([merge(*both) for both in zip(training, validation, strict=True)], None, "w", "inline")
    done = 0
    for first in range(0, 200, 10):
        house.record(training[first : first + 10], None, "w", "late")
        if first % 50 == 40:  # an evaluation of what was trained since the last one, some steps of it in each request
            until = first + 10 - behind
            cuts = [done + (until - done) * piece // requests for piece in range(requests + 1)]
            for begin, end in pairwise(cuts):
                house.record(validation[begin:end], None, "eval", "late")
            done = until
    inline, late = (house.report(name).assessment.findings for name in ("inline", "late"))
    assert [(f.condition, f.series, f.is_open, f.onset_step) for f in late] == [
        (f.condition, f.series, f.is_open, f.onset_step) for f in inline
    ]
    assert [f.condition for f in inline] == ["overfitting"]
    house.record(validation[done:], None, "eval", "late")
    assert house.stored("late")[-1].point.validation_loss == validation[-1].validation_loss
