"""A loss that rises while something gets better: a metric excuses a gradual rise, and no blow-up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from losswatch_server.monitor.points import Context, Point
from monitor.curves import conditions, watch

EPOCHS = Context(step_unit="epoch", total_steps=12)
ORDERLY = [6.1, 6.6, 7.1, 7.6, 8.1, 8.6, 9.2, 9.3, 9.4, 9.5, 9.6, 9.7]
RIGHT = np.linspace(0.08, 0.48, 12)
N = 1600
NOISE = np.random.default_rng(0).normal(size=(2, N))
DRIFT = np.linspace(1.0, 2.0, N) + 0.05 * NOISE[0]
LEARNS = np.linspace(0.1, 0.8, N) + 0.02 * NOISE[1]
STANDS = 0.1 + 0.02 * NOISE[1]


def told(
    losses: Sequence[float] | np.ndarray,
    metric: Sequence[float] | np.ndarray,
    context: Context,
    *,
    name: str = "accuracy",
    each: int = 1,
    watched: bool = True,
) -> set[str]:
    """The conditions that were ever said of losses with a metric at every so many."""
    stream = [
        Point(i + 1, float(loss), metrics={name: float(metric[i])} if i % each == 0 else {})
        for i, loss in enumerate(losses)
    ]
    return set(conditions(watch(stream, context, watched=watched)))


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("accuracy", RIGHT),
        ("val_acc", 100 * RIGHT),
        ("val_error", 1 - RIGHT),
        ("eval/perplexity", 40 * np.exp(-np.arange(12) / 4)),
    ],
)
def test_a_loss_in_order_for_seven_epochs_does_not_diverge_while_a_metric_gets_better(
    name: str, metric: np.ndarray, watched: bool
) -> None:
    assert told(ORDERLY, metric, EPOCHS, name=name, watched=watched) == set()


@pytest.mark.parametrize("metric", [np.full(12, 0.08) + 0.002 * (np.arange(12) % 3), RIGHT[::-1]])
def test_it_diverges_while_the_metric_stands_still_or_gets_worse(metric: np.ndarray) -> None:
    assert told(ORDERLY, metric, EPOCHS) == {"diverging"}


def test_a_blow_up_is_one_whatever_a_metric_says() -> None:
    assert told([1.3**i for i in range(12)], RIGHT, EPOCHS) == {"diverging"}
    assert "diverging" in told([1.0] * 6 + [3e4] * 6, RIGHT, EPOCHS)
    assert "non_finite" in told([*ORDERLY[:8], math.nan, math.nan, math.nan, math.nan], RIGHT, EPOCHS)


def test_a_loss_past_its_baseline_diverges_whatever_a_metric_says() -> None:
    baseline = Context(step_unit="epoch", total_steps=12, baseline_loss=8.0)
    assert told(ORDERLY, RIGHT, baseline) == {"diverging"}


@pytest.mark.parametrize("each", [1, 20])
def test_a_loss_that_drifts_up_over_a_long_log_does_not_diverge_while_a_metric_gets_better(each: int) -> None:
    plan = Context(total_steps=N)
    assert told(DRIFT, LEARNS, plan, name="val_accuracy", each=each) == set()
    assert told(DRIFT, STANDS, plan, name="val_accuracy", each=each) >= {"diverging"}


def test_what_was_learnt_and_lost_again_diverges_whatever_the_metric_was_before() -> None:
    there, back = np.linspace(0, 1, N // 2), np.linspace(1, 0, N // 2)
    up = np.concatenate([there, back])
    assert told(2.0 - 1.5 * up + 0.05 * NOISE[0], 0.1 + 0.7 * up + 0.02 * NOISE[1], Context(total_steps=N)) == {
        "diverging"
    }


def test_a_metric_that_was_last_measured_before_the_rise_says_nothing_of_it() -> None:
    losses = np.concatenate([np.linspace(2, 1, N // 2), np.linspace(1, 2.5, N // 2)]) + 0.05 * NOISE[0]
    stream = [
        Point(i + 1, float(loss), metrics={"val_accuracy": 0.1 + i / N} if i < N // 2 and i % 20 == 0 else {})
        for i, loss in enumerate(losses)
    ]
    assert conditions(watch(stream, Context(total_steps=N))) == ["diverging"]


def test_a_divergence_ends_when_a_metric_shows_that_it_was_none() -> None:
    right = [0.1] * 7 + [0.2, 0.3, 0.4, 0.5, 0.6]
    stream = [Point(i + 1, loss, metrics={"accuracy": right[i]}) for i, loss in enumerate(ORDERLY)]
    (finding,) = watch(stream, EPOCHS).findings()
    assert str(finding.condition) == "diverging"
    assert finding.resolved_step is not None


def test_a_validation_loss_that_falls_in_order_excuses_a_rise_too() -> None:
    for falls, expected in ((True, []), (False, ["diverging"])):
        held_out = np.linspace(5.0, 3.0, 12) if falls else np.full(12, 5.0) + 0.01 * (np.arange(12) % 2)
        stream = [Point(i + 1, loss, validation_loss=float(held_out[i])) for i, loss in enumerate(ORDERLY)]
        assert conditions(watch(stream, EPOCHS)) == expected


ALTERNATES = 2 + 0.8 * (-1.0) ** np.arange(N) + 0.05 * NOISE[0]
RESTS = np.concatenate([np.linspace(2, 1.2, N // 4), np.full(N - N // 4, 1.2)]) + 0.02 * NOISE[0]


@pytest.mark.slow
@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(
    ("losses", "context", "said"),
    [
        ([0.6123] * 12, EPOCHS, "not_learning"),
        (RESTS, Context(total_steps=N, loss_name="mse"), "plateau"),
        (ALTERNATES, Context(total_steps=N), "oscillation"),
    ],
)
def test_no_flat_or_swinging_loss_is_at_fault_while_a_metric_gets_better(
    losses: np.ndarray, context: Context, said: str, watched: bool
) -> None:
    n = len(losses)
    scatter = 0.02 * NOISE[1][:n] if n == N else np.zeros(n)
    better = 0.1 + 0.6 * (1 - np.exp(-4 * np.arange(n) / n)) + scatter
    assert said not in told(losses, better, context, name="val_r2", watched=watched)
    assert said not in told(losses, 1 - better, context, name="error", watched=watched)
    assert said in told(losses, np.full(n, 0.1) + scatter, context, name="val_r2", watched=watched)
