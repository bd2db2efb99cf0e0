"""Runs in which nothing is wrong, over nine kinds of noise: what may be said of them, and how often.

The ceilings are for seeded runs, so that a failure is a change of the monitor and not of the dice. The long form, with
intervals, is ``make bench-calibration``.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from benchmarks.detection.diagnosing import alarms, watch
from benchmarks.detection.null_models import FAMILIES, SHAPES, null_run

LENGTHS_AND_SEEDS = ((40, 3), (300, 2), (1200, 1))
AT_MOST = 1
"""Runs of the eighteen of each family (three shapes, six runs) that may raise anything: the budget of 5 % a run."""
AT_MOST_STUCK = {"ar-0.9": 2, "ar-0.98": 2}
"""Noise of such memory wanders as far as a slow learner still falls: measured 2 of 18, plateaus that are none."""
ACUTE = frozenset(
    ("non_finite", "diverging", "exploding_gradient", "vanishing_gradient", "oscillation", "overfitting", "loss_spike")
)


@cache
def raised(family: str) -> Counter[str]:
    """How many of the family's runs raise each condition, wherever in the run."""
    counted: Counter[str] = Counter()
    for shape in SHAPES:
        for length, seeds in LENGTHS_AND_SEEDS:
            for seed in range(seeds):
                run = null_run(family, shape, length, seed)
                monitor, _ = watch(run)
                told = alarms(monitor.findings(), frozenset(run.label.also_ok))
                counted.update({line.split()[0] for line in told})
    return counted


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_acute_is_said_of_noise(family: str) -> None:
    acute = {condition: count for condition, count in raised(family).items() if condition in ACUTE}
    assert sum(acute.values()) <= AT_MOST, acute


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_that_learns_or_has_settled_is_not_called_stuck(family: str) -> None:
    stuck = {condition: count for condition, count in raised(family).items() if condition not in ACUTE}
    assert sum(stuck.values()) <= AT_MOST_STUCK.get(family, AT_MOST), stuck
