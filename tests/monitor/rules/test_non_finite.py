"""non_finite: NaN, infinities, nulls, other ranks, and what a loss scaler does."""

from __future__ import annotations

import math

import pytest

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.snapshot import freeze
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


def scaled(scales: list[float], name: str = "loss_scale") -> list[Point]:
    return [p._replace(metrics={name: s}) for p, s in zip(points(falling(len(scales))), scales, strict=True)]


HALVING = [2.0**16] * 40 + [2.0 ** (16 - i) for i in range(1, 22)]


@pytest.mark.parametrize("name", ["loss_scale", "train/grad_scale", "amp/scale", "scaler.scale", "LossScale"])
def test_a_loss_scale_that_collapses_is_a_warning(name: str) -> None:
    (found,) = alarms(watch(scaled(HALVING, name)))
    assert (found.condition, found.severity, found.series) == ("non_finite", Severity.WARNING, "grad_norm")
    assert found.onset_step == 40 + 16
    assert "from 65,536 to 0.0312" in assess(watch(scaled(HALVING, name))).findings[0].summary


def test_a_loss_scale_is_said_to_collapse_below_one_and_not_above() -> None:
    assert alarms(watch(scaled([65536.0, *[0.5] * 60])))
    assert alarms(watch(scaled([65536.0, *[1.0] * 60]))) == []


def test_a_loss_scale_that_was_never_high_has_not_collapsed() -> None:
    assert alarms(watch(scaled([512.0, *[0.5] * 60])))
    assert alarms(watch(scaled([511.0, *[0.5] * 60]))) == []


def test_a_loss_scale_that_doubles_again_ends_the_finding() -> None:
    monitor = watch(scaled([65536.0] * 20 + [0.5] * 20 + [2.0] * 40))
    assert [f.is_open for f in monitor.findings() if f.condition == "non_finite"] == [False]


def test_steps_that_halve_the_loss_scale_now_and_then_are_no_alarm() -> None:
    scales = [2.0 ** (16 - i // 40) for i in range(300)]
    norms: list[float | None] = [INF if i and i % 40 == 0 else 1.0 for i in range(300)]
    stream = [p._replace(grad_norm=norm) for p, norm in zip(scaled(scales), norms, strict=True)]
    assert alarms(watch(stream)) == []


def test_a_stated_loss_scale_that_collapses_between_two_contexts_is_a_warning() -> None:
    monitor = Monitor("run")
    for start, scale in ((0, 65536.0), (40, 0.25)):
        monitor.see_context(Context(facts=ModelFacts(loss_scale=scale)))
        monitor.see_all(points(falling(40), first=start))
    assert [f.evidence["loss_scale"] for f in alarms(monitor)] == [0.25]


@pytest.mark.parametrize("size", [1, 7, 64, 400])
def test_a_loss_scale_in_batches_is_judged_as_point_by_point(size: int) -> None:
    scales = [65536.0] * 130 + [2.0 ** (16 - i // 3) for i in range(60)] + [4.0] * 90
    stream = [p._replace(grad_norm=1.0 + i % 3) if i % 2 else p for i, p in enumerate(scaled(scales))]
    together = Monitor("run")
    for begun in range(0, len(stream), size):
        together.see_all(stream[begun : begun + size])
    alone = Monitor("run")
    for point in stream:
        alone.see(point)
    assert freeze(together) == freeze(alone)
