"""A shortened day of a team, through the real service on a fast clock. ``make bench-teamday`` plays the whole one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.teamday.figures import figures
from benchmarks.teamday.play import play
from benchmarks.teamday.team import team


@pytest.mark.slow
def test_every_faulty_run_of_a_day_is_told_once_and_soon(tmp_path: Path) -> None:
    jobs = team(41, seed=3)
    day = asyncio.run(play(jobs, tmp_path, 3, kills=(600, 2_000), away=(2_500, 3_100)))
    for receiver in (day.slack, day.webhook):
        found = figures(jobs, day, receiver.heard)
        assert found.faulty >= 15
        assert found.missed == ()
        assert found.duplicates == 0
        assert found.flapping == ()
        assert found.most_per_sweep_and_hour <= 3
    assert found.longest_delay_alone_s <= 60, "the webhook was never away"
    assert found.longest_delay_in_sweep_s <= 330, "within the group's own interval"
