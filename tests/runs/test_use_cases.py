"""The use cases of runs, one sentence each."""

from __future__ import annotations

import math
from typing import Any

import pytest

from house import House
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, ClosedBy, RunState
from losswatch_server.runs import (
    FindingNotFoundError,
    PointsRefusedError,
    Rhythm,
    RunGoneError,
    RunNotFoundError,
)
from losswatch_server.runs.live_run import MOST_APART
from losswatch_server.store.rows import RunFilter, RunOrder


def falling(first: int, count: int) -> list[Point]:
    return [Point(step, loss=2 * math.exp(-step / 50), grad_norm=1.0) for step in range(first, first + count)]


def growing(first: int, count: int) -> list[Point]:
    return [
        Point(step, loss=0.5 * 1.4 ** (step - first), grad_norm=1.4 ** (step - first))
        for step in range(first, first + count)
    ]


def in_project(house: House, method: str, *arguments: Any, **named: Any) -> Any:
    return house.do(getattr(house.runs, method)("default", *arguments, **named))


def test_points_come_back_exactly(house: House) -> None:
    points = [
        Point(0, loss=0.1 + 0.2, layers={"a": 5e-324}, metrics={"acc": math.inf}, time="2026-11-21T10:00:00Z"),
        Point(1, loss_is_null=True, grad_norm=-0.0),
        Point(2**53 - 1, loss=1e308, rank=0),
    ]
    house.record(points)
    house.restart()
    assert [stored.point for stored in house.stored()] == points


def test_declaring_twice_is_declaring_once(house: House) -> None:
    row, created = in_project(house, "upsert", "run", Context(learning_rate=0.1, tags={"team": "a"}))
    again, created_again = in_project(house, "upsert", "run", Context(learning_rate=0.1))
    assert (created, created_again) == (True, False)
    assert again == row
    assert house.kinds() == ["run.created"]


def test_a_context_is_amended_field_by_field(house: House) -> None:
    in_project(house, "upsert", "run", Context(learning_rate=0.1, extra={"seed": 1}))
    row = in_project(house, "update", "run", Context(batch_size=8, extra={"depth": 2}))
    house.restart()
    assert in_project(house, "get", "run").context == row.context
    assert (row.context.learning_rate, row.context.batch_size, row.context.extra) == (0.1, 8, {"seed": 1, "depth": 2})


@pytest.mark.parametrize("method", ["get", "report", "points", "findings", "delete"])
def test_an_unknown_run_is_not_found(house: House, method: str) -> None:
    with pytest.raises(RunNotFoundError):
        in_project(house, method, "nothing")


def test_a_deleted_run_is_gone_for_its_writers_and_its_name_is_free(house: House) -> None:
    house.record(growing(0, 30), Context(learning_rate=0.1), "old")
    first = in_project(house, "get", "run").uid
    in_project(house, "delete", "run")
    assert house.kinds() == ["run.deleted"]
    for table in ("run", "record", "finding", "snapshot", "writer", "attempt", "run_name"):
        assert house.sql(f"SELECT count(*) FROM {table}") == [(0,)]
    with pytest.raises(RunGoneError):
        house.record([Point(31, loss=1.0)], writer="old")
    with pytest.raises(RunNotFoundError):
        in_project(house, "get", "run")
    house.record([Point(0, loss=1.0)], writer="new")
    assert in_project(house, "get", "run").uid != first
    with pytest.raises(RunGoneError):
        house.record([Point(31, loss=1.0)], writer="old")


def test_a_run_ends_once_and_a_later_point_reopens_it(house: House) -> None:
    house.record(falling(0, 20))
    report = in_project(house, "finish", "run", RunState.FINISHED)
    in_project(house, "finish", "run", RunState.FINISHED)
    assert (report.run.state, report.run.finished_at) == (RunState.FINISHED, house.now)
    assert house.record(falling(19, 1)).run.state is RunState.FINISHED
    again = house.record(falling(20, 1)).run
    assert (again.state, again.finished_at) == (RunState.RUNNING, None)
    assert house.kinds() == ["run.created", "run.finished", "run.reopened"]


def test_findings_open_once_and_are_told_with_causes(house: House) -> None:
    for point in growing(0, 30):
        house.record([point], Context(learning_rate=0.1, optimizer="sgd"), report=True)
    assert house.kinds().count("finding.opened") == 1
    (stored,) = in_project(house, "findings", "run")
    assert stored.finding.condition == "diverging"
    assert stored.finding.causes
    event = next(event for event in house.do(house.runs.events("default", after=0, name="run")) if event.finding_id)
    assert event.finding_id == stored.finding.id
    assert b'"causes":[{' in event.body


