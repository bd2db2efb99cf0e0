"""The plug of the service is pulled at random under a training of 10,000 steps: every point arrives, and once."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from house import House

STEPS = 10_000
PULLS = 2
TRAINER = Path(__file__).with_name("trainer.py")


@pytest.fixture
def pulls(request: pytest.FixtureRequest) -> int:
    """How often the plug is pulled: ``--plug-pulls`` where it is given (make soak)."""
    return int(request.config.getoption("--plug-pulls", default=PULLS) or PULLS)


def serve(data: Path, port: int) -> subprocess.Popen[str]:
    """A service that answers."""
    command = [sys.executable, "-m", "losswatch_server", "serve", "--port", str(port), "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert re.search(r"http://\S+", process.stdout.readline()), "the service did not start"
    return process


def pull(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.slow
def test_every_point_arrives_once_however_often_the_plug_is_pulled(tmp_path: Path, pulls: int) -> None:
    draw = random.Random(20261128)
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = serve(data, port)
    trainer = subprocess.Popen(
        [sys.executable, str(TRAINER), f"http://127.0.0.1:{port}", str(STEPS), str(pulls * 1e-4)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "LOSSWATCH_SPOOL_DIR": str(tmp_path / "spool")},
        text=True,
    )
    try:
        for _ in range(pulls):
            time.sleep(draw.uniform(0.05, 0.5))  # anywhere in the course of things; nothing depends on where
            pull(service)
            time.sleep(draw.uniform(0.0, 0.5))
            service = serve(data, port)
        trained, dropped = trainer.communicate("all pulls are done\n", timeout=250)[0].split()
    finally:
        trainer.kill()
        pull(service)
    assert (trained, dropped, trainer.returncode) == ("trained", "0", 0)
    assert list((tmp_path / "spool").glob("*.jsonl")) == []
    house = House(data)
    try:
        stored = house.stored("plugged")
        assert [one.point.step for one in stored] == list(range(STEPS))
        assert [one.point.loss for one in stored] == [1.0 + 1.0 / (step + 1) for step in range(STEPS)]
        report = house.report("plugged")
        assert (report.run.points, report.run.attempt, report.run.state) == (STEPS, 1, "finished")
    finally:
        house.close()
