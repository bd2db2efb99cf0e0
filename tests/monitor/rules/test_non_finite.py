"""non_finite: NaN, infinities, nulls, other ranks, and what a loss scaler does."""

from __future__ import annotations

import math

import pytest

from losswatch_server.monitor.points import Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.vocabulary import LoopAction, Severity, Status
from monitor.curves import alarms, falling, points, watch

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_one_non_finite_loss_is_critical_at_once(value: float) -> None:
    found = alarms(watch(points([1.0, 0.9, value])))
    assert [(f.severity, f.onset_step) for f in found] == [(Severity.CRITICAL, 2)]


def test_the_loop_is_told_to_stop_only_when_the_loss_stays_non_finite() -> None:
    assert assess(watch(points([1.0, NAN]))).action is LoopAction.LOOK
    assert assess(watch(points([1.0, NAN, NAN, NAN]))).action is LoopAction.STOP


def test_a_null_where_a_loss_was_is_a_warning_until_it_repeats() -> None:
    stream = [*points([1.0, 0.9]), Point(2, loss_is_null=True)]
    assert [f.severity for f in alarms(watch(stream))] == [Severity.WARNING]
    stream.append(Point(3, loss_is_null=True, grad_norm=0.1))
    assert [f.severity for f in alarms(watch(stream))] == [Severity.CRITICAL]
    assert any("null" in note for note in assess(watch(stream)).notes)


def test_a_null_loss_beside_a_validation_loss_means_not_measured() -> None:
    stream = [*points([1.0, 0.9]), Point(2, loss_is_null=True, validation_loss=0.8)]
    assert alarms(watch(stream)) == []


def test_a_run_that_never_had_a_loss_may_send_nulls() -> None:
    assert alarms(watch([Point(i, loss_is_null=True, grad_norm=1.0) for i in range(10)])) == []


def test_a_non_finite_loss_of_another_rank_counts() -> None:
    stream = [*points([1.0, 0.9]), Point(1, NAN, rank=3)]
    found = alarms(watch(stream))
    assert [(f.evidence["rank"], f.severity) for f in found] == [(3, Severity.CRITICAL)]


def test_steps_that_a_loss_scaler_skipped_are_information() -> None:
    losses = falling(300)
    norms: list[float | None] = [1.0] * 300
    for skipped in (0, 1, 2, 120, 260):
        norms[skipped] = INF
    report = assess(watch(points(losses, grad_norm=norms)))
    assert report.status is Status.HEALTHY


def test_a_gradient_that_stays_nan_with_a_finite_loss_is_critical() -> None:
    norms: list[float | None] = [1.0] * 50 + [NAN] * 12
    found = alarms(watch(points(falling(62), grad_norm=norms)))
    assert [(f.series, f.severity) for f in found] == [("grad_norm", Severity.CRITICAL)]


def test_a_loss_that_returns_resolves_the_finding() -> None:
    found = alarms(watch(points([1.0, 0.9, NAN, *falling(10, start=0.8)])))
    assert [f.closed_by for f in found] == ["resolved"]


def test_healthy_ranks_do_not_resolve_what_another_rank_reports() -> None:
    stream = points([1.0, 0.9])
    for step in range(2, 12):
        stream.append(Point(step, NAN))
        stream += [Point(step, 0.8, rank=rank) for rank in range(1, 8)]
    found = alarms(watch(stream))
    assert [(f.is_open, f.episode) for f in found] == [(True, 1)]
