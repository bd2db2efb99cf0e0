"""Two versions of the service on one database: what the older one keeps without judging it, the newer one judges."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from house import House
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, RunState
from runs.test_batching import NAN, curve

NEWER = 99


def by_an_older_version(house: House, work: Callable[[], object]) -> None:
    """Do it as a replica would whose rules are older than those that the run was judged by."""
    house.sql("UPDATE run SET detection_version = ?", NEWER)
    house.restart()
    work()
    house.sql("UPDATE run SET detection_version = ?", DETECTION_VERSION)
    house.restart()


def findings(house: House) -> list[tuple[object, ...]]:
    return sorted(
        (item.finding.id, item.finding.closed_by, item.finding.severity, item.finding.opened_step)
        for item in house.do(house.runs.findings("default", "run"))
    )


def opened(house: House) -> Counter[str]:
    return Counter(kind for kind in house.kinds() if kind in ("finding.opened", "finding.superseded"))


Request = tuple[Sequence[Point], str, bool]


def told(requests: Sequence[Request], *, mixed: bool) -> tuple[bytes, list[tuple[object, ...]], Counter[str]]:
    """Report, findings and events, all by the newest version or as the requests say; the last is always by it."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder) / "data")
        try:
            for number, (points, writer, newest) in enumerate(requests):
                if newest or not mixed or number in (0, len(requests) - 1):
                    house.record(points, writer=writer)
                else:
                    by_an_older_version(house, lambda p=points, w=writer: house.record(p, writer=w))  # type: ignore[misc]
            return house.report_bytes(), findings(house), opened(house)
        finally:
            house.close()


@st.composite
def stories(draw: st.DrawFn) -> list[Request]:
    """A run that goes wrong in one way or another, in a few requests, and may resume from a checkpoint once."""
    kind = draw(st.sampled_from(["falls", "diverges", "breaks"]))
    points = curve(draw(st.integers(0, 9)), 0, 120, kind)
    cuts = sorted(draw(st.lists(st.integers(1, 119), min_size=1, max_size=4, unique=True)))
    pieces = [points[a:b] for a, b in zip([0, *cuts], [*cuts, 120], strict=True)]
    requests = [(piece, "first", draw(st.booleans())) for piece in pieces]
    if draw(st.booleans()):
        back = draw(st.integers(20, 110))
        again = curve(11, back, 100, "falls")
        half = draw(st.integers(1, 99))
        requests += [(part, "second", draw(st.booleans())) for part in (again[:half], again[half:])]
    return requests


@pytest.mark.slow
@given(stories())
def test_whoever_kept_the_points_the_newest_version_says_and_tells_the_same(requests: list[Request]) -> None:
    report, found, events = told(requests, mixed=True)
    alone, expected, all_events = told(requests, mixed=False)
    assert report == alone
    assert [one[:2] for one in found if one[1] is None] == [one[:2] for one in expected if one[1] is None]
    assert {one[0] for one in found} >= {one[0] for one in expected if one[1] is None}
    assert events["finding.opened"] <= all_events["finding.opened"]


def test_what_an_older_version_kept_unjudged_is_told_with_the_next_point(house: House) -> None:
    house.record(curve(1, 0, 60, "falls"))
    broken = [Point(step, loss=NAN) for step in range(60, 70)]
    by_an_older_version(house, lambda: house.record(broken))
    assert "finding.opened" not in house.kinds()
    house.record([Point(70, loss=NAN)])
    assert house.kinds().count("finding.opened") == 1
    assert [one[1] for one in findings(house)] == [None]
    house.record([Point(71, loss=NAN)])
    house.restart()
    house.record([Point(72, loss=NAN)])
    assert house.kinds().count("finding.opened") == 1


def test_what_an_older_version_kept_last_is_told_when_the_run_ends(house: House) -> None:
    house.record(curve(1, 0, 60, "falls"))
    by_an_older_version(house, lambda: house.record([Point(step, loss=NAN) for step in range(60, 70)]))
    assert house.report().run.status == "critical"
    house.do(house.runs.finish("default", "run", RunState.FAILED))
    assert house.kinds()[-2:] == ["finding.opened", "run.failed"]
    house.restart()
    assert house.report().run.status == "critical"


def test_an_attempt_that_begins_at_an_older_version_is_an_attempt(house: House) -> None:
    house.record(curve(1, 0, 60, "falls"), writer="first")
    house.record([Point(step, loss=NAN) for step in range(60, 70)], writer="first")
    again = curve(1, 0, 71, "falls")
    by_an_older_version(house, lambda: house.record(again[40:70], writer="second"))
    house.record(again[70:], writer="second")
    report = house.report()
    assert (report.run.attempt, report.run.status) == (2, "healthy")
    assert [one[1] for one in findings(house)] == ["superseded"]
    assert house.kinds().count("finding.superseded") == 1
