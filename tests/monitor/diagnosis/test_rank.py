"""Causes are ranked by what separates them, with reasons, and with doubt where the numbers cannot tell."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.checks import separating_check
from losswatch_server.monitor.diagnosis.engine import strengths
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.learning_rate_limit import difference_ratios
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import diagnose
from losswatch_server.monitor.vocabulary import CauseName, Condition
from monitor.diagnosis.remembered import names, ranked, remembered

RNG = np.random.default_rng
TEN = Context(loss_name="cross_entropy", num_classes=10, batch_size=32)
CHANCE = math.log(10)


def noisy(level: float, n: int = 400, noise: float = 0.025, seed: int = 0) -> list[float]:
    return (level + noise * RNG(seed).normal(size=n)).tolist()


def sgd(rate: float = 0.1) -> Context:
    return TEN.merged(Context(optimizer="sgd", learning_rate=rate))


PROOF = (remembered([2.3125] * 300, [0.5] * 300, validation=[2.4] * 20), sgd())
"""A loss and a validation loss that are equal to the last digit, and a gradient: nothing is updated."""


def test_the_documented_keras_run_is_blamed_on_the_rate_with_the_inputs_beside_it() -> None:
    losses = [450.9794, 1603.0852, 5698.4731, 20256.3398, 72005.1719]
    ratio = difference_ratios(losses)[-1]
    causes, _, _ = ranked(
        Condition.DIVERGING,
        remembered(losses),
        Context(optimizer="sgd", learning_rate=0.01),
        steady=True,
        growth_per_step=ratio,
        difference_ratio=ratio,
        learning_rate_times_sharpness=1 + math.sqrt(ratio),
    )
    assert causes[0].cause is CauseName.LEARNING_RATE_TOO_HIGH
    assert "inputs_not_scaled" in names(causes)
    assert any("2.89" in reason for reason in causes[0].because)


def test_a_loss_that_never_moves_although_the_gradient_promises_a_fall_is_not_updated() -> None:
    causes, _, _ = ranked(Condition.NOT_LEARNING, remembered(noisy(2.33), noisy(0.45)), sgd())
    assert causes[0].cause is CauseName.PARAMETERS_NOT_UPDATED


def test_the_same_curve_with_a_tiny_rate_is_a_rate_too_low() -> None:
    causes, _, _ = ranked(Condition.NOT_LEARNING, remembered(noisy(2.33), noisy(0.45)), sgd(1e-5))
    assert causes[0].cause is CauseName.LEARNING_RATE_TOO_LOW
    assert any("1/10,000" in reason for reason in causes[0].because)


def test_a_validation_loss_equal_to_the_last_digit_is_all_but_proof_of_no_update() -> None:
    without, _, _ = ranked(Condition.NOT_LEARNING, remembered(noisy(2.33), noisy(0.45)), TEN)
    proven, _, _ = ranked(Condition.NOT_LEARNING, remembered(noisy(2.33), noisy(0.45), validation=[2.3125] * 10), TEN)
    assert proven[0].cause is CauseName.PARAMETERS_NOT_UPDATED
    assert proven[0].probability > max(0.9, without[0].probability)


def test_layers_that_died_name_dead_activations_and_vanishing_ones_saturation() -> None:
    n = 300
    flat = noisy(CHANCE, n, 0.01)
    died, _, _ = ranked(
        Condition.VANISHING_GRADIENT,
        remembered(flat, noisy(0.15, n), layers={"a": [0.2] * 10 + [0.0] * (n - 10), "b": [0.15] * n}),
        sgd(),
    )
    faint, _, _ = ranked(
        Condition.VANISHING_GRADIENT,
        remembered(flat, noisy(0.4, n), layers={name: [10.0 ** (i - 6)] * n for i, name in enumerate("abcdef")}),
        sgd(),
    )
    assert died[0].cause is CauseName.DEAD_ACTIVATIONS
    assert faint[0].cause is CauseName.SATURATED_ACTIVATIONS


def test_a_blow_up_that_settles_at_chance_is_the_learning_rate_not_the_model() -> None:
    losses = [2.3, 2.8, 9.0, 60.0, 30.0, 12.0, *noisy(2.36, 300, 0.07)]
    norms = [0.4, 2.0, 20.0, 50.0, 9.0, 3.0, *noisy(0.2, 300, 0.03)]
    causes, _, _ = ranked(Condition.NOT_LEARNING, remembered(losses, norms), sgd(5.0))
    assert causes[0].cause is CauseName.LEARNING_RATE_TOO_HIGH
    assert causes[0].probability > 0.8


def test_a_stationary_point_above_zero_points_to_the_model_never_to_more_steps() -> None:
    t = np.arange(500)
    losses = 0.0057 + 0.012 * np.exp(-t / 20)
    norms = 0.4 * np.exp(-t / 20) + 1e-7
    causes, _, _ = ranked(
        Condition.PLATEAU,
        remembered(losses.tolist(), norms.tolist()),
        Context(optimizer="adam", learning_rate=0.01, loss_name="mse"),
    )
    assert names(causes, 1)[0] in ("missing_nonlinearity", "insufficient_capacity")
    assert {"missing_nonlinearity", "insufficient_capacity"} <= set(names(causes))
    assert "learning_rate_too_low" not in names(causes)


def test_softmax_applied_twice_is_known_by_its_floor() -> None:
    floor = math.log(math.e + 9) - 1
    t = np.arange(600)
    losses = floor * 1.01 + (CHANCE - floor) * np.exp(-t / 60) + 0.01 * RNG(1).normal(size=600)
    causes, _, _ = ranked(Condition.PLATEAU, remembered(losses.tolist()), TEN)
    assert causes[0].cause is CauseName.WRONG_LOSS_FUNCTION


def test_going_uphill_is_the_wrong_sign_and_overshooting_is_the_rate() -> None:
    def run(factor: float, rate: float) -> list[CauseName]:
        w = [factor**i for i in range(12)]
        losses, norms = [0.5 * x * x + 1 for x in w], [abs(x) for x in w]
        context = Context(optimizer="sgd", learning_rate=rate)
        return [c.cause for c in ranked(Condition.DIVERGING, remembered(losses, norms), context)[0]]

    assert run(1.3, 0.3)[0] is CauseName.WRONG_LOSS_FUNCTION
    assert run(-1.3, 2.3)[0] is CauseName.LEARNING_RATE_TOO_HIGH


def test_gradients_that_add_up_are_named_when_the_norm_grows_smoothly() -> None:
    rng = RNG(3)
    norms = [0.4 * (i + 1) * math.exp(0.15 * rng.normal() / (1 + i / 10)) for i in range(300)]
    losses = [2.3 - 1.5 * min(1, i / 40) + max(0, i - 60) * 0.05 for i in range(300)]
    causes, _, _ = ranked(Condition.DIVERGING, remembered(losses, norms), sgd(0.02), onset=60)
    assert causes[0].cause is CauseName.GRADIENTS_ACCUMULATING


def test_a_spike_after_a_jump_of_the_rate_is_the_rate_and_without_one_the_batch() -> None:
    losses = noisy(0.3, 400)
    losses[200:204] = [6.0, 5.0, 4.0, 2.0]
    jumped, _, _ = ranked(Condition.LOSS_SPIKE, remembered(losses, rates=[0.01] * 199 + [0.6] * 201), TEN, onset=200)
    steady, _, _ = ranked(Condition.LOSS_SPIKE, remembered(losses, rates=[0.01] * 400), TEN, onset=200)
    assert jumped[0].cause is CauseName.LEARNING_RATE_TOO_HIGH
    assert steady[0].cause is CauseName.BAD_BATCH


def test_a_jump_to_the_loss_of_guessing_that_stays_is_the_labels_not_one_batch() -> None:
    noise = RNG(5).normal(0, 0.03, 400)
    learned = [*np.linspace(2.3, 0.3, 100), *([0.3] * 100)]
    shuffled = [*np.linspace(5.0, 2.4, 20), *([2.35] * 180)]
    losses = (np.array([*learned, *shuffled]) + noise).tolist()
    context = Context(loss_name="cross_entropy", num_classes=10, optimizer="sgd", learning_rate=0.1)
    for condition in (Condition.LOSS_SPIKE, Condition.DIVERGING):
        causes, _, _ = ranked(condition, remembered(losses, rates=[0.1] * 400), context, onset=200)
        assert causes[0].cause is CauseName.LABELS_UNINFORMATIVE, condition


def test_trouble_after_learning_is_never_blamed_on_the_start() -> None:
    losses = [*np.linspace(2.3, 0.3, 100), *RNG(6).normal(0.3, 0.02, 100), *np.linspace(0.3, 9.0, 60)]
    causes, _, _ = ranked(Condition.DIVERGING, remembered(losses), Context(optimizer="sgd"), onset=200)
    late = {CauseName.POOR_INITIALIZATION, CauseName.NO_WARMUP, CauseName.INPUTS_NOT_SCALED}
    assert not late & {c.cause for c in causes[:3]}


def test_a_loss_that_only_ever_rose_at_a_usual_rate_is_the_wrong_loss() -> None:
    losses = (2.3 * 1.05 ** np.arange(60) + RNG(7).normal(0, 0.02, 60)).tolist()
    context = Context(optimizer="adam", learning_rate=1e-3, loss_name="cross_entropy", num_classes=10)
    causes, _, _ = ranked(Condition.DIVERGING, remembered(losses), context)
    assert causes[0].cause is CauseName.WRONG_LOSS_FUNCTION
    falls_first = [*np.linspace(2.3, 1.0, 30), *(1.0 * 1.2 ** np.arange(30))]
    causes, _, _ = ranked(Condition.DIVERGING, remembered(falls_first), context)
    assert causes[0].cause is not CauseName.WRONG_LOSS_FUNCTION


def test_a_gradient_of_zero_far_above_guessing_means_that_the_loss_sees_no_output() -> None:
    losses = RNG(8).normal(8.0, 0.5, 200).tolist()
    context = Context(loss_name="cross_entropy", num_classes=2, optimizer="sgd", learning_rate=0.1)
    causes, _, _ = ranked(Condition.NOT_LEARNING, remembered(losses, [0.0] * 200, validation=[8.0] * 9), context)
    assert causes[0].cause is CauseName.WRONG_LOSS_FUNCTION


def test_a_validation_loss_that_stopped_to_the_last_digit_means_that_updates_stopped() -> None:
    losses = [*np.linspace(2.3, 1.2, 60), *RNG(9).normal(1.2, 0.1, 240)]
    norms = RNG(10).normal(1.0, 0.1, 300).tolist()
    held = [2.3, 1.9, 1.5, *([1.2345678901234567] * 12)]
    causes, _, _ = ranked(Condition.PLATEAU, remembered(losses, norms, validation=held), Context())
    assert causes[0].cause is CauseName.PARAMETERS_NOT_UPDATED
    rounded = [2.3, 1.9, 1.5, *([1.23] * 12)]
    doubtful, _, _ = ranked(Condition.PLATEAU, remembered(losses, norms, validation=rounded), Context())
    of = {c.cause: c.probability for c in doubtful}
    assert of.get(CauseName.PARAMETERS_NOT_UPDATED, 0.0) < causes[0].probability


def test_a_named_activation_is_believed() -> None:
    losses = [*np.linspace(1.5, 0.8, 40), *RNG(11).normal(0.8, 0.05, 260)]
    first = {}
    for name in ("linear", "relu"):
        causes, _, _ = ranked(Condition.PLATEAU, remembered(losses), Context(extra={"activation": name}))
        first[name] = [c.cause for c in causes]
    assert first["linear"][0] is CauseName.MISSING_NONLINEARITY
    assert CauseName.MISSING_NONLINEARITY not in first["relu"][:3]


def test_half_precision_makes_an_overflow_the_likelier_reason_for_nan() -> None:
    memory = remembered(noisy(0.4, 100))
    half, _, _ = ranked(Condition.NON_FINITE, memory, Context(precision="fp16"), onset=100)
    full, _, _ = ranked(Condition.NON_FINITE, memory, Context(precision="fp32"), onset=100)
    assert half[0].cause is CauseName.PRECISION_OVERFLOW
    assert full[0].cause is not CauseName.PRECISION_OVERFLOW


@pytest.mark.parametrize(
    ("condition", "context", "cause"),
    [
        (Condition.OSCILLATION, Context(momentum=0.999, optimizer="sgd"), CauseName.MOMENTUM_TOO_HIGH),
        (Condition.OSCILLATION, Context(batch_size=1), CauseName.BATCH_TOO_SMALL),
        (Condition.NOT_LEARNING, Context(weight_decay=0.5), CauseName.WEIGHT_DECAY_TOO_STRONG),
        (Condition.SLOW_CONVERGENCE, Context(grad_clip=1e-3), CauseName.GRADIENT_CLIP_TOO_TIGHT),
    ],
)
def test_an_extreme_setting_is_named_first(condition: Condition, context: Context, cause: CauseName) -> None:
    memory = remembered(noisy(CHANCE, 300, 0.01), noisy(0.3, 300, 0.05))
    causes, _, _ = ranked(condition, memory, TEN.merged(context))
    assert causes[0].cause is cause


def test_a_sawtooth_of_the_epoch_is_unshuffled_data() -> None:
    t = np.arange(500)
    losses = 1.0 + 0.6 * np.abs((t % 32) / 32 - 0.5) + 0.03 * RNG(4).normal(size=500)
    causes, _, _ = ranked(Condition.OSCILLATION, remembered(losses.tolist()), TEN)
    assert causes[0].cause is CauseName.DATA_NOT_SHUFFLED


def test_without_evidence_nothing_is_claimed_with_confidence() -> None:
    memory = remembered(noisy(1.0, 30, 0.05))
    for condition in PRIORS:
        if condition is not Condition.OVERFITTING:
            causes, _, _ = ranked(condition, memory, Context())
            assert causes[0].probability < 0.65, condition


def test_every_cause_that_is_told_has_reasons_with_numbers_and_a_check() -> None:
    causes, _, _ = ranked(Condition.NOT_LEARNING, remembered(noisy(2.33), noisy(0.45)), sgd(1e-5))
    assert any(character.isdigit() for character in " ".join(causes[0].because))
    assert all(cause.check.endswith(".") for cause in causes)
    assert all(len(set(cause.because)) == len(cause.because) for cause in causes)


def test_none_of_these_is_likely_while_nothing_speaks_for_a_cause_and_all_but_excluded_by_proof() -> None:
    unknown, _, _ = ranked(Condition.PLATEAU, remembered(noisy(1.0)), Context())
    proven, _, _ = ranked(Condition.NOT_LEARNING, *PROOF)
    assert sum(c.probability for c in unknown) < 0.6
    assert 0.98 < sum(c.probability for c in proven) < 1
    assert all(a.probability >= b.probability for a, b in pairwise(unknown))


@pytest.mark.parametrize("condition", [Condition.CONVERGED, Condition.SILENT])
def test_what_is_no_fault_has_no_cause(condition: Condition) -> None:
    assert ranked(condition, remembered(noisy(1.0)), Context())[0] == ()


def test_every_cause_has_its_own_check() -> None:
    assert len({separating_check(cause, None) for cause in CauseName}) == len(CauseName)


def test_a_pair_that_is_often_confused_gets_the_check_that_separates_it() -> None:
    pair = (CauseName.PARAMETERS_NOT_UPDATED, CauseName.LEARNING_RATE_TOO_LOW)
    assert separating_check(*pair) == separating_check(*reversed(pair)) != separating_check(pair[0], None)


@pytest.mark.parametrize("rates", [None, [5e-5] * 8])
def test_a_blow_up_after_a_fall_is_no_rise_from_the_first_step(rates: list[float] | None) -> None:
    report = diagnose(
        [
            Point(20 * (i + 1), loss=loss, learning_rate=rates[i] if rates else None)
            for i, loss in enumerate([1.9, 1.7, 4.1, 6.8, 6.0, 5.5, 5.3, 5.2])
        ],
        Context(),
    )
    causes = report.findings[0].causes
    assert not [reason for cause in causes for reason in cause.because if "from the first steps on" in reason]
    assert causes[0].cause is CauseName.LEARNING_RATE_TOO_HIGH


def test_a_rate_that_never_changed_excuses_itself_only_where_it_went_well_before() -> None:
    well = noisy(1.0, n=60, noise=0.01)
    jump = [5.0 + 0.01 * i for i in range(60)]
    for calm, excused in ((well[:3], False), (well, True)):
        memory = remembered(calm + jump, rates=[0.1] * (len(calm) + 60))
        _, finding, measured = ranked(Condition.DIVERGING, memory, onset=len(calm))
        assert ("rate_kept" in strengths(Seen(finding, measured, Context()))) is excused
