"""The demonstration: it really trains, really posts, and tells what was found."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from deploy.process import line_with_address
from losswatch_server.cli import demo
from losswatch_server.demo.cases import CASES

DEADLINE_S = 60.0
CHOSEN = [case for case in CASES if case.name in ("keras-linear", "bad-batch", "learned-by-heart")]


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_faults_are_told_with_advice_and_the_advised_rate_trains(terminal: bool) -> None:
    told = io.StringIO()
    console = Console(file=told, force_terminal=terminal, width=100, highlight=False, color_system=None)
    rows = demo.run_demo(CHOSEN[: 2 if terminal else 3], fast=True, console=console)
    assert [row.found[:1] for row in rows[:2]] == [["diverging"], ["loss_spike"]]
    assert rows[-1].case.name == "keras-linear-mended"
    assert (rows[-1].found, rows[-1].status) == ([], "healthy")
    assert rows[-1].loss < 0.01
    assert all(row.is_right for row in rows)
    text = told.getvalue()
    assert "Why does the loss grow every epoch" in text
    assert "Lower the learning rate from 0.01 to about 0.00347" in text or "Subtract the mean" in text
    assert ("\x1b" in text) == terminal
    assert f"{len(rows) - 1} of {len(rows) - 1} faults caught, 1 of 1 sound trainings left alone" in text


def test_a_service_that_does_not_start_is_said(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSWATCH_LOG_LEVEL", "warning")
    monkeypatch.setenv("LOSSWATCH_NO_SUCH_SETTING", "1")
    with pytest.raises(demo.DemoError, match="NO_SUCH_SETTING"), demo.service(tmp_path):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_demonstration_that_is_ended_leaves_no_service_behind(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "losswatch_server", "demo", "--keep"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        address = line_with_address(process)
        assert httpx.get(f"{address}/livez").status_code == 200
        process.send_signal(how)
        assert process.wait(DEADLINE_S) == (-how if how is signal.SIGKILL else 128 + how)
        deadline = time.monotonic() + DEADLINE_S
        while answers(address):
            assert time.monotonic() < deadline
    if how is not signal.SIGKILL:
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith("losswatch-demo-")] == []


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/livez").status_code == 200
    except httpx.TransportError:
        return False
