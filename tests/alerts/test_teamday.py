"""A shortened day of a team, through the real service on a fast clock. ``make bench-teamday`` plays the whole one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.teamday.figures import figures
from benchmarks.teamday.play import START, Day, play
from benchmarks.teamday.receivers import Heard
from benchmarks.teamday.team import team
from losswatch_server.store.rows import StoredEvent


@pytest.mark.slow
def test_every_faulty_run_of_a_day_is_told_once_and_soon(tmp_path: Path) -> None:
    jobs = team(41, seed=3)
    day = asyncio.run(play(jobs, tmp_path, 3, kills=(600, 2_000), away=(2_500, 3_100)))
    for receiver in day.receivers.values():
        found = figures(jobs, day, receiver.heard)
        assert found.faulty >= 15
        assert found.missed == ()
        assert found.duplicates == 0
        assert found.flapping == ()
        assert found.most_per_sweep_and_hour <= 3
        assert receiver.kind == "slack" or found.longest_delay_alone_s <= 60, "the others were never away"
        assert receiver.kind == "slack" or found.longest_delay_in_sweep_s <= 330, "within the group's own interval"
        assert found.about_healthy == 0, receiver.kind
    assert found.incidents == 0, "a mail is none"
    paged = figures(jobs, day, day.receivers["pagerduty"].heard)
    assert paged.incidents == paged.faulty - 10 + 1, "ten of the faulty runs are of one sweep"
    assert paged.incidents_open_at_the_end < paged.incidents, "the run that did not learn and finished is resolved"


def test_the_figures_see_what_is_missed_and_what_is_said_twice() -> None:
    """Of a day in which a message came under two ids, and another never."""
    jobs = [job for job in team(11, seed=1) if job.kind == "crashes"]
    failed = StoredEvent(
        id=1, project="default", uid="u", run=jobs[0].name, kind="run.failed", at=START, finding_id=None, body=b"{}"
    )
    finding = {"id": "f", "change": "notice", "opened_at": "t", "resolved_at": None}
    body = {"title": jobs[0].name, "data": {"id": "m1", "reason": "first", "findings": [finding]}}
    twice = [
        Heard(START + 5, "webhook", body),
        Heard(START + 9, "webhook", body | {"data": body["data"] | {"id": "m2"}}),
    ]
    day = Day(events=[failed])
    assert figures(jobs, day, []).missed == (jobs[0].name,)
    assert (figures(jobs, day, twice).duplicates, figures(jobs, day, twice).longest_delay_alone_s) == (1, 5.0)
    assert figures(jobs, day, [twice[0], twice[0]]).duplicates == 0, "a copy under the same id"