def test_a_resume_supersedes_what_opened_after_its_checkpoint(house: House) -> None:
    house.record(falling(0, 40), writer="first")
    house.record(growing(40, 30), writer="first")
    house.record(falling(35, 60), writer="second")
    stored = in_project(house, "findings", "run")
    assert ClosedBy.SUPERSEDED in {item.finding.closed_by for item in stored}
    assert "finding.superseded" in house.kinds()
    assert all(item.finding.causes for item in stored if item.finding.closed_by is ClosedBy.SUPERSEDED)
    points = house.stored()
    assert sum(item.superseded for item in points) == 35
    assert {item.attempt for item in house.stored(attempt=2)} == {2}


def test_a_finding_is_acknowledged_and_muted(house: House) -> None:
    house.record(growing(0, 30))
    (stored,) = in_project(house, "findings", "run")
    known = in_project(house, "acknowledge", "run", stored.finding.id)
    muted = in_project(house, "mute", "run", stored.finding.id, 60.0)
    assert (known.acknowledged_at, muted.muted_until) == (house.now, house.now + 60)
    house.record(growing(0, 40)[30:])
    assert in_project(house, "finding", "run", stored.finding.id).acknowledged_at == house.now
    with pytest.raises(FindingNotFoundError):
        in_project(house, "acknowledge", "run", "f_0")


def test_a_silent_run_is_marked_once_and_its_next_point_brings_it_back(house: House) -> None:
    row = house.record(falling(0, 20)).run
    seen = row.last_seen_at
    assert house.do(house.runs.mark_silent("default", row.uid, house.now + 3600, seen))
    assert not house.do(house.runs.mark_silent("default", row.uid, house.now + 3600, seen))
    report = house.report()
    assert (report.run.state, report.run.status) == (RunState.SILENT, "warning")
    assert [finding.series for finding in report.assessment.findings] == ["clock"]
    house.restart()
    house.now += 4000
    assert house.record(falling(20, 1)).run.state is RunState.RUNNING
    assert house.report().assessment.findings == ()
    assert house.kinds() == ["run.created", "finding.opened", "run.silent", "finding.resolved", "run.returned"]


def test_a_run_heard_of_meanwhile_is_not_silent(house: House) -> None:
    row = house.record(falling(0, 20)).run
    house.now += 60
    house.record(falling(20, 1))
    assert not house.do(house.runs.mark_silent("default", row.uid, house.now, row.last_seen_at))


def test_a_pause_ends_with_the_next_point(house: House) -> None:
    house.record(falling(0, 20))
    assert in_project(house, "pause", "run", 600.0).paused_until == house.now + 600
    assert house.record(falling(20, 1)).run.paused_until is None


def test_the_rhythm_counts_separate_live_requests_and_no_imports(house: House) -> None:
    for step in range(6):
        house.now += 10
        house.record(falling(step, 1))
    house.record([Point(50, loss=1.0, time="2020-01-01T00:00:00Z")])
    ((packed,),) = house.sql("SELECT rhythm FROM run")
    assert Rhythm.unpack(packed) == Rhythm(6, 1, house.now, (10.0,) * 5, (10.0, 10.0))


def test_a_refused_request_leaves_nothing(house: House) -> None:
    with pytest.raises(PointsRefusedError):
        house.record([Point(1, loss=1.0), Point(1, loss=2.0)])
    assert house.sql("SELECT count(*) FROM run") == [(0,)]


def test_runs_are_listed_newest_first_filtered_and_by_pages(house: House) -> None:
    for n in range(5):
        house.now += 1
        house.record(falling(0, 6), Context(group="g" if n % 2 else None, tags={"n": str(n)}), name=f"run-{n}")
    first, cursor = in_project(house, "list", limit=3)
    second, end = in_project(house, "list", limit=3, cursor=cursor)
    assert [row.name for row in first + second] == [f"run-{n}" for n in (4, 3, 2, 1, 0)]
    assert end is None

    def names(**choice: Any) -> set[str]:
        return {row.name for row in in_project(house, "list", RunFilter(**choice))[0]}

    assert names(group="g") == {"run-1", "run-3"}
    assert names(tag=("n", "2")) == {"run-2"}
    assert names(tag=("m", None)) == set()
    assert names(text="RUN-4") == {"run-4"}
    assert names(status="healthy", state="running") == {f"run-{n}" for n in range(5)}
    with pytest.raises(ValueError, match="cursor"):
        in_project(house, "list", cursor="nonsense")


