"""The small plot: extremes, values that are not finite, and the marked step are seen."""

from __future__ import annotations

import math

import pytest

from losswatch_server.cli.plot import Mark, draw


def rows(steps: list[int], losses: list[float], **options: object) -> list[str]:
    return draw(steps, losses, **options).plain.split("\n")  # type: ignore[arg-type]


def test_a_falling_loss_falls_from_the_upper_left_to_the_lower_right() -> None:
    drawn = rows(list(range(100)), [200 - step for step in range(100)], width=20, height=5)
    cells = [row[11:31] for row in drawn[:5]]
    first = [next(i for i, cell in enumerate(row) if cell.strip("⠀ ")) for row in cells]
    assert first == sorted(first)
    assert (first[0], first[-1]) == (0, 16)


def test_one_high_point_among_many_is_not_lost() -> None:
    losses = [1.0] * 10_000
    losses[5_000] = 9.0
    assert rows(list(range(10_000)), losses, width=20, height=5)[0][11:31].strip()


def test_values_that_are_not_finite_are_crosses_at_the_top() -> None:
    drawn = rows([0, 1, 2, 3], [1.0, 2.0, math.nan, math.inf], width=8, height=4)
    assert drawn[0].count("✕") == 2
    assert "✕" not in "".join(drawn[1:])


def test_a_mark_points_at_its_step_from_either_side() -> None:
    steps = list(range(101))
    for step, column in ((0, 0), (50, 20), (100, 39)):
        drawn = rows(steps, [float(s + 1) for s in steps], width=40, height=4, marks=[Mark(step, "here")])
        assert drawn[-1].index("▲") - 11 == pytest.approx(column, abs=1)


@pytest.mark.parametrize(
    ("losses", "top", "bottom"),
    [
        ([450.0, 6.4e36], "6.4e+36", "450"),
        ([1.0, 2.0], "2", "1"),
        ([-5.0, 5.0], "5", "-5"),
        ([0.0, 100.0], "100", "0"),
    ],
)
def test_the_axis_names_the_extremes(losses: list[float], top: str, bottom: str) -> None:
    drawn = rows([1, 2], losses, width=10, height=5)
    assert drawn[0].split()[0] == top
    assert drawn[4].split()[0] == bottom


@pytest.mark.parametrize(
    "losses", [[3.0], [3.0, 3.0], [0.0, 0.0], [math.nan, math.nan], [1e308, -1e308], [5e-324, 1.0]]
)
def test_odd_curves_are_drawn_without_an_error(losses: list[float]) -> None:
    assert draw(list(range(len(losses))), losses).plain
