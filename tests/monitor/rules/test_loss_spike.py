"""loss_spike: what is a jump, what is noise, and when it is over."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context
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
