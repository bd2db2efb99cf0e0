"""A fold over stretches of points is the fold point by point, to the bit: the same states, changes and reports."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.memory.coming import coming, work_out
from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point, tamed
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.rules.base import UNSURE, Detector, View
from losswatch_server.monitor.snapshot import freeze
from monitor.curves import falling, flat, growing, points
from monitor.odd_runs import begun, follow, odd_run
from monitor.work import calls

Cuts = Sequence[int]


def _pieces(stream: Sequence[Point], cuts: Cuts) -> Iterable[Sequence[Point]]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return (stream[a:b] for a, b in pairwise(places))


def _same(one: Monitor, other: Monitor, *, changes: bool = True) -> None:
    if changes:
        assert one.drain_changes() == other.drain_changes()
    assert repr(one.drain_faults()) == repr(other.drain_faults()) == "[]"
    assert freeze(one) == freeze(other)
    assert repr(assess(one)) == repr(assess(other))


def _is_the_same_in_pieces(stream: Sequence[Point], cuts: Cuts, context: Context) -> None:
    """Also where every rule is asked at every point, however calm."""
    one, other, asked = monitors = [Monitor("test", watched=True) for _ in range(3)]
    for monitor in monitors:
        monitor.see_context(context)
    for piece in _pieces(stream, cuts):
        for point in piece:
            one.see(point)
            asked.judge(tamed(point))
        other.see_all(piece)
    assert one.life.changes == asked.life.changes
    _same(one, asked, changes=False)
    _same(one, other)


def _noisy(count: int, seed: int = 1) -> list[float]:
    return np.exp(0.4 * np.random.default_rng(seed).standard_t(3, size=count)).tolist()


def _every(count: int, places: int, series: Sequence[float]) -> list[float | None]:
    return [value if i % places == 0 else None for i, value in enumerate(series[:count])]


LONG = 600
STREAMS: dict[str, list[Point]] = {
    "healthy": points(falling(LONG), grad_norm=_noisy(LONG)),
    "everything": [
        Point(
            i, loss, norm, 0.1 if i < 500 else 0.3, loss + 0.1 if i % 10 == 0 else None, layers=layers, metrics=metrics
        )
        for i, (loss, norm) in enumerate(zip(falling(LONG), _noisy(LONG), strict=True))
        for layers in [{"a": norm, "b": 0.0 if i % 7 else 0.3, "c": 1e-9}]
        for metrics in [{"accuracy": i / LONG} if i % 3 == 0 else None]
    ],
    "spikes": points([9.0 if i in (300, 301, 302, 500) else loss for i, loss in enumerate(falling(LONG, noise=0.1))]),
    "a jump that stays": points([*falling(200), *(6 + loss for loss in falling(400))], grad_norm=_noisy(LONG)),
    "a climb": points([*falling(300), *np.linspace(0.3, 5, 300).tolist()], grad_norm=_noisy(LONG)),
    "a divergence": points([*falling(300), *growing(40, factor=1.2), *falling(260)]),
    "an explosion": points(
        falling(LONG), grad_norm=[v * (100.0 if 400 < i < 450 else 1.0) for i, v in enumerate(_noisy(LONG))]
    ),
    "clipped": points(falling(LONG), grad_norm=_noisy(LONG)),
    "heavy tails": points(_noisy(LONG), grad_norm=[v**4 for v in _noisy(LONG, 2)]),
    "below zero": points([loss - 1 for loss in falling(LONG)]),
    "through zero and back": points([1.0 - i / 200 if i < 350 else i / 200 - 2.5 for i in range(LONG)]),
    "zeros": points([0.0, -0.0] * (LONG // 2), grad_norm=[-0.0, 0.0, 1.0] * (LONG // 3)),
    "overfits": points(falling(LONG), validation_loss=_every(LONG, 5, [*falling(200), *growing(400, factor=1.003)])),
    "overfits, as a metric tells": [
        Point(i, loss, metrics={"val_accuracy": min(i, 250) / 300 - max(0, i - 300) / 900} if i % 5 == 0 else None)
        for i, loss in enumerate(falling(LONG))
    ],
    "a metric at every point, and a validation loss later": [
        Point(i, loss, validation_loss=loss if i > 450 else None, metrics={"eval/err": 0.3 + 0.2 * math.sin(i / 60)})
        for i, loss in enumerate(falling(LONG))
    ],
    "broken now and then": points(
        [math.nan if i % 97 == 96 else loss for i, loss in enumerate(falling(LONG))],
        grad_norm=[math.inf if i % 89 == 88 else v for i, v in enumerate(_noisy(LONG))],
    ),
    "some have no loss": points(_every(LONG, 3, falling(LONG)), grad_norm=_noisy(LONG)),
    "norms now and then": points(falling(LONG), grad_norm=_every(LONG, 7, _noisy(LONG))),
    "out of any range": points([loss * 1e150 for loss in falling(LONG)], grad_norm=[v * 1e-150 for v in _noisy(LONG)]),
    "flat": points(flat(LONG), grad_norm=[0.0] * LONG),
    "a game": [Point(i, loss, metrics={"d_loss": 1.0} if i > 400 else None) for i, loss in enumerate(falling(LONG))],
    "two ranks": [Point(i // 2, loss, 1.0, rank=i % 2) for i, loss in enumerate(falling(LONG))],
    "nulls": [
        Point(i, None if i % 50 == 49 else loss, loss_is_null=i % 50 == 49) for i, loss in enumerate(falling(LONG))
    ],
}
CONTEXTS = (
    Context(),
    Context(loss_name="cross_entropy", num_classes=10, total_steps=1000, optimizer="sgd", learning_rate=0.1),
    Context(grad_norm_is="after_clip", step_unit="epoch"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=settings().max_examples // 10)
@given(st.lists(st.integers(0, LONG), max_size=12), st.sampled_from(CONTEXTS))
def test_however_a_run_is_cut_its_fold_is_the_same_to_the_bit(name: str, cuts: list[int], context: Context) -> None:
    _is_the_same_in_pieces(STREAMS[name], cuts, context)


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_batches_of_any_size_give_the_same(name: str) -> None:
    size = (7, 13, 30, 100)[len(name) % 4]
    _is_the_same_in_pieces(STREAMS[name], range(0, LONG, size), CONTEXTS[0])


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 2)
@given(st.integers(0, 2**32 - 1), st.integers(100, 500), st.randoms(use_true_random=False))
def test_an_odd_run_is_folded_in_stretches_as_point_by_point(seed: int, length: int, draw: random.Random) -> None:
    run = odd_run(seed, length)
    one, other = begun(run), begun(run)
    waiting: list[Point] = []
    for entry in run.entries:
        follow(one, entry)
        if isinstance(entry, Point):
            waiting.append(entry)
            if draw.random() > 0.02:
                continue
        other.see_all(waiting)
        waiting.clear()
        if not isinstance(entry, Point):
            follow(other, entry)
    other.see_all(waiting)
    _same(one, other)


@dataclass(frozen=True)
class Limit:
    """A value of the state that a rule holds the next loss or gradient norm against."""

    of: Callable[[Monitor], float]
    norm: bool = False


def _state(monitor: Monitor, name: str) -> Any:
    return monitor.states[next(i for i, d in enumerate(DETECTORS) if type(d).__name__ == name)]


def _convex(monitor: Monitor) -> float:
    """As far above the last loss as that is above the one before: a rise that is not larger."""
    before, last = monitor.memory.loss.recent[-2:]
    return last + (last - before)


LIMITS = {
    "spike": Limit(lambda m: _state(m, "LossSpike").threshold.limit),
    "recovery": Limit(lambda m: _state(m, "LossSpike").threshold.recovery),
    "notable": Limit(lambda m: _state(m, "LossSpike").threshold.notable),
    "new level": Limit(lambda m: _state(m, "LossSpike").new_level),
    "divergence": Limit(lambda m: _state(m, "Diverging").level),
    "convex rise": Limit(_convex),
    "record": Limit(lambda m: m.memory.loss.highest),
    "lowest": Limit(lambda m: m.memory.loss.lowest),
    "zero": Limit(lambda m: 0.0),
    "explosion": Limit(lambda m: 30.0 * _state(m, "ExplodingGradient").base, norm=True),
    "smaller explosion": Limit(lambda m: 10.0 * _state(m, "ExplodingGradient").base, norm=True),
}


def _on_limits(names: Sequence[str], seed: int, count: int = 400) -> list[Point]:
    """A run whose next values are, ever again, exactly on a limit as it stands, a bit above it or a bit below."""
    draw = random.Random(seed)
    monitor = Monitor("adversary")
    stream: list[Point] = []
    often = draw.choice([0.02, 0.1, 0.5])
    kept: tuple[Limit, float] | None = None
    for step in range(count):
        noise = math.exp(draw.choice([0.02, 0.2]) * draw.gauss(0, 1))
        loss, norm = (0.3 + 2 * math.exp(-step / 100)) * noise, noise
        if step > 100 and draw.random() < often:
            limit = LIMITS[draw.choice(names)]
            kept = (limit, draw.choice([-math.inf, 0.0, math.inf]))
        if kept is not None and step > 100:
            limit, towards = kept
            value = limit.of(monitor)
            value = value if towards == 0 else math.nextafter(value, towards)
            if math.isfinite(value):
                loss, norm = (loss, value) if limit.norm else (value, norm)
            kept = kept if draw.random() < 0.7 else None
        stream.append(Point(step, loss, norm))
        monitor.see(stream[-1])
    return stream


@pytest.mark.slow
@given(
    st.lists(st.sampled_from(sorted(LIMITS)), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 500), max_size=8),
)
def test_values_exactly_on_a_limit_are_judged_the_same(names: list[str], seed: int, cuts: list[int]) -> None:
    _is_the_same_in_pieces(_on_limits(names, seed), cuts, CONTEXTS[seed % 2])


def test_a_rule_that_says_nothing_of_stretches_is_asked_at_every_point(monkeypatch: pytest.MonkeyPatch) -> None:
    for detector in DETECTORS:
        if hasattr(type(detector), "pass_over"):
            monkeypatch.delattr(type(detector), "pass_over")
    _is_the_same_in_pieces(STREAMS["everything"], [450], CONTEXTS[1])


@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=6),
    st.lists(st.integers(0, 4000), max_size=20),
    st.booleans(),
)
def test_a_track_takes_many_values_as_it_takes_one(before: list[int], cuts: list[int], positive: bool) -> None:
    draw = np.random.default_rng(len(cuts))
    values = draw.normal(size=sum(before)) if not positive else np.exp(draw.normal(size=sum(before)))
    listed = values.tolist()
    one, other = Track(), Track()
    for step, value in enumerate(listed):
        one.add(3 * step, value)
    done = 0
    for count in before:
        series = coming(other, listed[done : done + count], list(range(3 * done, 3 * (done + count), 3)), range(count))
        work_out([series])
        for place in sorted({count, *(cut % count for cut in cuts)}):
            series.add(place)
            assert series.taken == place
        done += count
    assert one == other or repr(one) == repr(other)


def test_between_reviews_a_healthy_point_is_asked_for_by_few_rules() -> None:
    one, other = Monitor("test"), Monitor("test")
    stream = points(falling(3000), grad_norm=_noisy(3000))
    one.see_all(stream[:2600])
    other.see_all(stream[:2600])
    stretch = stream[2600 : 2600 + one.next_review - one.memory.loss.n - 1]
    asking = calls(lambda: [one.judge(point) for point in stretch])
    assert calls(lambda: [other.see(point) for point in stretch]) < asking / 1.5
    assert freeze(one) == freeze(other)


def test_a_healthy_stretch_costs_a_fraction_of_its_points() -> None:
    one, other = Monitor("test"), Monitor("test")
    stream = points(falling(3000), grad_norm=_noisy(3000))
    one.see_all(stream[:2600])
    other.see_all(stream[:2600])
    until_review = one.next_review - one.memory.loss.n - 1
    assert until_review >= 60
    stretch = stream[2600 : 2600 + until_review]
    by_point = calls(lambda: [one.see(point) for point in stretch])
    assert calls(lambda: other.see_all(stretch)) < by_point / 3
    assert freeze(one) == freeze(other)


@pytest.mark.parametrize("detector", [d for d in DETECTORS if d.every_point and d.series.startswith("validation_")])
def test_a_rule_of_validation_is_unsure_where_there_is_none(detector: Detector) -> None:
    view = View(points=9)
    for step in range(8):
        view.memory.loss.add(step, 1.0)
        view.memory.validation.add(step, 1.0 + step)
    for point in (
        Point(9, 1.0),
        Point(9, math.nan, math.inf),
        Point(9, metrics={"val_seconds": 0.1}, layers={"a": 1.0}),
    ):
        state = detector.start()
        view.point = point
        assert detector.step(state, view) is UNSURE
        assert state == detector.start()
