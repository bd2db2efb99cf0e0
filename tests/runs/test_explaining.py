"""A stored finding is explained from the record of its run, whatever became of the run since."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.replay import Explanation, explain
from losswatch_server.monitor.vocabulary import Condition
from losswatch_server.runs import FindingNotFoundError, RunNotFoundError, explaining
from losswatch_server.runs.liveness.rhythm import KEPT_GAPS


def falling(count: int, seed: int = 0) -> list[Point]:
    noise = np.random.default_rng(seed).normal(size=count)
    level = 0.3 + 2 * np.exp(-np.arange(count) / (count / 5))
    return [Point(step, loss=float(loss)) for step, loss in enumerate(level * np.exp(0.03 * noise))]


def with_spike(points: list[Point], at: int) -> list[Point]:
    return [*points[:at], *(p._replace(loss=9.0) for p in points[at : at + 4]), *points[at + 4 :]]


def found(house: House, condition: Condition) -> Any:
    findings = house.do(house.runs.findings("default", "run"))
    return next(stored.finding for stored in findings if stored.finding.condition is condition)


def told(house: House, finding_id: str, name: str = "run") -> Explanation:
    return house.do(house.runs.explain("default", name, finding_id))


def test_the_record_explains_as_the_points_themselves_do(house: House) -> None:
    points = with_spike(falling(400), 250)
    house.record(points[:100], Context(optimizer="sgd"))
    house.record(points[100:])
    house.restart()
    finding = found(house, Condition.LOSS_SPIKE)
    assert told(house, finding.id) == explain(points, Context(optimizer="sgd"), finding)


def test_explaining_leaves_the_run_as_it_is(house: House) -> None:
    points = with_spike(falling(400), 250)
    house.record(points[:300])
    before = house.report_bytes()
    told(house, found(house, Condition.LOSS_SPIKE).id)
    assert house.report_bytes() == before
    house.record(points[300:])
    after = house.report_bytes()
    house.restart()
    assert house.report_bytes() == after


def test_each_of_two_attempts_is_explained_by_its_own_points(house: House) -> None:
    points = falling(300)
    house.record(with_spike(points, 200))
    first = found(house, Condition.LOSS_SPIKE)
    again = [p._replace(loss=(p.loss or 0) * 1.01) for p in with_spike(points, 230)[150:]]
    house.record(again)
    findings = house.do(house.runs.findings("default", "run"))
    second = next(s.finding for s in findings if s.finding.attempt == 2 and s.finding.condition is Condition.LOSS_SPIKE)
    by_attempt = [{row.step: row.value for row in told(house, f.id).values} for f in (first, second)]
    assert [values[200] for values in by_attempt] == [9.0, again[50].loss]
    assert 230 in by_attempt[1]


@pytest.mark.slow
def test_a_late_finding_of_a_long_run_is_explained_from_a_snapshot(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "FROM_SNAPSHOT", 5_000)
    points = with_spike(falling(12_000), 11_000)
    house.record(points)
    finding = found(house, Condition.LOSS_SPIKE)
    assert finding.opened_step == 11_000
    rows = {row.step: row for row in told(house, finding.id).values}
    assert 2_000 < min(rows) < 10_000
    whole = {row.step: row for row in explain(points, Context(), finding).values}
    assert [rows[step] for step in range(10_990, 11_010)] == [whole[step] for step in range(10_990, 11_010)]


def test_silence_is_explained_by_the_gaps_between_requests(house: House) -> None:
    for step in range(8):
        house.now += 120 if step % 2 else 40
        house.record([Point(step, loss=1.0 / (1 + step))])
    row = house.do(house.runs.get("default", "run"))
    house.now += 2000
    assert house.do(house.runs.mark_silent("default", row.uid, house.now, row.last_seen_at))
    explanation = told(house, found(house, Condition.SILENT).id)
    assert [row.statistic for row in explanation.values] == [120, 40, 120, 40, 120, 40, 120, 2000]
    assert [row.threshold for row in explanation.values] == [None] * 4 + [400.0, 600.0, 400.0, 600.0]
    assert explanation.threshold == 600.0
    assert (explanation.unit, explanation.above, explanation.used) == ("s", True, (1, 7))


def test_a_long_run_is_read_from_shortly_before_its_silence_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(120):
        house.now += 10 + step % 7
        house.record([Point(step, loss=1.0 / (1 + step))])
    row = house.do(house.runs.get("default", "run"))
    house.now += 500
    assert house.do(house.runs.mark_silent("default", row.uid, house.now, row.last_seen_at))
    house.record([Point(step, loss=0.01) for step in range(120, 160)])
    finding = found(house, Condition.SILENT)
    whole = told(house, finding.id)
    monkeypatch.setattr(explaining, "BEFORE_SILENCE", 50)
    part = told(house, finding.id)
    assert len(whole.values) == 120
    assert len(part.values) == 50 - KEPT_GAPS
    assert part.values == whole.values[-len(part.values) :]
    assert part.threshold == whole.threshold


def test_silence_against_an_announced_gap_names_it(house: House) -> None:
    house.record([Point(0, loss=1.0)], Context(expected_gap_s=120.0))
    row = house.do(house.runs.get("default", "run"))
    house.now += 400
    house.do(house.runs.mark_silent("default", row.uid, house.now, row.last_seen_at))
    explanation = told(house, found(house, Condition.SILENT).id)
    assert "120 s" in explanation.rule
    assert [(row.statistic, row.threshold) for row in explanation.values] == [(400.0, 240.0)]


def test_what_is_not_there_cannot_be_explained(house: House) -> None:
    with pytest.raises(RunNotFoundError):
        told(house, "f_0", name="nobody")
    house.record([Point(0, loss=math.nan)])
    with pytest.raises(FindingNotFoundError):
        told(house, "f_0")
