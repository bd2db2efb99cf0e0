"""What the loss did where a finding began: left its level at one stroke, and stayed or not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.diagnosis.jump_measures import JumpMeasures, jump_measures
from monitor.diagnosis.remembered import remembered

CALM = np.random.default_rng(0).normal(1.0, 0.02, 300)


def around(losses: list[float], step: int) -> JumpMeasures:
    found = jump_measures(remembered(losses).loss, step)
    assert found is not None
    return found


def test_a_jump_is_found_at_its_step_with_its_height() -> None:
    found = around([*CALM[:100], 5.0, *CALM[100:150]], 98)
    assert found.step == 100
    assert found.before == pytest.approx(1.0, abs=0.02)
    assert found.value == 5.0
    assert found.height > 50


@pytest.mark.parametrize(
    ("after", "low", "high"),
    [(CALM[100:150], -0.1, 0.1), (CALM[100:150] + 4, 0.9, 1.1), (5.0 * 1.5 ** np.arange(30), 3, math.inf)],
)
def test_what_followed_tells_whether_it_stayed(after: list[float], low: float, high: float) -> None:
    found = around([*CALM[:100], 5.0, *after], 100)
    assert low < found.stays < high


def test_a_slow_rise_leaves_its_level_by_little_and_goes_on() -> None:
    losses = [*CALM[:100], *(CALM[100:200] + np.linspace(0, 3, 100))]
    found = around(losses, 100)
    assert found.height < 12
    assert found.stays > 2


def test_an_old_jump_is_still_known_from_the_history() -> None:
    found = around([*CALM[:200], *(np.random.default_rng(1).normal(3.0, 0.02, 3000))], 200)
    assert found.step == 200
    assert found.stays == pytest.approx(1.0, abs=0.1)


def test_nothing_is_said_of_a_begin_at_the_start() -> None:
    assert jump_measures(remembered([5.0, *CALM[:50]]).loss, 0) is None


@given(
    st.lists(st.floats(-1e140, 1e140), min_size=1, max_size=60),
    st.integers(0, 60),
    st.integers(1, 50),
)
def test_any_finite_losses_give_an_answer(losses: list[float], step: int, repeats: int) -> None:
    found = jump_measures(remembered(losses * repeats).loss, step)
    assert found is None or not math.isnan(found.before)
