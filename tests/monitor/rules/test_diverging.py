"""diverging: when it speaks, from when, and what it says of the learning rate."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.report import assess, diagnose
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, falling, growing, points, watch

# the first losses that mean squared error gives on xs = 1..20, ys = xs / 2, one linear unit, SGD at 0.01
REGRESSION = [450.9794, 1603.0852, 5698.4731, 20256.3398, 72005.1719]


@pytest.mark.parametrize("factor", [1.3, 2.0, 3.5547])
def test_geometric_growth_is_called_at_its_fifth_point(factor: float) -> None:
    found = alarms(watch(points(growing(5, factor=factor))))
    assert [(f.condition, f.opened_step, f.onset_step) for f in found] == [(Condition.DIVERGING, 4, 0)]


def test_the_growth_of_a_regression_gives_the_stable_limit_of_its_learning_rate() -> None:
    context = Context(learning_rate=0.01, optimizer="sgd")
    evidence = alarms(watch(points(REGRESSION, first=1), context))[0].evidence
    assert evidence["learning_rate_limit"] == pytest.approx(0.0069315, rel=0.05)
    assert 62 <= evidence["overflow_step"][0] <= evidence["overflow_step"][1] <= 67


def test_growth_after_a_healthy_start_is_dated_to_where_it_began() -> None:
    losses = [*falling(200), *(0.4 * 1.15 ** np.arange(40)).tolist()]
    found = [f for f in alarms(watch(points(losses))) if f.condition is Condition.DIVERGING]
    assert len(found) == 1
    assert 190 <= found[0].onset_step <= 225
    assert found[0].opened_step < 235


def test_a_slow_drift_upwards_is_seen_in_the_block_means() -> None:
    rng = np.random.default_rng(3)
    drift = np.concatenate([np.full(600, 1.0), np.linspace(1.0, 2.5, 600)])
    losses = np.concatenate([np.array(falling(400, start=3.0, floor=1.0, noise=0.02)), drift])
    monitor = watch(points((losses + 0.02 * rng.normal(size=len(losses))).tolist()))
    assert "diverging" in conditions(monitor)


def test_a_log_by_the_epoch_that_only_rises_diverges() -> None:
    losses = [27.8, 45.1, 66.0, 78.2, 88.3, 95.1, 104.0]
    assert conditions(watch(points(losses), Context(step_unit="epoch"))) == ["diverging"]


def test_a_divergence_that_turns_is_resolved() -> None:
    losses = [*growing(8, factor=2.0), *falling(100, start=64.0, floor=0.5)]
    found = [f for f in alarms(watch(points(losses))) if f.condition is Condition.DIVERGING]
    assert [f.closed_by for f in found] == ["resolved"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3])
def test_noise_on_a_falling_loss_is_no_divergence(seed: int, noise: float) -> None:
    assert "diverging" not in conditions(watch(points(falling(500, noise=noise, seed=seed))))


def test_a_raised_learning_rate_explains_a_higher_loss() -> None:
    rate = [0.01] * 300 + [0.03] * 300
    losses = [*falling(300, floor=0.3), *falling(300, start=0.5, floor=0.45, seed=1)]
    assert "diverging" not in conditions(watch(points(losses, learning_rate=rate)))


@pytest.mark.parametrize("seed", range(4))
def test_a_loss_about_0_that_comes_back_from_outliers_below_is_not_diverging(seed: int) -> None:
    losses = 0.002 * np.random.default_rng(seed).normal(size=800)
    losses[300:700] *= 0.1
    losses[380:400] -= np.linspace(1.5, 0.2, 20)
    assert "diverging" not in conditions(watch(points(np.round(losses, 4).tolist())))


@pytest.mark.parametrize("seed", range(4))
def test_nor_is_one_with_an_outlier_above_in_its_last_level(seed: int) -> None:
    losses = 0.002 * np.random.default_rng(seed).normal(size=800)
    losses[300:700] *= 0.1
    losses[380:400] -= np.linspace(1.5, 0.2, 20)
    losses[403 + 8 * seed] += 0.4
    assert "diverging" not in conditions(watch(points(np.round(losses, 4).tolist())))


def test_a_loss_that_went_below_0_and_climbs_above_its_start_is_diverging() -> None:
    losses = np.concatenate([np.linspace(1.0, -2.0, 300), np.linspace(-2.0, 3.0, 150)])
    noise = 0.02 * np.random.default_rng(0).normal(size=450)
    assert "diverging" in conditions(watch(points((losses + noise).tolist())))


def test_a_loss_that_multiplies_with_a_fall_between_is_diverging() -> None:
    losses = [1.44, 2.97, 212.2, 41.2, 4421.5]
    (found,) = alarms(watch(points(losses)))
    assert (found.condition, found.onset_step, found.opened_step) == (Condition.DIVERGING, 1, 4)
    assert alarms(watch(points([1.44, 2.97, 212.2, 11.2, 4421.5]))) == []  # it had nearly come back
    assert alarms(watch(points([1.44, 2.97, 212.2, 41.2, 2421.5]))) == []


def test_a_spike_of_a_few_points_that_is_over_is_no_divergence() -> None:
    """What it left in the mean of a block is no level: the loss is at its lowest."""
    losses = [2 * 0.9986**step for step in range(400)]
    losses[295:301] = [300.0, 731.0, 150.0, 80.0, 40.0, 12.0]
    assert conditions(watch(points(losses))) == ["loss_spike"]


@pytest.mark.parametrize("stride", [{"step_unit": "epoch"}, {"steps_per_point": 10}])
def test_a_loss_that_is_0_throughout_does_not_rise(stride: dict[str, str | int]) -> None:
    assert "diverging" not in conditions(watch(points([0.0] * 60), Context(**stride)))


def test_a_divergence_that_came_back_is_told_as_one() -> None:
    losses = [0.304, 0.357, 0.432, 0.453, 0.537, 0.545, 0.559, 0.562, 0.537, 0.515, 0.457, 0.438, 0.363, 0.331, 0.269]
    found = diagnose(points(losses, first=1), Context(step_unit="epoch")).findings
    assert [f.summary for f in found] == ["The loss went up after step 1 and has come back to 0.269."]


def test_a_loss_that_exploded_at_once_and_wavers_at_its_end_tells_no_rate() -> None:
    wavering = [9330.1, 9149.5, 9282.9, 9270.2, 9200.3, 9219.5, 9247.5]
    losses = [2.8e27 * 0.0115**i for i in range(11)] + wavering
    monitor = watch(points(losses, first=1), Context(step_unit="epoch", optimizer="sgd"))
    report = assess(monitor)
    found = next(f for f in report.findings if f.condition is Condition.DIVERGING)
    assert found.evidence.get("learning_rate_limit") is None
    assert "when it was first printed" in found.summary
    assert not [advice for advice in found.advice if "growth" in advice.summary]


def test_a_loss_that_explodes_right_after_its_first_value_is_told_from_that() -> None:
    losses = [709_710.0, 2.54e24] + [1e24 * 0.9**i for i in range(40)]
    found = next(f for f in assess(watch(points(losses))).findings if f.condition is Condition.DIVERGING)
    assert found.summary.startswith("The loss rose from 709,710 to 2.54e24: the training exploded at once.")
