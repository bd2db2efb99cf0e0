"""The forecast of the floor: unbiased and honest on curves whose end is known, silent where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from losswatch_server.monitor.forecast import NOTHING, Forecast, forecast
from losswatch_server.monitor.points import Context
from monitor.diagnosis.remembered import remembered
from monitor.work import calls

Curve = Callable[[np.ndarray, int], np.ndarray]
CURVES: dict[str, Curve] = {
    "power 0.3": lambda t, n: 1.5 + 3 * t**-0.3,
    "power 0.8": lambda t, n: 1.5 + 3 * t**-0.8,
    "exponential": lambda t, n: 1.5 + 3 * np.exp(-t / (0.4 * n)),
    "settled": lambda t, n: 1.5 + 3 * np.exp(-t / (0.08 * n)),
}


def noisy(curve: Curve, n: int, seed: int, noise: float = 0.03, correlation: float = 0.5) -> list[float]:
    """The curve's first ``n`` points with AR(1) noise."""
    steps = np.random.default_rng(seed).normal(scale=noise * math.sqrt(1 - correlation**2), size=n)
    level, out = 0.0, []
    for value, step in zip(curve(np.arange(1.0, n + 1), n), steps, strict=True):
        level = correlation * level + step
        out.append(float(value + level))
    return out


def told(losses: list[float], context: Context | None = None) -> Forecast:
    return forecast(remembered(losses), context or Context())


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 200, 2000])
@pytest.mark.parametrize("name", CURVES)
def test_nine_of_ten_simulated_curves_stay_within_the_interval_twice_as_far(name: str, n: int) -> None:
    truth = float(CURVES[name](np.array([2.0 * n]), n)[0])
    errors, inside, floors = [], 0, 0
    for seed in range(30):
        prediction = told(noisy(CURVES[name], n, seed))
        expected = prediction.expected_at(2 * n - 1)
        assert expected is not None
        assert prediction.interval is not None
        errors.append(expected[0] - truth)
        inside += expected[1] <= truth <= expected[2]
        floors += prediction.interval[0] <= 1.5 <= prediction.interval[1]
    assert inside >= 27
    assert floors >= 27
    assert abs(float(np.mean(errors))) < (0.06 if n == 40 else 0.03)


def test_the_steps_to_the_floor_of_an_exponential_are_right() -> None:
    n = 1000
    steps = told(noisy(CURVES["exponential"], n, 1)).steps_to_floor
    assert steps is not None
    # nine tenths of what remains are done after 2.3 time constants
    assert steps == pytest.approx(2.3 * 0.4 * n, rel=0.25)


def test_a_settled_curve_is_at_its_floor() -> None:
    prediction = told(noisy(CURVES["settled"], 1000, 2))
    assert prediction.steps_to_floor == 0
    assert prediction.floor == pytest.approx(1.5, abs=0.02)


def test_a_loss_that_rises_gets_no_forecast() -> None:
    assert told(np.geomspace(1, 1e6, 100).tolist()) == NOTHING
    fell_and_rose = np.concatenate([np.linspace(2, 0.5, 200), np.linspace(0.5, 2, 100)])
    assert told(fell_and_rose.tolist()) == NOTHING


@pytest.mark.parametrize("losses", [[], [1.0] * 5, np.linspace(2, 1, 19).tolist()])
def test_too_few_points_get_no_forecast(losses: list[float]) -> None:
    assert told(losses) == NOTHING


def test_losses_that_tell_nothing_get_no_forecast() -> None:
    assert told(noisy(CURVES["exponential"], 200, 0), Context(objective="none")) == NOTHING


def test_only_the_stretch_since_the_rate_changed_is_fitted() -> None:
    before = noisy(lambda t, n: 2.0 + 0 * t, 400, 3)
    after = noisy(lambda t, n: 0.5 + 1.5 * np.exp(-t / 60), 400, 4)
    memory = remembered(before + after, rates=[0.1] * 400 + [0.01] * 400)
    floor = forecast(memory, Context()).floor
    assert floor == pytest.approx(0.5, abs=0.05)


def test_a_rate_that_never_stands_still_gets_no_forecast() -> None:
    rates = (0.1 * (1 + np.cos(np.linspace(0, 3, 400)))).tolist()
    assert forecast(remembered(noisy(CURVES["exponential"], 400, 5), rates=rates), Context()) == NOTHING


def test_the_floor_of_a_positive_loss_is_not_below_zero_and_that_of_a_negative_one_may_be() -> None:
    positive = told((3 * np.arange(1, 300) ** -0.2).tolist())
    assert positive.interval is not None
    assert positive.interval[0] >= 0
    negative = told((-2 + 3 * np.exp(-np.arange(300) / 40)).tolist())
    assert negative.floor == pytest.approx(-2, abs=0.05)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**30])
def test_the_unit_of_the_loss_does_not_matter(factor: float) -> None:
    losses = noisy(CURVES["exponential"], 300, 6)
    plain, scaled = told(losses), told([loss * factor for loss in losses])
    assert plain.floor is not None
    assert scaled.floor == pytest.approx(plain.floor * factor, rel=1e-6)
    assert scaled.steps_to_floor == plain.steps_to_floor


def test_a_curve_of_another_shape_is_judged_by_its_later_part() -> None:
    # a straight fall that ends at a floor is neither a power law nor an exponential
    t = np.arange(4000)
    prediction = told(np.maximum(0.0057, 0.05 - t * 2e-5).tolist())
    assert prediction.floor == pytest.approx(0.0057, abs=2e-4)


def test_the_forecast_of_a_long_run_costs_no_more_than_that_of_a_short_one() -> None:
    short, long = (remembered(noisy(CURVES["power 0.3"], n, 7)) for n in (1000, 20_000))
    assert calls(lambda: forecast(long, Context())) < 1.2 * calls(lambda: forecast(short, Context()))


def test_of_a_loss_that_was_0_no_floor_below_0_is_foretold() -> None:
    losses = [1 - 0.024 * i for i in range(40)]
    losses[5] = 0.0
    assert forecast(remembered(losses), Context()).floor == 0
