"""What every detector keeps, whatever it looks for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.snapshot import freeze
from monitor.curves import alarms, conditions, falling, flat, growing, points, watch

CURVES = {
    "falling": falling(300),
    "flat": flat(300),
    "growing": growing(40),
    "spiking": [*falling(200), 9.0, *falling(60, start=0.5)],
    "constant": [7.9712] * 60,
    "power law": (2 + 3 * np.arange(1, 500) ** -0.4).tolist(),
}

measured = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, 1e-12, 1e30]),
)


@given(st.lists(st.tuples(measured, measured, measured, measured), max_size=120), st.booleans())
def test_no_sequence_of_numbers_breaks_the_fold_or_the_report(
    rows: list[tuple[float | None, float | None, float | None, float | None]], classes: bool
) -> None:
    context = Context(loss_name="cross_entropy", num_classes=10, total_steps=100) if classes else Context()
    stream = [Point(i, *row, layers={"a": abs(row[1] or 1.0), "b": 1.0}) for i, row in enumerate(rows)]
    monitor = watch(stream, context)
    report = assess(monitor)
    assert report.points == len(rows)
    assert all(0 <= f.confidence <= 1 for f in report.findings)
    assert all(f.onset_step <= f.opened_step <= f.last_step for f in report.findings)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [-40, -8, 8, 40])
@pytest.mark.parametrize("name", CURVES)
def test_a_loss_in_another_unit_gets_the_same_verdicts(name: str, exponent: int) -> None:
    plain = [(f.condition, f.opened_step, f.onset_step) for f in alarms(watch(points(CURVES[name])))]
    scaled = [loss * 2.0**exponent for loss in CURVES[name]]
    assert [(f.condition, f.opened_step, f.onset_step) for f in alarms(watch(points(scaled)))] == plain


@pytest.mark.parametrize("name", CURVES)
def test_evidence_is_finite_or_absent(name: str) -> None:
    for finding in watch(points(CURVES[name])).findings():
        for value in finding.evidence.values():
            assert not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_fewer_than_five_finite_points_are_judged_only_where_they_multiply(length: int) -> None:
    for losses in ([1.0] * length, [5.0, 1.0, 9.0, 0.1][:length], growing(length, factor=4.0)):
        assert conditions(watch(points(losses))) == []
    assert ("diverging" in conditions(watch(points(growing(length, factor=50.0))))) is (length > 2)


def test_a_negative_loss_is_watched_like_any_other() -> None:
    rng = np.random.default_rng(0)
    losses = -2 + 3 * np.exp(-np.arange(500) / 80) + 0.05 * rng.normal(size=500)
    assert conditions(watch(points(losses.tolist()))) == []
    broken = np.concatenate([losses, -2 + 0.02 * 1.25 ** np.arange(40)])
    assert "diverging" in conditions(watch(points(broken.tolist())))


@pytest.mark.slow
def test_the_state_stays_within_its_bound_however_long_the_run() -> None:
    rng = np.random.default_rng(0)
    monitor = Monitor("long")
    monitor.see_context(Context(optimizer="sgd", learning_rate=0.1))
    sizes = []
    for block in range(8):
        n = 4000
        loss = 2 + 3 * (np.arange(block * n, (block + 1) * n) + 1.0) ** -0.4 + 0.05 * rng.normal(size=n)
        norm, rate = np.exp(0.2 * rng.normal(size=n)), 0.1 * np.exp(-np.arange(n) / n)
        for i in range(n):
            step = block * n + i
            monitor.see(
                Point(step, loss[i].item(), norm[i].item(), rate[i].item(), loss[i].item() if i % 4 == 0 else None)
            )
        monitor.drain_changes()
        sizes.append(len(freeze(monitor)))
    assert max(sizes) <= 64 * 1024
    assert sizes[-1] < sizes[2] * 1.25
