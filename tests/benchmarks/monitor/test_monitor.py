"""The benchmark follows a run and judges its cost by the targets; speed itself is judged by ``make bench``."""

from __future__ import annotations

import pytest

from benchmarks.monitor.cost import BATCHES, SERIES, Cost, follow, kendall_us, log_cost, loop_us
from benchmarks.monitor.table import ratios, text


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("series", list(SERIES))
def test_a_run_is_followed_to_every_count(series: str, batch: int) -> None:
    costs = list(follow(series, [1000, 2000], batch))
    assert [cost.points for cost in costs] == [1000, 2000]
    assert all(cost.mean_us > 0 and cost.last_us > 0 for cost in costs)
    assert all(1024 < cost.state_bytes <= 64 * 1024 for cost in costs)


def test_a_turn_of_a_loop_costs_less_than_a_rank_correlation() -> None:
    assert 0 < loop_us(20) < kendall_us(20)


def test_costs_are_judged_by_their_targets() -> None:
    early = Cost(series="x", batch=1, points=1000, mean_us=90.0, last_us=90.0, state_bytes=40_000)
    middle = Cost(series="x", batch=1, points=2000, mean_us=60.0, last_us=40.0, state_bytes=40_000)
    late = Cost(series="x", batch=1, points=10_000, mean_us=3.0, last_us=44.0, state_bytes=70_000)
    batched = Cost(series="x", batch=100, points=10_000, mean_us=0.5, last_us=0.5, state_bytes=70_000)
    found = [(round(ratio.value, 3), ratio.verdict) for ratio in ratios([early, middle, late, batched], 100.0)]
    assert found == [(3.0, "aim"), (0.03, "must"), (0.005, "aim"), (1.1, "must"), (68.359, "MISSED")]
    log = log_cost(300)
    shown = text([early, middle, late, batched], 100.0, 0.03, log)
    assert "A log of 300 lines" in shown
    assert shown.count("MISSED") == 1
    assert "68.4" in shown
