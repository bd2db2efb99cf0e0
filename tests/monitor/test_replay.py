"""An explanation shows what the rule saw: its statistic beyond its threshold where the finding opened."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.replay import MOST_ROWS, Probe, explain
from losswatch_server.monitor.replay.thinning import AROUND, Row, condense, thin
from losswatch_server.monitor.snapshot import freeze
from losswatch_server.monitor.vocabulary import Condition, Severity
from monitor.curves import falling, flat, growing, points, watch

RNG = np.random.default_rng(0)
TEN = Context(loss_name="cross_entropy", num_classes=10)
PLANNED = Context(total_steps=1000, loss_name="mse")


def noisy(level: np.ndarray, sd: float) -> list[float]:
    return (level + sd * RNG.normal(size=len(level))).tolist()


def with_norms(losses: list[float], norms: list[float], layers: dict[str, float] | None = None) -> list[Point]:
    return [Point(i, a, grad_norm=g, layers=layers) for i, (a, g) in enumerate(zip(losses, norms, strict=True))]


def validated(losses: list[float], validation: list[float]) -> list[Point]:
    return [Point(i, a, validation_loss=v) for i, (a, v) in enumerate(zip(losses, validation, strict=True))]


STEPS = np.arange(1000)
CURVES: dict[str, tuple[Condition, list[Point], Context]] = {
    "a loss that becomes NaN": (Condition.NON_FINITE, points([*falling(50), *[math.nan] * 3]), Context()),
    "gradient norms that become NaN": (
        Condition.NON_FINITE,
        with_norms(falling(80), [1.0] * 60 + [math.nan] * 20),
        Context(),
    ),
    "geometric growth": (Condition.DIVERGING, points(growing(20, factor=1.5)), Context()),
    "an orderly rise": (
        Condition.DIVERGING,
        points([*(2 - 0.05 * STEPS[:20]), *(1 + 0.12 * STEPS[:14])]),
        Context(step_unit="epoch"),
    ),
    "a slow climb": (
        Condition.DIVERGING,
        points(falling(600, noise=0.05) + noisy(0.3 + 0.003 * STEPS[:800], 0.03)),
        Context(),
    ),
    "all that was learned lost": (
        Condition.DIVERGING,
        points(falling(300) + flat(600, level=3.0, noise=0.1)),
        Context(),
    ),
    "a spike": (Condition.LOSS_SPIKE, points([*falling(200), 9.0, 8.0, 7.0, *falling(60, start=0.5)]), Context()),
    "gradients that grow": (
        Condition.EXPLODING_GRADIENT,
        with_norms(falling(200), np.exp(noisy(np.where(STEPS[:200] < 100, 0.0, 5.3), 0.1)).tolist()),
        Context(),
    ),
    "a first loss far above guessing": (
        Condition.EXPLODING_GRADIENT,
        with_norms((200 - 0.01 * STEPS[:100]).tolist(), [50.0] * 100),
        TEN,
    ),
    "inputs that are not scaled": (
        Condition.EXPLODING_GRADIENT,
        with_norms((200 - 0.01 * STEPS[:100]).tolist(), [2e5] * 100),
        Context(loss_name="mse"),
    ),
    "a first layer without gradient": (
        Condition.VANISHING_GRADIENT,
        with_norms(flat(400), [0.4] * 400, {"a": 4e-9, "b": 0.1, "c": 0.4}),
        TEN,
    ),
    "a dead layer": (
        Condition.VANISHING_GRADIENT,
        with_norms(flat(400), [0.4] * 400, {"a": 0.0, "b": 0.1, "c": 0.4}),
        TEN,
    ),
    "a norm that collapsed": (Condition.VANISHING_GRADIENT, with_norms(flat(400), [1.0] * 40 + [1e-6] * 360), TEN),
    "chance level": (Condition.NOT_LEARNING, points(flat()), TEN),
    "a flat loss": (Condition.NOT_LEARNING, points(flat()), Context()),
    "a loss that blew up and stayed there": (
        Condition.NOT_LEARNING,
        points([1.0, 60.0, 90.0, 40.0, *noisy(np.full(60, 2.5), 0.8)]),
        Context(total_steps=100),
    ),
    "a bad floor": (Condition.PLATEAU, points(falling(400, floor=1.5) + flat(600, level=1.5)), PLANNED),
    "a good floor": (
        Condition.CONVERGED,
        points(falling(600, floor=0.05) + flat(600, level=0.05, noise=0.002)),
        Context(),
    ),
    "a slow fall": (Condition.SLOW_CONVERGENCE, points(noisy(2.3 - 1e-4 * STEPS, 0.02)), PLANNED),
    "a slow fall from guessing": (
        Condition.SLOW_CONVERGENCE,
        points(noisy(2.32 - 7e-5 * STEPS, 0.02)),
        Context(loss_name="cross_entropy", num_classes=10, total_steps=1000),
    ),
    "a wave": (Condition.OSCILLATION, points(noisy(1 + 0.4 * np.sin(STEPS[:600] * np.pi / 10), 0.05)), Context()),
    "alternation": (Condition.OSCILLATION, points(noisy(1 + 0.4 * (-1.0) ** STEPS[:600], 0.05)), Context()),
    "validation that turned up": (
        Condition.OVERFITTING,
        validated(falling(60, noise=0.01, floor=0.01), noisy(1 + 0.001 * (STEPS[:60] - 20.0) ** 2, 0.02)),
        Context(step_unit="epoch"),
    ),
}


@cache
def found(name: str) -> tuple[Finding, list[Point], Context]:
    condition, stream, context = CURVES[name]
    return next(f for f in watch(stream, context).findings() if f.condition is condition), stream, context


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
def test_the_statistic_is_beyond_its_threshold_where_the_finding_opened(name: str) -> None:
    finding, stream, context = found(name)
    told = explain(stream, context, finding)
    opened = next(row for row in told.values if row.step == finding.opened_step)
    assert opened.threshold is not None
    assert told.threshold == opened.threshold
    assert opened.statistic >= opened.threshold if told.above else opened.statistic < opened.threshold


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
def test_an_explanation_tells_of_its_finding_and_shows_its_course(name: str) -> None:
    finding, stream, context = found(name)
    told = explain(stream, context, finding)
    assert (told.finding, told.condition, told.series) == (finding.id, finding.condition, finding.series)
    assert (told.onset_step, told.opened_step) == (finding.onset_step, finding.opened_step)
    assert told.used[0] <= told.onset_step <= told.used[1] == told.opened_step
    assert told.rule.endswith(".")
    assert any(sign.isdigit() for sign in told.rule) or finding.evidence.get("rule") == "lost"
    assert 5 < len(told.values) <= MOST_ROWS
    assert [row.step for row in told.values] == sorted({row.step for row in told.values})


def test_a_spike_is_held_against_its_limit_and_then_against_its_recovery() -> None:
    finding, stream, context = found("a spike")
    rows = {row.step: row for row in explain(stream, context, finding).values}
    assert (rows[200].value, rows[200].statistic) == (9.0, 9.0)
    assert rows[201].threshold is not None
    assert rows[200].threshold is not None
    assert rows[201].threshold < rows[200].threshold < 9.0


def test_a_finding_that_goes_on_for_another_reason_is_explained_by_the_one_that_opened_it() -> None:
    norms = {"a": [4e-6] * 300 + [0.0] * 300, "b": [0.1] * 600, "c": [0.4] * 600}
    stream = [
        Point(i, loss, grad_norm=0.4, layers={name: values[i] for name, values in norms.items()})
        for i, loss in enumerate(flat(600))
    ]
    finding = next(f for f in watch(stream, TEN).findings() if f.condition is Condition.VANISHING_GRADIENT)
    told = explain(stream, TEN, finding)
    assert finding.evidence["layers_dead"] == 1
    assert told.statistic == "gradient norm of the first layer"
    assert told.threshold == 1e-3


def test_probing_changes_nothing_in_the_run() -> None:
    finding, stream, context = found("a spike")
    probe, watched = Probe(finding), watch(stream[:150], context)
    probe.watch(watched)
    for point in stream[150:]:
        watched.see(point)
        probe.look(watched)
    assert freeze(watched) == freeze(watch(stream, context))


def test_silence_is_not_explained_from_points() -> None:
    silent = Finding(
        id="f",
        condition=Condition.SILENT,
        series="clock",
        attempt=1,
        episode=1,
        severity=Severity.WARNING,
        confidence=0.95,
        onset_step=3,
        opened_step=3,
        last_step=3,
    )
    with pytest.raises(LookupError):
        Probe(silent)


rows_of = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan))), min_size=1
)


@pytest.mark.slow
@given(rows_of, st.integers(0, 4000), st.integers(1, 40))
def test_thinning_keeps_the_extremes_and_what_is_around_the_marks(
    pattern: list[tuple[float, float | None]], mark: int, repeats: int
) -> None:
    rows = [Row(i, value, statistic, 1.0) for i, (statistic, value) in enumerate(pattern * repeats * 20)]
    for thinned in (thin(rows, [mark]), thin(condense(rows, [mark], 64), [mark])):
        assert len(thinned) <= MOST_ROWS
        assert thinned == sorted(thinned, key=lambda row: row.step)
        assert {rows[0], rows[-1]} <= set(thinned)
        for choose in (min, max):
            assert choose(r.statistic for r in thinned) == choose(r.statistic for r in rows)
            values = [r.value for r in rows if r.value is not None and r.value == r.value]
            if values:
                left = [r.value for r in thinned if r.value is not None and r.value == r.value]
                assert choose(left) == choose(values)
        at = min(mark, len(rows) - 1)
        assert {row.step for row in thinned} >= set(range(max(0, at - AROUND), min(len(rows), at + AROUND + 1)))


@pytest.mark.slow
def test_a_long_run_is_explained_in_few_rows_that_show_all_of_it() -> None:
    losses = falling(20_000)
    losses[15_000] = 9.0
    finding = next(f for f in watch(points(losses)).findings() if f.condition is Condition.LOSS_SPIKE)
    told = explain(points(losses), Context(), finding)
    assert len(told.values) <= MOST_ROWS
    steps = np.array([row.step for row in told.values])
    assert np.diff(steps).max() < 20_000 / 25
    assert {15_000 - AROUND, 15_000, 15_000 + AROUND} <= set(steps.tolist())
