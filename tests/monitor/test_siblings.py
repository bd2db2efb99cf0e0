"""How a run compares with its siblings, in numbers and in one sentence."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.siblings import Sibling, Standing, common_step, comparable, compare, level

losses = st.one_of(st.floats(0, 10), st.just(math.inf))


def sibling(loss: float, number: int = 0, *, earlier: bool = True, uid: str = "other") -> Sibling:
    return Sibling(run=f"run-{number}", uid=uid, attempt=1, loss=loss, earlier=earlier)


def among(loss: float, *others: Sibling, group: str | None = "sweep") -> Standing:
    return compare("me", group, 400, loss, others, 0)


@given(losses, st.lists(losses, min_size=1, max_size=30))
def test_the_counts_the_rank_and_the_quantiles_agree(loss: float, others: list[float]) -> None:
    standing = among(loss, *(sibling(other, number) for number, other in enumerate(others)))
    assert standing.rank == 1 + standing.worse_than
    assert standing.worse_than + standing.better_than == len(others) - others.count(loss)
    assert [s.loss for s in standing.siblings] == sorted(others)
    assert standing.quantiles is not None
    assert list(standing.quantiles) == sorted(standing.quantiles)
    assert (standing.quantiles[0], standing.quantiles[4]) == (min(others), max(others))


@given(losses, st.permutations([0.1, 0.2, 0.2, 0.7, math.inf]))
def test_the_order_in_which_siblings_are_given_does_not_matter(loss: float, others: list[float]) -> None:
    assert among(loss, *(sibling(o, int(min(o, 1) * 10)) for o in others)) == among(
        loss, *(sibling(o, int(min(o, 1) * 10)) for o in sorted(others))
    )


@pytest.mark.parametrize(
    ("loss", "others", "said"),
    [
        (0.9, [sibling(0.1), sibling(0.2), sibling(1.0)], "worse than that of 2 of 3 earlier runs."),
        (0.15, [sibling(0.1), sibling(0.2), sibling(1.0)], "better than that of 2 of 3 earlier runs."),
        (0.5, [sibling(0.5), sibling(0.5)], "the same as that of 2 earlier runs."),
        (0.5, [sibling(0.4), sibling(0.6, earlier=False)], "worse than that of 1 of 2 other runs."),
        (0.5, [sibling(0.4, uid="me")], "worse than that of 1 of 1 earlier attempt."),
        (0.5, [sibling(0.4, uid="me"), sibling(0.3)], "worse than that of 2 of 2 earlier runs and attempts."),
        (math.inf, [sibling(0.4)], "(infinity) is worse than that of 1 of 1 earlier run."),
    ],
)
def test_one_sentence_says_it(loss: float, others: list[Sibling], said: str) -> None:
    sentence = among(loss, *others).sentence
    assert sentence.startswith("The loss at step 400 (")
    assert sentence.endswith(said)


@pytest.mark.parametrize(
    ("group", "not_reached", "said"),
    [(None, 0, "`group`"), ("sweep", 0, "'sweep'"), ("sweep", 3, "no other run of the group can be compared")],
)
def test_it_says_why_there_is_nothing_to_compare_with(group: str | None, not_reached: int, said: str) -> None:
    standing = compare("me", group, None, None, (), not_reached)
    assert said in standing.sentence
    assert (standing.step, standing.rank, standing.quantiles, standing.siblings) == (None, None, None, ())


@given(st.integers(0, 1000), st.lists(st.integers(0, 1000), min_size=1))
def test_half_of_the_siblings_have_come_to_the_common_step(own: int, others: list[int]) -> None:
    step = common_step(own, others)
    assert step <= own
    assert 2 * sum(other >= step for other in others) >= len(others)
    if step < own:
        assert 2 * sum(other >= step + 1 for other in others) < len(others) + 1


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([9.0, 1.0, 2.0, 3.0, 4.0, 5.0], 3.0),
        ([1.0, None, 3.0], 2.0),
        ([1.0, 1.0, 1.0, math.nan, 1.0], 1.0),
        ([1.0, 1.0, math.nan, math.nan, math.nan], math.inf),
        ([1.0, -math.inf, -math.inf], math.inf),
    ],
)
def test_the_level_is_the_median_of_the_last_five(measured: list[float | None], expected: float | None) -> None:
    assert level(measured) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Context(), Context(), True),
        (Context(loss_name="mse"), Context(), True),
        (Context(loss_name="mse"), Context(loss_name="mae"), False),
        (Context(step_unit="step"), Context(step_unit="epoch"), False),
        (Context(), Context(objective="none"), False),
        (Context(loss_name="ppo_loss"), Context(loss_name="ppo_loss"), False),
    ],
)
def test_only_losses_that_mean_the_same_are_compared(one: Context, other: Context, expected: bool) -> None:
    assert comparable(one, other) is comparable(other, one) is expected
