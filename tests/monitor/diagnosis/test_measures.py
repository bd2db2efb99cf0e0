"""The facts that tell causes apart, on series whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.measures import Measured, gather, with_onset
from losswatch_server.monitor.known import Need
from losswatch_server.monitor.points import Context
from monitor.diagnosis.remembered import remembered
from monitor.work import calls

SGD = Context(optimizer="sgd", learning_rate=0.1, loss_name="cross_entropy", num_classes=10)
RNG = np.random.default_rng


def noisy(level: float, n: int = 400, noise: float = 0.02, seed: int = 0) -> list[float]:
    return (level + noise * RNG(seed).normal(size=n)).tolist()


def quadratic(rate: float, sharpness: float, steps: int, *, uphill: bool = False) -> tuple[list[float], list[float]]:
    """Losses and gradient norms of plain gradient descent (or ascent) on a quadratic."""
    w, losses, norms = 1.0, [], []
    for _ in range(steps):
        losses.append(0.5 * sharpness * w * w + 1.0)
        norms.append(sharpness * abs(w))
        w += rate * sharpness * w if uphill else -rate * sharpness * w
    return losses, norms


def test_levels_noise_and_fall_of_a_plain_curve() -> None:
    t = np.arange(500)
    facts = gather(remembered((0.5 + 2.0 * np.exp(-t / 35) + 0.01 * RNG(1).normal(size=500)).tolist()), SGD)
    assert facts.loss is not None
    assert facts.loss.now == pytest.approx(0.5, abs=0.01)
    assert facts.loss.noise == pytest.approx(0.01, rel=0.25)
    assert facts.loss.fall == pytest.approx(0.8, abs=0.03)
    assert facts.loss.change is not None
    assert facts.loss.change > 100
    assert abs(facts.loss.late_change or 0.0) < 3


def test_chance_is_known_from_the_classes_or_guessed_from_the_first_loss() -> None:
    told = gather(remembered(noisy(math.log(10))), SGD)
    assert (told.chance, told.chance_inferred) == (pytest.approx(math.log(10)), False)
    guessed = gather(remembered(noisy(math.log(50257))), Context(loss_name="cross_entropy"))
    assert guessed.chance == pytest.approx(math.log(50257), rel=1e-3)
    assert guessed.chance_inferred
    assert gather(remembered(noisy(2.3)), Context(loss_name="mse")).chance is None


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("CrossEntropyLoss", True),
        ("categorical_crossentropy", True),
        ("BCEWithLogitsLoss", True),
        ("gaussian_nll", False),
        ("mse", False),
        (None, None),
    ],
)
def test_cross_entropies_are_known_by_their_names(name: str | None, answer: bool | None) -> None:
    assert gather(remembered([2.0] * 5), Context(loss_name=name)).cross_entropy is answer


@pytest.mark.parametrize(
    ("rate", "share"),
    [(0.01, 1.0), (0.2, 0.9)],
)
def test_the_fall_of_a_quadratic_is_what_its_gradients_promise(rate: float, share: float) -> None:
    # discrete steps fall by less than the first order says: by a factor of 1 - rate x sharpness / 2
    losses, norms = quadratic(rate, 1.0, 400)
    facts = gather(remembered(losses, norms), Context(optimizer="sgd", learning_rate=rate))
    assert facts.actual_to_predicted == pytest.approx(share, rel=0.12)
    assert facts.predicted_in_errors is not None
    assert facts.predicted_in_errors > 10


def test_parameters_that_do_not_move_keep_none_of_the_promise() -> None:
    facts = gather(remembered(noisy(2.32), noisy(0.45)), SGD)
    assert facts.actual_to_predicted == pytest.approx(0.0, abs=1e-3)
    assert facts.predicted_in_errors is not None
    assert facts.predicted_in_errors > 1000


def test_a_tiny_learning_rate_promises_less_than_the_noise() -> None:
    context = Context(optimizer="sgd", learning_rate=1e-6)
    facts = gather(remembered(noisy(2.32), noisy(0.45)), context)
    assert facts.predicted_in_errors is not None
    assert facts.predicted_in_errors < 1


@pytest.mark.parametrize(
    ("uphill", "rate", "index"), [(False, 3.0, 0.0), (False, 2.2, 0.0), (True, 0.1, 1.0), (True, 1.0, 1.0)]
)
def test_overshooting_and_going_uphill_are_told_apart(uphill: bool, rate: float, index: float) -> None:
    losses, norms = quadratic(rate, 1.0, 12, uphill=uphill)
    facts = gather(remembered(losses, norms), Context(optimizer="sgd", learning_rate=rate))
    assert facts.ascent == pytest.approx(index, abs=1e-6)


def test_the_rate_is_measured_against_what_is_usual_for_the_optimizer() -> None:
    losses = noisy(2.3)
    cases = {
        ("adam", 0.1, None): 2.0,
        ("AdamW", 1e-5, None): -2.0,
        ("sgd", 0.1, None): 0.0,
        ("sgd", 0.1, 0.9): 1.0,
        (None, 0.01, None): 0.0,
        (None, 1e-6, None): -3.0,
    }
    for (optimizer, rate, momentum), decades in cases.items():
        context = Context(optimizer=optimizer, learning_rate=rate, momentum=momentum)
        assert gather(remembered(losses), context).rate_decades == pytest.approx(decades), (optimizer, rate)


def test_a_jump_of_the_rate_is_seen_where_the_finding_began_and_only_there() -> None:
    memory = remembered(noisy(1.0), rates=[0.01] * 200 + [1.0] * 200)
    facts = gather(memory, SGD, since_step=203)
    assert facts.rate_jump == pytest.approx(100)
    assert with_onset(facts, memory, 120).rate_jump == pytest.approx(1)
    assert with_onset(facts, memory, 203) == facts


def test_gradients_that_add_up_grow_like_the_step_count() -> None:
    norms = [0.4 * (i + 1) * math.exp(0.05 * e) for i, e in enumerate(RNG(2).normal(size=64))]
    facts = gather(remembered(noisy(1.0, 64), norms), SGD)
    assert facts.gradient is not None
    assert facts.gradient.growth_exponent == pytest.approx(1.0, abs=0.1)
    assert facts.gradient.growth_fit > 0.95


def test_a_clip_value_is_inferred_from_norms_that_often_equal_their_maximum() -> None:
    norms = [min(n, 0.5) for n in np.exp(RNG(3).normal(size=300)).tolist()]
    facts = gather(remembered(noisy(1.0, 300), norms), Context())
    assert facts.clip == pytest.approx(0.5)
    assert facts.clip_inferred
    assert gather(remembered(noisy(1.0, 300), noisy(1.0, 300)), Context()).clip is None


def test_the_share_of_clipped_steps_is_measured_against_the_given_clip() -> None:
    norms = [0.01] * 100 + [5.0] * 100
    facts = gather(remembered(noisy(1.0, 200), norms), Context(grad_clip=1.0))
    assert facts.clipped_share == pytest.approx(0.5, abs=0.03)


def test_a_repeating_pattern_is_found_with_its_period_and_white_noise_has_none() -> None:
    t = np.arange(400)
    saw = (1.0 + 0.3 * ((t % 23) / 23) + 0.02 * RNG(4).normal(size=400)).tolist()
    found = gather(remembered(saw), SGD).loss
    assert found is not None
    assert found.period is not None
    assert found.period % 23 == 0
    assert found.period_strength > 0.8
    strengths = [
        facts.period_strength
        for seed in range(20)
        if (facts := gather(remembered(noisy(1.0, 400, 0.1, seed)), SGD).loss)
    ]
    assert max(strengths) < 0.42


def test_the_smooth_end_of_full_batch_training_is_no_pattern() -> None:
    t = np.arange(2000)
    smooth = (0.0057 + 0.05 * np.exp(-t / 100) * (1 + 0.5 * np.cos(t / 8))).tolist()
    facts = gather(remembered(smooth), SGD)
    assert facts.loss is not None
    assert facts.loss.period is None


def test_losses_that_repeat_to_the_last_digit_are_seen() -> None:
    epoch = RNG(5).normal(2.3, 0.05, size=40).tolist()
    repeated = gather(remembered(epoch * 6), SGD).loss
    assert repeated is not None
    assert repeated.exact_period == 40
    constant = gather(remembered([0.701] * 50), SGD).loss
    assert constant is not None
    assert constant.identical


def test_layers_tell_always_dead_from_died() -> None:
    n = 200
    series = {
        "first": [1e-3] * n,
        "always dead": [0.0] * n,
        "died": [0.3] * 20 + [0.0] * (n - 20),
        "last": [1.0] * n,
    }
    facts = gather(remembered(noisy(2.3, n), layers=series), SGD)
    assert facts.layers is not None
    assert (facts.layers.dead_from_start, facts.layers.became_dead) == (1, 1)
    assert facts.layers.first_over_last == pytest.approx(1e-3, rel=0.01)


def test_the_order_of_layers_follows_the_context() -> None:
    series = {"z.last": [1.0] * 50, "a.first": [1e-4] * 50}
    facts = gather(remembered(noisy(2.3, 50), layers=series), Context(layer_order=("a.first", "z.last")))
    assert facts.layers is not None
    assert facts.layers.first_over_last == pytest.approx(1e-4, rel=0.01)


def test_a_validation_loss_that_never_changes_is_counted() -> None:
    facts = gather(remembered(noisy(2.3), validation=[2.31] * 12), SGD)
    assert facts.validation is not None
    assert facts.validation.equal_at_end == 12


def test_nothing_is_made_up_of_an_empty_run() -> None:
    empty = gather(remembered([]), Context())
    assert replace(empty, had=frozenset()) == Measured()
    assert empty.had <= {Need.MINIMISED, Need.START, Need.UNCLIPPED}


def test_the_facts_of_a_long_run_cost_no_more_than_those_of_a_short_one() -> None:
    short, long = (remembered(noisy(1.0, n), noisy(1.0, n), rates=[0.1] * n) for n in (1000, 20_000))
    assert calls(lambda: gather(long, SGD)) < 1.2 * calls(lambda: gather(short, SGD))
