"""Thinning a run that is over: its report stays as it was, and what matters of its points."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from house import House
from losswatch_server.codec.points import point_json
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs.retention import Retention
from losswatch_server.store.retention import Policy, StoredRetention

N, TO = 9000, 600
DAY = 86_400.0
POLICY = Policy(thin_after_days=7, thin_to_points=TO)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With the run ``odd``: two attempts, other ranks, merged and late fields, NaN, a divergence, rare metrics."""
    house = House(tmp_path_factory.mktemp("thin") / "data")
    post_odd_run(house, "odd")
    yield house
    house.close()


def post_odd_run(house: House, name: str) -> None:
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 0.02, N).tolist()

    def loss(step: int) -> float:
        if step == 4321:
            return math.nan
        grown = math.exp((step - 8000) / 60) if step > 8000 else 0.0
        return 2 * math.exp(-step / 2000) + 0.3 + noise[step] + grown

    def post(low: int, high: int, writer: str) -> None:
        for start in range(low, high, 300):
            steps = range(start, min(high, start + 300))
            points = [Point(s, loss=loss(s), grad_norm=1 + abs(noise[s]), learning_rate=0.1) for s in steps]
            points += [Point(s, loss=loss(s) + 0.1, rank=1) for s in steps if s % 10 == 0]
            points[3] = points[3]._replace(metrics={"accuracy": start / N}, layers={"dense": 0.5})
            house.record(points, Context(learning_rate=0.1, total_steps=N), writer, name)
            if start % 900 == 0:
                house.record([Point(steps[-1], validation_loss=0.5 + noise[start])], writer=writer, name=name)
                house.record([Point(steps[5], validation_loss=0.6)], writer=writer, name=name)

    post(0, 6000, "first")
    post(3000, N, "second")
    house.record([Point(N, loss=1e9, grad_norm=50.0)], writer="second", name=name)
    house.do(house.runs.finish("default", name, RunState.FAILED, "out of memory"))
    house.do(house.runs.close())


def retention(house: House, otherwise: Policy = POLICY) -> Retention:
    return Retention(house.runs, house.store, StoredRetention(house.store), otherwise, clock=lambda: house.now)


def said(points: Any) -> list[str]:
    return [repr((p.attempt, p.superseded, sorted(point_json(p.point).items(), key=str))) for p in points]


@pytest.mark.slow
def test_a_thinned_run_is_judged_as_before_and_keeps_what_matters(house: House) -> None:
    before, report = house.stored("odd"), house.report_bytes("odd")
    findings = house.do(house.runs.findings("default", "odd"))
    columns = house.columns("odd")
    assert {one.finding.condition for one in findings} >= {"diverging", "non_finite"}
    house.now += 6 * DAY
    thinner = retention(house)
    assert not house.do(thinner.apply("default", POLICY))
    assert said(house.stored("odd")) == said(before), "it ended six days ago"
    house.now += 2 * DAY
    house.do(thinner.apply("default", POLICY))
    for _ in range(2):
        after = house.stored("odd")
        assert thinner.counts["thinned"] == 1
        assert len(after) < len(before) / 4
        assert house.report_bytes("odd") == report
        assert set(said(after)) <= set(said(before)), "each point is as it was posted"
        assert house.columns("odd") == columns
        kept = {p.point.step for p in after}
        assert 4321 in kept
        for one in findings:
            for step in {one.finding.onset_step, one.finding.opened_step, one.finding.last_step}:
                assert set(range(max(0, step - 40), min(N, step + 40))) <= kept, one.finding.condition
        for field in ("loss", "grad_norm", "validation_loss"):
            for choose in (min, max):
                assert extreme(choose, before, field) == extreme(choose, after, field)
        for number in (1, 2):
            ends = [[p.point.step for p in series if p.attempt == number] for series in (before, after)]
            assert (ends[0][0], ends[0][-1]) == (ends[1][0], ends[1][-1])
        picture = house.stored("odd", resolution=100)
        assert (picture[0].point.step, picture[-1].point.step) == (0, N)
        house.restart()
        thinner = retention(house)
        thinner.counts["thinned"] = 1
        house.do(thinner.apply("default", POLICY))
    assert house.sql("SELECT count(*) FROM snapshot") == [(1,)]


def extreme(choose: Any, series: Any, field: str) -> float:
    values = [getattr(p.point, field) for p in series]
    return float(choose(v for v in values if v is not None and math.isfinite(v)))


@pytest.mark.slow
def test_a_run_goes_on_after_it_was_thinned_as_if_nothing_were_missing(tmp_path: Path) -> None:
    thinned, whole = (House(tmp_path / name) for name in ("thinned", "whole"))
    for house in (thinned, whole):
        post_odd_run(house, "run")
        house.now += 8 * DAY
    thinner = retention(thinned)
    thinned.do(thinner.apply("default", POLICY))
    assert thinner.counts["thinned"] == 1
    thinned.restart()
    for house in (thinned, whole):
        house.record([Point(N, validation_loss=3.0)], writer="second")
        house.record([Point(N - 1, metrics={"late": 1.0})], writer="second")
        house.record([Point(N + n, loss=0.3) for n in range(1, 400)], writer="second")
        house.record([Point(N + 100 + n, loss=0.4) for n in range(300)], writer="third")
    assert thinned.report_bytes() == whole.report_bytes()
    thinned.restart()
    assert thinned.report_bytes() == whole.report_bytes()
    for house in (thinned, whole):
        house.close()


def test_a_run_that_cannot_be_judged_without_its_points_is_left_as_it_is(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    for start in range(0, 3000, 300):
        house.record([Point(s, loss=1 / (s + 1)) for s in range(start, start + 300)])
    house.do(house.runs.finish("default", "run", RunState.FINISHED))
    house.do(house.runs.close())
    house.sql("DELETE FROM snapshot")
    points = house.stored()
    house.now += 8 * DAY
    thinner = retention(house)
    house.do(thinner.apply("default", POLICY))
    assert thinner.counts["thinned"] == 0
    assert house.stored() == points
    assert house.sql("SELECT entries FROM thinned") == [(3000,)], "it is not looked at again"
    house.close()


def test_points_that_cannot_be_read_are_no_reason_to_throw_others_away(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    for start in range(0, 6000, 300):
        house.record([Point(s, loss=1 / (s + 1)) for s in range(start, start + 300)])
    house.do(house.runs.finish("default", "run", RunState.FINISHED))
    house.do(house.runs.close())
    house.sql("UPDATE record SET body = x'0200' WHERE seq = 0")
    count = house.sql("SELECT count(*), sum(n) FROM record")
    house.now += 8 * DAY
    house.do(retention(house).apply("default", POLICY))
    assert house.sql("SELECT count(*), sum(n) FROM record") == count
    house.close()
