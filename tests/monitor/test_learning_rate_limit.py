"""The growth of a diverging loss implies the stable learning rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.learning_rate_limit import (
    difference_ratios,
    grows_geometrically,
    largest_finite,
    limit_from_growth,
    overflow_step,
    spread,
)

KERAS = [450.9794, 1603.0852, 5698.4731, 20256.3398, 72005.1719]
"""Dense(1) on xs = 1..20, ys = xs / 2 with SGD at 0.01; the Hessian's largest eigenvalue is 288.539."""


def true_limit_of_the_keras_example() -> float:
    xs = np.arange(1.0, 21.0)
    design = np.stack([xs, np.ones(20)], axis=1)
    return float(2 / np.linalg.eigvalsh(2 * design.T @ design / 20)[-1])


def test_the_documented_keras_run_implies_its_true_limit() -> None:
    ratios = difference_ratios(KERAS)
    assert spread(ratios) < 1.001
    limit = limit_from_growth(ratios[-1], 0.01, points=5, ratio_spread=spread(ratios))
    assert limit is not None
    assert limit.learning_rate_limit == pytest.approx(true_limit_of_the_keras_example(), rel=1e-4)
    assert limit.learning_rate_times_sharpness == pytest.approx(2.88539, rel=1e-4)
    assert limit.recommended_learning_rate == pytest.approx(0.003466, rel=1e-3)
    assert limit.interval is not None
    assert limit.interval[0] < true_limit_of_the_keras_example() <= limit.interval[1] * 1.0001


def test_without_the_rate_the_documented_run_gives_a_factor() -> None:
    limit = limit_from_growth(difference_ratios(KERAS)[-1])
    assert limit is not None
    assert limit.learning_rate_limit is None
    assert limit.interval is None
    assert limit.recommended_factor == pytest.approx(0.347, abs=5e-4)


@pytest.mark.parametrize("terms", [20, 32, None])
def test_the_documented_run_overflows_where_it_did(terms: int | None) -> None:
    early, late = overflow_step(5, KERAS[-1], KERAS[-1] / KERAS[-2], "fp32", terms) or (0, 0)
    assert 62 <= early <= 64
    assert 66 <= late <= 67
    if terms == 20:
        assert early == 64


def descend(rate: float, sharpness: float, mu: float, nesterov: bool, steps: int) -> list[float]:
    """SGD with momentum as PyTorch and Keras define it, on sharpness / 2 w**2 + 3."""
    w, velocity, losses = 1.0, 0.0, []
    for _ in range(steps):
        losses.append(0.5 * sharpness * w * w + 3.0)
        gradient = sharpness * w
        velocity = mu * velocity + gradient
        w -= rate * (gradient + mu * velocity if nesterov else velocity)
    return losses


@given(
    mu=st.floats(0.0, 0.95),
    beyond=st.floats(1.1, 4.0),
    sharpness=st.floats(1e-3, 1e4),
    nesterov=st.booleans(),
    steps_per_point=st.sampled_from([1, 2, 3]),
)
def test_the_limit_of_a_quadratic_is_recovered_with_any_momentum(
    mu: float, beyond: float, sharpness: float, nesterov: bool, steps_per_point: int
) -> None:
    limit_rate = ((2 + 2 * mu) / (1 + 2 * mu) if nesterov else 2 * (1 + mu)) / sharpness
    losses = descend(beyond * limit_rate, sharpness, mu, nesterov, 100)[::steps_per_point]
    limit = limit_from_growth(
        difference_ratios(losses)[-1], beyond * limit_rate, mu, nesterov, steps_per_point, full_batch=True
    )
    assert limit is not None
    assert limit.learning_rate_limit == pytest.approx(limit_rate, rel=1e-3)


@given(mu=st.floats(0.1, 0.95), beyond=st.floats(1.1, 4.0))
def test_ignoring_momentum_errs_on_the_safe_side(mu: float, beyond: float) -> None:
    limit_rate = 2 * (1 + mu)
    ratio = difference_ratios(descend(beyond * limit_rate, 1.0, mu, False, 100))[-1]
    blind = limit_from_growth(ratio, beyond * limit_rate)
    assert blind is not None
    assert blind.learning_rate_limit is not None
    assert blind.learning_rate_limit <= limit_rate * 1.0001
    assert "safe side" in blind.reason


def test_a_few_points_of_a_mixed_spectrum_stay_within_the_interval() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(100):
        sharpness = np.exp(rng.uniform(-3 * math.log(10), 0, 20))
        w = rng.normal(size=20)
        rate = 1.3 * 2 / sharpness.max()
        losses = []
        for _ in range(16):
            losses.append(float(0.5 * sharpness @ w**2) + 1.0)
            w = w - rate * sharpness * w
        limit = limit_from_growth(difference_ratios(losses)[-1], rate, 0.0, points=16)
        assert limit is not None
        assert limit.interval is not None
        low, high = limit.interval
        inside += low <= 2 / sharpness.max() <= high * 1.01
    assert inside >= 90


def test_momentum_with_small_batches_widens_the_interval_downwards() -> None:
    full = limit_from_growth(1.5, 0.1, 0.9, full_batch=True)
    small = limit_from_growth(1.5, 0.1, 0.9)
    assert full is not None
    assert small is not None
    assert small.factor == full.factor
    assert small.factor_interval[0] == pytest.approx(full.factor_interval[0] * 0.1 / 1.9)


@pytest.mark.parametrize(
    ("optimizer", "ratio_spread", "word"),
    [("adam", 1.0, "adam"), ("AdamW", 1.0, "AdamW"), ("rmsprop", 2.0, "rmsprop"), ("sgd", 1.6, "constant rate")],
)
def test_where_the_formulas_do_not_hold_a_range_and_the_reason_are_given(
    optimizer: str, ratio_spread: float, word: str
) -> None:
    limit = limit_from_growth(3.0, 0.1, optimizer=optimizer, ratio_spread=ratio_spread)
    assert limit is not None
    assert not limit.geometric
    assert limit.learning_rate_times_sharpness is None
    assert limit.recommended_learning_rate == pytest.approx(0.01)
    low, high = limit.factor_interval
    assert 0.01 <= low <= high <= 1 / 3
    assert word in limit.reason


@pytest.mark.parametrize("ratio", [1.0, 0.5, -2.0, math.nan, math.inf])
def test_without_growth_there_is_no_limit(ratio: float) -> None:
    assert limit_from_growth(ratio, 0.1) is None
    assert overflow_step(10, 5.0, ratio) is None


@pytest.mark.parametrize(
    ("name", "largest"),
    [("fp16", 65504.0), ("16-mixed", 65504.0), ("torch.float16", 65504.0), ("bf16", 3.3895e38), (None, 3.4028e38)],
)
def test_the_largest_number_depends_on_the_precision(name: str | None, largest: float) -> None:
    assert largest_finite(name) == pytest.approx(largest, rel=1e-4)


def test_half_precision_overflows_far_earlier() -> None:
    half = overflow_step(0, 10.0, 2.0, "fp16", 1)
    single = overflow_step(0, 10.0, 2.0, "fp32", 1)
    assert half == (13, 13)
    assert single == (125, 125)


@pytest.mark.parametrize(
    ("optimizer", "answer"), [("SGD", True), ("sgd-momentum", True), ("Adam", False), ("lion", False), (None, None)]
)
def test_only_gradient_descent_grows_geometrically(optimizer: str | None, answer: bool | None) -> None:
    assert grows_geometrically(optimizer) is answer
