"""A bug in a rule, a cause, an advice, a sentence, the forecast or an explanation costs itself alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from losswatch_server.monitor import diagnoses, report, siblings
from losswatch_server.monitor import monitor as monitor_module
from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.faults import KINDS, Faults
from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.replay import explain, probe
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.rules.base import Alarm, View
from losswatch_server.monitor.rules.diverging import Diverging
from losswatch_server.monitor.rules.loss_spike import LossSpike
from losswatch_server.monitor.siblings import Sibling, compare
from losswatch_server.monitor.snapshot import freeze, thaw
from losswatch_server.monitor.vocabulary import Severity
from losswatch_server.runs.offline import diagnose_bytes
from monitor.curves import conditions, falling, growing, points, watch

STREAM = points([*falling(60), *growing(30, factor=1.4)])


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a bug")


class Now:
    """Raises when it is asked at certain counts of points; else it does as the rule does."""

    def __init__(self, rule: Callable[..., Any], *counts: int) -> None:
        self.rule, self.counts = rule, counts

    def __get__(self, detector: Any, _: Any) -> Callable[..., Any]:
        def step(state: Any, view: View) -> Any:
            verdict = self.rule(detector, state, view)
            if view.points in self.counts:
                raise KeyError("a bug")
            return verdict

        return step


@pytest.mark.parametrize("place", range(len(DETECTORS)))
def test_whichever_rule_fails_the_others_answer(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = DETECTORS[place]
    stream = [*STREAM, Point(90, float("nan"), float("inf"), validation_loss=1.0)]
    healthy = conditions(watch(stream))
    monkeypatch.setattr(type(rule), "step", broken)
    monitor = watch(stream)
    found = assess(monitor)
    assert found.points == 91
    assert {*conditions(monitor), str(rule.condition)} >= set(healthy)
    (fault,) = monitor.drain_faults()
    assert (fault.part, fault.of, fault.error) == ("rule", f"{rule.condition}/{rule.series}", "ZeroDivisionError")
    assert "in broken" in fault.traceback
    (note,) = [note for note in found.notes if "fault of Losswatch" in note]
    assert f"{rule.condition}/{rule.series}" in note
    assert f"step {fault.step}" in note


@pytest.mark.parametrize(
    "verdict",
    [
        None,
        Alarm(onset_step=1, confidence=float("nan"), severity=Severity.WARNING),
        Alarm(onset_step=1, confidence=1.5, severity=Severity.WARNING),
        Alarm(onset_step=np.int64(1), confidence=0.5, severity=Severity.WARNING),  # type: ignore[arg-type]
        Alarm(onset_step=1, confidence=0.5, severity=Severity.WARNING, evidence={"steady": np.bool_(True)}),
        Alarm(onset_step=1, confidence=0.5, severity=Severity.WARNING, evidence={"sizes": np.ones(2)}),
    ],
)
def test_a_verdict_that_cannot_be_kept_is_a_fault_of_its_rule(verdict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Diverging, "step", lambda *_: verdict)
    monitor = watch(STREAM)
    assert {fault.of for fault in monitor.drain_faults()} == {"diverging/loss"}
    assert "diverging" not in conditions(monitor)
    assert freeze(thaw(freeze(monitor))) == freeze(monitor)


def test_a_rule_that_failed_begins_anew_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Diverging, "step", Now(Diverging.step, 20, 70))
    monitor = watch(STREAM)
    (fault,) = monitor.drain_faults()
    assert (fault.count, fault.step, fault.last_step) == (2, 19, 69)
    assert "diverging" in conditions(monitor)
    assert any("2 times from step 19 to step 69" in note for note in assess(monitor).notes)


def test_a_failure_is_the_same_however_often_the_run_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Diverging, "step", Now(Diverging.step, 20, 66, 67, 71, 85))
    monkeypatch.setattr(LossSpike, "step", Now(LossSpike.step, 64, 65))
    straight, restarted = Monitor("run"), Monitor("run")
    for point in STREAM:
        straight.see(point)
        restarted = thaw(freeze(restarted))
        restarted.see(point)
        assert freeze(restarted) == freeze(straight)
    assert assess(restarted) == assess(straight)
    assert len(straight.faults.known()) == 2


def test_a_memory_that_fails_costs_its_point_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    add = Track.add

    def sometimes(track: Track, step: int, value: float) -> bool:
        return broken() if step == 7 else add(track, step, value)

    monkeypatch.setattr(Track, "add", sometimes)
    monitor = watch(STREAM)
    assert (monitor.points, monitor.memory.loss.n) == (90, 89)
    assert [fault.part for fault in monitor.drain_faults()] == ["memory"]


@pytest.mark.parametrize(
    ("module", "name", "part"),
    [
        (diagnoses, "gather", "causes"),
        (diagnoses, "with_onset", "causes"),
        (report.engine, "rank", "causes"),
        (report.advice, "advise", "advice"),
        (diagnoses, "summary", "sentence"),
        (report, "headline", "sentence"),
    ],
)
@pytest.mark.parametrize("watched", [False, True])
def test_a_finding_is_reported_although_what_is_said_of_it_fails(
    module: Any, name: str, part: str, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = assess(watch(STREAM))
    monkeypatch.setattr(module, name, broken)
    monitor = watch(STREAM, watched=watched)
    told = assess(monitor)
    assert {fault.part for fault in told.faults} == {part}
    assert all("in broken" in fault.traceback for fault in told.faults)
    assert any("fault of Losswatch" in note for note in told.notes)
    assert (told.status, told.action) == (whole.status, whole.action)
    assert [f.id for f in told.findings] == [f.id for f in whole.findings]
    assert told.headline
    plain = {f"{f.condition} ({f.series}) since step {f.onset_step}." for f in told.findings}
    said = {f.summary for f in told.findings}
    assert said == (plain if name == "summary" else {f.summary for f in whole.findings})
    assert assess(monitor).notes == assess(thaw(freeze(monitor))).notes == told.notes


def test_a_healthy_run_gets_a_headline_although_its_sentence_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "nothing_found", broken)
    told = assess(watch(points(falling(30))))
    assert told.headline == "The run is healthy."
    assert [fault.part for fault in told.faults] == ["sentence"]


def test_a_forecast_that_fails_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert assess(watch(points(falling(60)))).forecast.floor is not None
    monkeypatch.setattr(monitor_module, "forecast", broken)
    monitor = watch(points(falling(60)))
    assert assess(monitor).forecast.floor is None
    assert [fault.part for fault in monitor.drain_faults()] == ["forecast"]


@pytest.mark.parametrize("name", ["Row", "thin"])
def test_an_explanation_that_fails_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = [f for f in watch(STREAM).findings() if f.condition == "diverging"]
    monkeypatch.setattr(probe, name, broken)
    told = explain(STREAM, Context(), finding, uid="test")
    assert told.finding == finding.id
    assert told.values == ()
    assert "fault of Losswatch" in told.rule
    assert {fault.part for fault in told.faults} == {"explanation"}


def test_a_comparison_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Sibling(run="other", uid="b", attempt=1, loss=2.0, earlier=True)
    monkeypatch.setattr(siblings, "_sentence", broken)
    standing = compare("a", "sweep", 10, 1.0, [other], 0)
    assert standing.rank is None
    assert "fault of Losswatch" in standing.sentence
    assert [fault.part for fault in standing.faults] == ["comparison"]


def test_a_diagnosis_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Diverging, "step", broken)
    log = "step,loss\n" + "".join(f"{point.step},{point.loss}\n" for point in STREAM)
    diagnosis = diagnose_bytes(log.encode(), explain=True)
    assert {fault.of for fault in diagnosis.faults} == {"diverging/loss"}
    assert any("diverging/loss" in note for note in diagnosis.assessment.notes)


def test_faults_are_bounded() -> None:
    faults = Faults()
    for i in range(10 * KINDS):
        faults.add("rule", f"rule {i}", i, ValueError("x" * 10_000))
        faults.add("rule", "rule 0", i, ValueError("again"))
    assert len(faults.known()) == KINDS
    assert max(len(fault.message) for fault in faults.known()) <= 200
    first = faults.known()[0]
    assert (first.count, first.step, first.last_step) == (1 + 10 * KINDS, 0, 10 * KINDS - 1)


def test_a_machine_without_memory_is_no_fault_of_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Diverging, "step", full)
    with pytest.raises(MemoryError):
        watch(STREAM)
