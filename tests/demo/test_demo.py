"""The demonstration: it really trains, really posts, and tells what was found."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from losswatch_server.cli import demo
from losswatch_server.demo.cases import CASES

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
