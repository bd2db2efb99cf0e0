"""For each parameter of the rules that compare with held-out data a pair of runs to its two sides."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition
from monitor.rules.straddling import EPOCHS, Pair, Run, a_run, alarms_of, decay, noise

OVERFITS = alarms_of(Condition.OVERFITTING)


def both(train: object, validation: object, context: Context = EPOCHS) -> Run:
    return a_run(train, context, validation_loss=validation)  # type: ignore[arg-type]


def learning(n: int, span: float | None = None) -> np.ndarray:
    return 0.1 + 0.9 * decay(n, span or n / 4)


def turned(rise: float, *, size: float = 0.002, start: float = 1.6, n: int = 40, place: float = 0.25) -> Run:
    """The validation loss falls to 1 and rises again."""
    low = int(n * place)
    up = 1.0 + rise * np.arange(1, n - low + 1) / (n - low)
    return both(learning(n), np.concatenate([np.linspace(start, 1.0, low), up]) + noise(n, size))


def by_heart(left: float) -> Run:
    """An evaluation every ten steps, rising from the first one on; the training loss falls to a share of its start."""
    train = np.concatenate([np.geomspace(1, left, 200), [left] * 100])
    rising = [1.0 + 0.02 * (i // 10) + 0.025 * (i // 10 % 2) if i % 10 == 9 else None for i in range(300)]
    return both(train, rising, Context(total_steps=3000))


def unbroken(rises: int) -> Run:
    return both(learning(60), [*np.linspace(1.6, 1.0, 60 - rises), *(1 + 0.05 * i for i in range(1, rises + 1))])


def excerpt(validation: list[float]) -> Run:
    train = ([0.9, 0.92, 0.89, 0.91] * 5)[: len(validation)]
    points, context = a_run(train, Context(), validation_loss=validation)
    return [point._replace(step=point.step + 180) for point in points], context


def evaluated_rise(rise: float, best: float = 0.6) -> Run:
    """An evaluation every ten steps, of which the first is the best; the training loss begins at 1."""
    train = np.concatenate([np.ones(10), np.linspace(1.0, 0.2, 61)[1:]])
    return both(train, [best * (1 + rise * (i // 10) / 6) if i % 10 == 9 else None for i in range(70)])


def from_the_first(n: int, fall: float = 0.6) -> Run:
    return both(np.linspace(1, 1 - fall, n), [1.0 + 0.04 * i + 0.05 * (i % 2) for i in range(n)])


PAIRS: dict[str, Pair] = {
    "Overfitting.least_points": Pair(OVERFITS, lambda n: both(learning(n, 2), [1.0 + 0.5 * i for i in range(n)]), 6, 4),
    "Overfitting.z_warning": Pair(OVERFITS, lambda rise: turned(rise, size=0.05), 0.15, 0.06),
    "Overfitting.age": Pair(OVERFITS, lambda late: turned(0.4, size=0.04, n=60, place=1 - late), 0.2, 0.16),
    "Overfitting.excursions": Pair(
        OVERFITS, lambda swing: both(learning(8), [1.3, 1.3 + swing, 1.1, 1.0, 1.08, 1.16, 1.24, 1.32]), 0.18, 0.3
    ),
    "Overfitting.material": Pair(OVERFITS, lambda rise: turned(rise, start=1.1), 0.1, 0.05),
    "Overfitting.memorised": Pair(OVERFITS, by_heart, 0.002, 0.004),
    "Overfitting.few_points": Pair(
        OVERFITS, lambda n: both(learning(n), [*np.linspace(1.4, 1.0, n - 3), 1.1, 1.21, 1.331]), 9, 11
    ),
    "Overfitting.turn_share": Pair(
        OVERFITS,
        lambda bent: both(np.linspace(1.0, 0.6, 8), [1.6, 1.3, 1.0, 1.1, 1.21 - bent, 1.33 + bent, 1.46 - bent, 1.61]),
        0.028,
        0.036,
    ),
    "Overfitting.few_rise": Pair(
        OVERFITS, lambda rise: both(learning(7), [1.6, 1.3, *(1 + rise * i / 4 for i in range(5))]), 0.2, 0.1
    ),
    "Overfitting.few_order": Pair(
        OVERFITS,
        lambda n: both(np.geomspace(1, 0.2, n + 3), [1.6, 1.3, 1.0, *(1.15 + 0.1 * i * i for i in range(n))]),
        4,
        3,
    ),
    "Overfitting.order_fall": Pair(
        OVERFITS,
        lambda fall: both([*np.linspace(1, 0.9, 2), *[0.95 * (1 - fall)] * 5], [1.3, 1.0, 1.01, 1.05, 1.2, 1.5, 2.0]),
        0.45,
        0.35,
    ),
    "Overfitting.few_total_rise": Pair(
        OVERFITS, lambda rise: both(learning(6), [1 + rise * i / 5 for i in range(6)]), 0.8, 0.6
    ),
    "Overfitting.unbroken": Pair(OVERFITS, unbroken, 8, 5),
    "Overfitting.unbroken_rise": Pair(OVERFITS, evaluated_rise, 0.3, 0.2),
    "Overfitting.unbroken_start": Pair(OVERFITS, lambda best: evaluated_rise(0.4, best), 0.85, 0.95),
    "Overfitting.unbroken_apart": Pair(
        OVERFITS, lambda rises: excerpt([1.5] * (20 - rises) + [1.5 + 0.03 * i for i in range(1, rises + 1)]), 10, 6
    ),
    "Overfitting.apart": Pair(OVERFITS, lambda times: excerpt([0.9 * times + 0.02 * i for i in range(16)]), 1.55, 1.44),
    "Overfitting.first_best_age": Pair(OVERFITS, from_the_first, 11, 10),
    "Overfitting.first_best_fall": Pair(OVERFITS, lambda fall: from_the_first(14, fall), 0.4, 0.2),
}


@pytest.mark.slow
@pytest.mark.parametrize("parameter", PAIRS)
def test_a_run_beyond_the_limit_is_told_of_and_one_short_of_it_is_not(parameter: str) -> None:
    assert PAIRS[parameter].holds()
