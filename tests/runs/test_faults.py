"""A rule's bug never costs a run, whatever it does to the rule's own state, to snapshots, or to what follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from house import House
from losswatch_server.monitor import monitor
from losswatch_server.monitor.asked import WITHOUT_VALIDATION
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.rules.base import QUIET
from losswatch_server.monitor.rules.diverging import Diverging
from losswatch_server.monitor.rules.loss_spike import LossSpike
from losswatch_server.monitor.vocabulary import Status


def test_a_state_that_cannot_be_written_down_costs_snapshots_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def keeps_numpy(_: Any, state: Any, view: Any) -> Any:
        state.opened_n = np.int64(view.points)
        return QUIET

    monkeypatch.setattr(Diverging, "step", keeps_numpy)
    for start in range(0, 900, 300):
        house.record([Point(step, 1.0 / (step + 1)) for step in range(start, start + 300)])
    house.record([Point(900, grad_norm=1.0)])
    house.record([Point(900, loss=0.5)])
    assert house.report().run.points == 901
    assert house.sql("SELECT count(*) FROM snapshot")[0][0] == 0
    assert ["snapshot of its state" in record.getMessage() for record in caplog.records] == [True]
    monkeypatch.undo()
    house.restart()
    assert house.record([Point(901, float("nan"))], report=True).report.run.status is Status.CRITICAL


@pytest.mark.slow
def test_a_rule_that_fails_is_noted_alike_after_restarts_and_without_snapshots(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = LossSpike.step

    def fails_now_and_then(rule: LossSpike, state: Any, view: Any) -> Any:
        if view.points in (50, 299, 300, 301):
            raise IndexError("a bug")
        return step(rule, state, view)

    monkeypatch.setattr(LossSpike, "step", fails_now_and_then)
    monkeypatch.delattr(LossSpike, "pass_over")  # it speaks of the step that is patched, as ``calm`` does
    monkeypatch.setattr(monitor, "CALM", tuple((*asked, lambda *_: False) for asked in WITHOUT_VALIDATION))
    stream = [Point(i, 2.0 + 0.01 * (i % 7) + 9.0 * (i in (60, 310))) for i in range(400)]
    house.record(stream, name="whole")
    for start in range(0, 400, 50):
        house.record(stream[start : start + 50], name="pieces")
        house.restart()
    parts = [house.report(name).assessment for name in ("whole", "pieces")]
    house.sql("DELETE FROM snapshot")
    house.restart()
    parts += [house.report(name).assessment for name in ("whole", "pieces")]
    assert len({assessment.notes for assessment in parts}) == 1
    assert "4 times from step 49 to step 300" in parts[0].notes[0]
    opened = [[(f.condition, f.opened_step, f.resolved_step) for f in assessment.findings] for assessment in parts]
    assert opened == [opened[0]] * 4
