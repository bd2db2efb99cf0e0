"""loss_spike: what is a jump, what is noise, and when it is over."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import assess
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, falling, flat, points, watch


def with_jump(at: int, height: float, length: int = 1) -> list[float]:
    losses = falling(400, noise=0.05)
    for i in range(length):
        losses[at + i] = height
    return losses


def test_a_jump_that_undoes_all_progress_is_a_spike_at_its_first_point() -> None:
    found = alarms(watch(points(with_jump(250, 8.0))))
    assert [(f.condition, f.onset_step, f.opened_step) for f in found] == [(Condition.LOSS_SPIKE, 250, 250)]


def test_a_spike_that_recovers_is_resolved() -> None:
    found = alarms(watch(points(with_jump(250, 8.0, length=3))))
    assert found[0].resolved_step is not None
    assert found[0].resolved_step < 265


BY_20 = [2.41, 2.2, 2.05, 1.98, 9.4, 1.9, 1.85, 1.8, 1.75, 1.7]


def test_a_spike_in_a_short_log_closes_at_the_third_point_back_and_says_when_it_was_back() -> None:
    steps = [Point(20 * (i + 1), loss) for i, loss in enumerate(BY_20)]
    report = assess(watch(steps))
    assert (report.findings[0].onset_step, report.findings[0].resolved_step) == (100, 160)
    assert report.findings[0].summary.endswith("4.4 times that, and was back at step 120.")
    assert assess(watch(steps[:7])).findings[0].is_open


def test_a_value_above_while_a_spike_ends_puts_its_end_off() -> None:
    losses = [*BY_20[:6], 8.0, *BY_20[6:]]
    (found,) = alarms(watch([Point(20 * (i + 1), loss) for i, loss in enumerate(losses)]))
    assert found.evidence["recovered_step"] == 160


def test_a_spike_that_turns_into_a_divergence_has_not_recovered() -> None:
    losses = [2.31, 2.02, 1.85, 1.71, 4.8, 11.2, 31.9, 80.4, 201.7, 560.1]
    report = assess(watch(points(losses, 1), Context(step_unit="epoch")))
    spike = next(f for f in report.findings if f.condition is Condition.LOSS_SPIKE)
    assert not spike.is_open
    assert "back" not in spike.summary
    assert "came back" not in str([cause.because for cause in spike.causes])


def restarts(rates: list[float]) -> list[Point]:
    """A loss that begins anew every 100 points, as its learning rate does."""
    place = np.arange(400) % 100
    noise = 0.02 * np.random.default_rng(0).normal(size=400)
    losses = (0.2 + (1.2 - 0.2 * (np.arange(400) // 100)) * np.exp(-place / 40) + noise).tolist()
    return points(losses, learning_rate=rates)


def test_a_jump_where_a_schedule_begins_anew_is_information() -> None:
    cosine = (0.05 * (1 + np.cos(np.pi * (np.arange(400) % 100) / 100))).tolist()
    monitor = watch(restarts(cosine))
    assert conditions(monitor) == []
    assert Condition.LOSS_SPIKE in {f.condition for f in monitor.findings()}


@pytest.mark.parametrize("rates", [[0.1] * 400, [0.01 * 4 ** (i // 100) for i in range(400)]])
def test_a_jump_at_a_constant_rate_or_one_raised_above_all_before_is_an_alarm(rates: list[float]) -> None:
    assert "loss_spike" in conditions(watch(restarts(rates)))


def epoch_so_far(epochs: int = 4, length: int = 120, seed: int = 0, worst: float = 0.0) -> list[float]:
    """A loss that falls with the scatter of single batches, as its mean over the epoch so far. ``worst`` is added to
    the first batch of the last epoch."""
    steps = np.arange(epochs * length)
    batches = 1.0 + np.exp(-steps / 300) + 0.25 * np.random.default_rng(seed).normal(size=len(steps))
    batches[-length] += worst
    means = [batches[i // length * length : i + 1].mean() for i in range(len(steps))]
    return [float(mean) for mean in means]


@pytest.mark.parametrize("length", [40, 120, 170])
@pytest.mark.parametrize("seed", range(6))
def test_a_mean_over_the_epoch_that_begins_anew_is_no_spike(length: int, seed: int) -> None:
    assert "loss_spike" not in conditions(watch(points(epoch_so_far(length=length, seed=seed))))


@pytest.mark.parametrize("every", [3, 10])
def test_nor_is_one_that_is_logged_now_and_then_and_printed(every: int) -> None:
    losses = [round(loss, 3) for loss in epoch_so_far(length=480, seed=every)[::every]]
    logged = [point._replace(step=every * point.step) for point in points(losses)]
    assert "loss_spike" not in conditions(watch(logged))


@pytest.mark.parametrize("seed", range(6))
def test_noise_that_dies_as_the_loss_falls_excuses_no_jump(seed: int) -> None:
    """Its movements become smaller too, yet times their number they are more than the loss itself."""
    noise = 1 + 0.1 * np.random.default_rng(seed).normal(size=180)
    losses = (20 / (10 + np.arange(180)) * noise).tolist()
    assert "loss_spike" in conditions(watch(points([*losses, 3.0])))


def test_a_mean_over_the_epoch_that_begins_far_above_all_batches_is_a_spike() -> None:
    assert "loss_spike" in conditions(watch(points(epoch_so_far(worst=40.0))))


@pytest.mark.parametrize("seed", range(6))
def test_noise_that_a_lower_rate_stills_excuses_no_jump(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=300) * np.where(np.arange(300) < 160, 0.04, 0.008)
    assert "loss_spike" in conditions(watch(points([*(3.0 - np.arange(300) / 1000 + noise), 4.2])))


@pytest.mark.parametrize("height", [1.5, 8.0])
def test_single_batches_that_jump_where_an_epoch_begins_are_a_spike(height: float) -> None:
    losses = falling(480, noise=0.03)
    losses[360] += height
    assert "loss_spike" in conditions(watch(points(losses), Context(steps_per_epoch=120)))


def test_a_hinge_at_rest_that_rises_by_a_little_of_its_progress_is_information() -> None:
    rng = np.random.default_rng(0)
    before = [*falling(200, start=1.0, floor=0.0), *np.where(rng.random(200) < 0.75, 0.0, 1e-7 * rng.random(200))]
    assert "loss_spike" not in conditions(watch(points([*before, 0.2])))
    assert "loss_spike" in conditions(watch(points([*before, 0.5])))


def test_a_jump_without_recovery_stays_open() -> None:
    losses = falling(300) + [6.0] * 40
    found = alarms(watch(points(losses)))
    assert found[0].condition is Condition.LOSS_SPIKE
    assert found[0].is_open


def test_an_outlier_of_less_than_a_tenth_of_the_level_is_information_only() -> None:
    losses = flat(400, level=1.0, noise=0.003)
    losses[300] += 0.06
    monitor = watch(points(losses))
    assert Condition.LOSS_SPIKE not in {f.condition for f in alarms(monitor)}
    assert [str(f.condition) for f in monitor.findings() if f.condition is Condition.LOSS_SPIKE] == ["loss_spike"]


@pytest.mark.parametrize("seed", range(8))
def test_heavy_tailed_noise_is_no_spike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = np.array(falling(2000, noise=0.0)) * np.exp(0.3 * rng.standard_t(5, size=2000))
    assert "loss_spike" not in conditions(watch(points(losses.tolist())))


def test_in_a_log_by_the_epoch_a_jump_to_twice_the_record_counts() -> None:
    losses = [1.15, 1.10, 1.07, 1.05, 1.03, 1.02, 1.01, 1.0, 0.99, 7.2, 8.1]
    assert "loss_spike" in conditions(watch(points(losses), Context(step_unit="epoch")))


@pytest.mark.parametrize(("times", "spike"), [(4.0, False), (8.0, True)])
def test_about_0_an_early_jump_is_measured_by_the_excursions_before(times: float, spike: bool) -> None:
    losses = [0.0007, -0.0007, -0.0003, 0.0011, -0.0022, -0.0024, 0.0003, -0.0009, -0.0004, -0.0002]
    logged = points([*losses, times * 0.0024, *losses])
    monitor = watch([point._replace(step=16 * point.step) for point in logged])
    assert ("loss_spike" in conditions(monitor)) == spike


@pytest.mark.parametrize(("high", "spike"), [(2.4, False), (3.9, True)])
def test_a_record_of_a_loss_that_scatters_by_factors_is_none_unless_it_is_far_beyond_them(
    high: float, spike: bool
) -> None:
    losses = 0.05 * np.exp(np.random.default_rng(0).normal(size=120))
    losses[:3] = [0.64, 0.6, 0.5]
    monitor = watch(points([*losses.tolist(), high, *losses[5:40].tolist()]))
    assert Condition.LOSS_SPIKE in {f.condition for f in monitor.findings()}
    assert ("loss_spike" in conditions(monitor)) == spike


def test_a_loss_that_falls_below_0_is_not_about_0() -> None:
    losses = [0.84, -1.16, -1.85, -1.70, -1.82, -1.88, -2.1, -1.8, -1.97, -1.91]
    logged = points([*losses, 2.72, *losses[4:]])
    assert "loss_spike" in conditions(watch([point._replace(step=16 * point.step) for point in logged]))