@pytest.mark.parametrize(
    ("order", "expected"),
    [(RunOrder.CREATED, "run-3 run-2 run-1 run-0"), (RunOrder.SEEN, "run-0 run-3 run-2 run-1"),
     (RunOrder.STATUS, "run-2 run-0 run-3 run-1")],
)  # fmt: skip
def test_runs_are_listed_in_any_order_and_pages_go_on_in_it(house: House, order: RunOrder, expected: str) -> None:
    for n in range(4):
        house.now += 1
        house.record(falling(0, 6), name=f"run-{n}")
    house.now += 1
    house.record([Point(6, loss=math.nan)], name="run-2")
    house.record([Point(6, loss=0.5)], name="run-3")
    house.now += 1
    house.record([Point(6, loss=math.nan)], name="run-0")
    house.sql("UPDATE run SET status = 'waiting' WHERE name = 'run-1'")
    house.restart()
    listed, cursor = [], None
    while True:
        page, cursor = in_project(house, "list", order=order, cursor=cursor, limit=1)
        listed += [row.name for row in page]
        if cursor is None:
            break
        with pytest.raises(ValueError, match="cursor"):
            in_project(house, "list", order=next(other for other in RunOrder if other is not order), cursor=cursor)
    assert " ".join(listed) == expected
    counts = house.do(house.runs.projects())["default"]
    assert counts.statuses == {"waiting": 1, "healthy": 1, "warning": 0, "critical": 2}
    assert counts.states["running"] == sum(counts.states.values()) == 4


def test_a_thinned_series_keeps_extremes_ends_and_what_is_not_finite(house: House) -> None:
    points = falling(0, 2000)
    points[777] = Point(777, loss=math.nan)
    points[1234] = Point(1234, loss=50.0)
    house.record(points)
    steps = [item.point.step for item in house.stored(resolution=100)]
    assert {0, 777, 1234, 1999} <= set(steps)
    assert len(steps) < 400
    assert [item.point.step for item in house.stored(from_step=10, to_step=12)] == [10, 11, 12]


def test_a_newer_rule_judges_a_live_run_anew_and_tells_nobody(house: House) -> None:
    house.record(growing(0, 30))
    report = house.report_bytes()
    house.sql("UPDATE run SET detection_version = 0")
    house.sql("UPDATE finding SET id = 'f_old', body = replace(body, id, 'f_old')")
    house.restart()
    told = house.kinds()
    assert house.report().run.detection_version == 0
    house.record(growing(0, 31)[30:])
    assert house.report().run.detection_version == DETECTION_VERSION
    assert {item.finding.id: item.finding.closed_by for item in in_project(house, "findings", "run")}[
        "f_old"
    ] == "rule_changed"
    assert [kind for kind in house.kinds()[len(told) :] if kind == "finding.opened"] == []
    assert report


def test_a_run_that_a_newer_version_judged_keeps_its_points_and_its_last_report_marked_stale(house: House) -> None:
    house.record(growing(0, 30))
    headline = house.report().run.headline
    house.sql("UPDATE run SET detection_version = 99")
    house.restart()
    recorded = house.record(falling(30, 5), report=True)
    assert recorded.accepted == 5
    assert recorded.report.stale
    assert recorded.report.run.headline == headline
    assert len(house.stored()) == 35


def test_a_finished_run_stays_as_it_was_judged(house: House) -> None:
    house.record(growing(0, 30))
    in_project(house, "finish", "run", RunState.FAILED)
    house.sql("UPDATE run SET detection_version = 0")
    before = house.report().assessment
    house.restart()
    assert house.report().assessment == before


def test_only_so_many_runs_stay_in_memory(tmp_path: Any) -> None:
    house = House(tmp_path / "small", kept=2)
    try:
        for n in range(5):
            house.record(falling(0, 3), name=f"run-{n}")
        assert len(house.runs._cache._runs) <= 2
        assert house.record(falling(3, 1), name="run-0").run.points == 4
    finally:
        house.close()


def test_snapshots_stay_few_and_close_together_near_the_present(house: House) -> None:
    for start in range(0, 6000, 300):
        house.record(falling(start, 300))
    seqs = [seq for (seq,) in house.sql("SELECT seq FROM snapshot ORDER BY seq")]
    assert len(seqs) <= 7
    assert 6000 - seqs[-1] <= MOST_APART
