"""kill -9 in the middle of posting: every acknowledged point is there, none twice, and the file is sound."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from house import House

ROUNDS = 5
POSTER = Path(__file__).with_name("poster.py")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often to kill: ``--kill-rounds`` where it is given (make soak)."""
    return int(request.config.getoption("--kill-rounds", default=ROUNDS) or ROUNDS)


@pytest.mark.slow
def test_a_kill_loses_no_acknowledged_point_and_stores_none_twice(tmp_path: Path, rounds: int) -> None:
    draw = random.Random(20261121)
    acknowledged = 0
    for _ in range(rounds):
        process = subprocess.Popen(
            [sys.executable, str(POSTER), str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        answers = draw.randint(1, 60)
        for line in process.stdout:
            acknowledged = int(line)
            answers -= 1
            if answers <= 0:
                break
        process.kill()
        for line in process.stdout:  # what it still managed to say before it died
            if line.endswith("\n"):
                acknowledged = int(line)
        process.stdout.close()
        process.wait()
        house = House(tmp_path / "data")
        try:
            assert house.sql("PRAGMA integrity_check") == [("ok",)]
            steps = [stored.point.step for stored in house.stored()]
            assert steps == list(range(len(steps)))
            assert len(steps) >= acknowledged
            assert house.report().run.points == len(steps)
        finally:
            house.close()
    assert acknowledged > rounds
