"""The life of a finding: opened once, updated, resolved with hysteresis, reopened, absorbed by a worse one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.lifecycle import KEPT, QUIET_POINTS, LifeCycle
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Verdict
from losswatch_server.monitor.rules.loss_spike import LossSpike
from losswatch_server.monitor.rules.non_finite import NonFiniteLoss
from losswatch_server.monitor.snapshot import freeze, thaw
from losswatch_server.monitor.vocabulary import Severity
from monitor.curves import alarms, falling, growing, points, watch

WARN = Alarm(onset_step=3, confidence=0.8, severity=Severity.WARNING)
CRIT = Alarm(onset_step=3, confidence=0.9, severity=Severity.CRITICAL)


def play(*verdicts: Verdict) -> LifeCycle:
    life = LifeCycle("run")
    for i, verdict in enumerate(verdicts):
        life.take(NonFiniteLoss(), verdict, step=i, points=i + 1)
    return life


@pytest.mark.parametrize(
    ("verdicts", "states"),
    [
        ((QUIET,) * 5, []),
        ((WARN,), [("warning", None)]),
        ((WARN, CRIT), [("critical", None)]),
        ((CRIT, WARN), [("critical", None)]),
        ((WARN, QUIET, QUIET, QUIET), [("warning", None)]),
        ((WARN, *[QUIET] * 4), [("warning", "resolved")]),
        ((WARN, QUIET, QUIET, WARN, QUIET, QUIET), [("warning", None)]),
        ((WARN, *[UNSURE] * 9), [("warning", None)]),
        ((WARN, *[QUIET] * 4, WARN), [("warning", None)]),
        ((WARN, *[QUIET] * 60, WARN), [("warning", "resolved"), ("warning", None)]),
    ],
)
def test_verdicts_become_findings(verdicts: tuple[Verdict, ...], states: list[tuple[str, str | None]]) -> None:
    assert [(f.severity, f.closed_by) for f in play(*verdicts).findings()] == states


def test_a_condition_that_returns_soon_keeps_its_id_and_later_gets_a_new_one() -> None:
    soon, later = play(WARN, *[QUIET] * 4, WARN), play(WARN, *[QUIET] * 60, WARN)
    assert soon.findings()[0].id == play(WARN).findings()[0].id
    assert len({f.id for f in later.findings()}) == 2
    assert [f.episode for f in later.findings()] == [1, 2]


def bursts(length: int = 3, gap: int = 20, n: int = 400) -> list[float]:
    """A healthy curve with two bursts of NaN, the second soon enough after the first to be the same finding."""
    losses = falling(n)
    for start in (200, 200 + gap):
        losses[start : start + length] = [math.nan] * length
    return losses


@pytest.mark.parametrize("gap", [8, 20, 34])
@pytest.mark.parametrize("length", [1, 3])
def test_a_finding_that_opened_again_resolves_again(length: int, gap: int) -> None:
    monitor = watch(points(bursts(length, gap)))
    report = assess(monitor)
    assert (report.status, report.action) == ("healthy", "continue")
    (finding,) = [f for f in report.findings if f.condition == "non_finite"]
    assert (finding.closed_by, finding.episode) == ("resolved", 1)
    assert finding.resolved_step == 200 + gap + length - 1 + QUIET_POINTS


def test_a_finding_that_opened_again_is_the_same_after_a_restart_at_any_point() -> None:
    stream = points(bursts(n=260))
    straight, restarted = Monitor("test"), Monitor("test")
    for point in stream:
        straight.see(point)
        restarted = thaw(freeze(restarted))
        restarted.see(point)
        assert freeze(restarted) == freeze(straight)
        assert assess(restarted).action == assess(straight).action
    assert assess(restarted) == assess(straight)


@given(st.lists(st.sampled_from([QUIET, UNSURE, WARN, CRIT]), max_size=120))
def test_what_is_open_and_what_troubles_are_never_stale(verdicts: list[Verdict]) -> None:
    life = LifeCycle("run")
    for i, verdict in enumerate(verdicts):
        life.take(NonFiniteLoss(), verdict, step=i, points=i + 1)
        assert life.troubled == {f.condition for f in life.findings() if f.is_open and f.severity.rank}


def test_a_spike_under_a_non_finite_loss_opens_nothing() -> None:
    life = play(CRIT)
    life.take(LossSpike(), WARN, step=5, points=6)
    assert [f.condition for f in life.findings()] == ["non_finite"]


def test_every_change_is_drained_once_and_in_order() -> None:
    monitor = watch(points([*falling(60), *growing(12, factor=2.0), *falling(60, start=1.0)]))
    changes = monitor.drain_changes()
    assert [f.closed_by for f in changes if f.id == changes[0].id][-1] == "resolved"
    assert monitor.drain_changes() == []


def test_only_so_many_closed_findings_stay_in_the_state() -> None:
    life = play(*([WARN, *[QUIET] * 60] * (KEPT + 5)))
    assert len(life.findings()) == KEPT


def test_a_diverging_run_is_not_also_spiking_exploding_and_oscillating() -> None:
    losses = [*falling(200), *(0.4 * 1.2 ** np.arange(60)).tolist()]
    found = alarms(watch(points(losses, grad_norm=[loss**0.5 for loss in losses])))
    assert [str(f.condition) for f in found if f.is_open] == ["diverging"]
