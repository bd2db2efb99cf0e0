"""Advice is an action that a program can take, with a value where one can be derived, and words for a beginner."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from losswatch_server.monitor.advice import ACTIONS, REFERENCES, REMEDIES, advise
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.findings import Advice, Cause
from losswatch_server.monitor.learning_rate_limit import difference_ratios
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName, Condition
from monitor.diagnosis.remembered import found, ranked, remembered

KERAS = [450.9794, 1603.0852, 5698.4731, 20256.3398, 72005.1719]
RNG = np.random.default_rng


def keras_advice(context: Context) -> tuple[Advice, ...]:
    ratio = difference_ratios(KERAS)[-1]
    causes, finding, facts = ranked(
        Condition.DIVERGING,
        remembered(KERAS),
        context,
        steady=True,
        growth_per_step=ratio,
        difference_ratio=ratio,
        ratio_spread=1.0001,
        rises=4,
        steps_per_rise=1,
        learning_rate_times_sharpness=1 + math.sqrt(ratio),
    )
    return advise(finding, causes, facts, context)


def for_cause(cause: CauseName, condition: Condition, context: Context, **series: list[float]) -> tuple[Advice, ...]:
    """The advice when that cause alone stands."""
    losses = series.pop("losses", RNG(0).normal(2.3, 0.02, 200).tolist())
    memory = remembered(losses, **series)
    facts = gather(memory, context, since_step=100)
    return advise(found(condition, memory, onset=100), (Cause(cause=cause, probability=0.9),), facts, context)


def test_a_known_rate_is_set_to_half_the_stable_limit() -> None:
    first = keras_advice(Context(optimizer="sgd", learning_rate=0.01))[0]
    assert (first.action, first.value, first.current) == ("set_learning_rate", 0.00347, 0.01)
    assert first.cause is CauseName.LEARNING_RATE_TOO_HIGH
    assert "0.00693" in first.summary


@pytest.mark.parametrize(("first", "said"), [(math.log(10), "all weights are 0"), (9.0, "should be at chance level")])
def test_a_first_loss_that_is_chance_level_already_is_not_told_to_become_it(first: float, said: str) -> None:
    context = Context(loss_name="cross_entropy", num_classes=10)
    losses = [first, *RNG(0).normal(2.3026, 0.001, 199).tolist()]
    advice = for_cause(CauseName.POOR_INITIALIZATION, Condition.NOT_LEARNING, context, losses=losses)
    assert said in advice[0].summary


@pytest.mark.parametrize(("start", "raised"), [(1.9, 2e-4), (2.3, 0.01)])
def test_a_rate_for_fine_tuning_is_raised_by_ten_at_a_time_unless_the_model_began_from_nothing(
    start: float, raised: float
) -> None:
    context = Context(optimizer="adamw", learning_rate=2e-5, loss_name="cross_entropy", num_classes=10, total_steps=200)
    losses = (start - 0.0002 * np.arange(200)).tolist()
    first = for_cause(CauseName.LEARNING_RATE_TOO_LOW, Condition.SLOW_CONVERGENCE, context, losses=losses)[0]
    assert (first.action, first.value) == ("set_learning_rate", raised)


def test_no_higher_rate_is_advised_where_the_loss_has_risen() -> None:
    losses = (np.linspace(6.0, 8.0, 200) + RNG(0).normal(0, 0.2, 200)).tolist()
    assert for_cause(CauseName.LEARNING_RATE_TOO_LOW, Condition.NOT_LEARNING, Context(), losses=losses) == ()


def test_a_loss_that_overflowed_after_steady_growth_still_tells_the_limit() -> None:
    context = Context(optimizer="sgd", learning_rate=0.01)
    causes, finding, facts = ranked(Condition.NON_FINITE, remembered(KERAS), context, onset=5)
    assert causes[0].cause is CauseName.LEARNING_RATE_TOO_HIGH
    first = advise(finding, causes, facts, context)[0]
    assert first.action == "set_learning_rate"
    assert first.value == pytest.approx(0.00347, rel=0.01)


def test_an_unknown_rate_is_multiplied() -> None:
    first = keras_advice(Context())[0]
    assert (first.action, first.value, first.current) == ("multiply_learning_rate", 0.347, None)


def test_adam_gets_a_range_and_a_warm_up_instead_of_a_formula() -> None:
    context = Context(optimizer="adam", learning_rate=0.5, total_steps=1000)
    causes, finding, facts = ranked(
        Condition.DIVERGING, remembered(KERAS), context, difference_ratio=3.55, ratio_spread=1.0, rises=4
    )
    told = {a.action: a for a in advise(finding, causes, facts, context)}
    assert told["set_learning_rate"].value == pytest.approx(3e-3)
    assert told["add_warmup"].value == 50


def test_a_rate_that_was_raised_goes_back_to_where_it_was() -> None:
    told = for_cause(
        CauseName.LEARNING_RATE_TOO_HIGH,
        Condition.LOSS_SPIKE,
        Context(optimizer="sgd"),
        rates=[0.01] * 98 + [0.6] * 102,
    )
    assert (told[0].action, told[0].value, told[0].current) == ("set_learning_rate", 0.01, 0.6)


@pytest.mark.parametrize(
    ("context", "value"),
    [
        (Context(optimizer="adam", learning_rate=1e-6), 1e-3),
        (Context(optimizer="adam", learning_rate=1e-6, total_steps=1000), 1e-3),
        (Context(optimizer="adam", learning_rate=1e-5, total_steps=1000), 3e-3),
        (Context(optimizer="adam", learning_rate=1e-4, total_steps=50), 1e-2),
        (Context(optimizer="adam", learning_rate=1e-5, total_steps=10, step_unit="epoch", steps_per_epoch=100), 3e-3),
        (Context(optimizer="adam", learning_rate=1e-5, total_steps=10**6), 1e-3),
        (Context(optimizer="sgd", learning_rate=1e-3, loss_name="cross_entropy"), 0.1),
        (Context(optimizer="sgd", learning_rate=1e-3, loss_name="mse"), 0.025),
        (Context(optimizer="sgd", learning_rate=1e-8), 1e-5),
        (Context(learning_rate=1e-3), 0.01),
    ],
)
def test_a_low_rate_is_raised_towards_the_usual_one(context: Context, value: float) -> None:
    told = for_cause(CauseName.LEARNING_RATE_TOO_LOW, Condition.NOT_LEARNING, context)
    assert told[0].action == "set_learning_rate"
    assert told[0].value == pytest.approx(value)


def test_a_rate_that_was_raised_long_before_the_finding_goes_back_too() -> None:
    losses = RNG(0).normal(0.66, 0.02, 400).tolist()
    memory = remembered(losses, rates=[0.01] * 150 + [0.12] * 250)
    facts = gather(memory, Context(optimizer="adam"), since_step=0)
    cause = Cause(cause=CauseName.LEARNING_RATE_TOO_HIGH, probability=0.9)
    told = advise(found(Condition.PLATEAU, memory), (cause,), facts, Context(optimizer="adam"))
    assert (told[0].action, told[0].value, told[0].current) == ("set_learning_rate", 0.01, 0.12)


def test_a_warm_up_and_a_restart_are_no_raised_rates() -> None:
    losses = RNG(0).normal(0.66, 0.02, 400).tolist()
    warm = [0.001] * 20 + [0.01] * 380
    restart = [0.1] * 100 + [0.001] * 100 + [0.1] * 200
    assert gather(remembered(losses, rates=warm), Context(warmup_steps=20)).rate_before_rise is None
    assert gather(remembered(losses, rates=restart), Context()).rate_before_rise is None


def test_a_model_that_learned_much_is_widened_by_less_than_one_that_hardly_did() -> None:
    fallen = np.concatenate([np.linspace(2.3, 0.9, 50), np.full(150, 0.9)]).tolist()
    told = for_cause(CauseName.INSUFFICIENT_CAPACITY, Condition.PLATEAU, Context(num_classes=10), losses=fallen)
    assert [(a.action, a.value) for a in told] == [("update_parameters", None), ("increase_capacity", 4)]


def test_units_that_never_lived_are_initialised_anew_and_units_that_died_made_leaky() -> None:
    died = np.concatenate([np.linspace(2.3, 0.3, 100), np.full(100, 2.3)]).tolist()
    later = for_cause(CauseName.DEAD_ACTIVATIONS, Condition.NOT_LEARNING, Context(), losses=died)
    never = for_cause(CauseName.DEAD_ACTIVATIONS, Condition.NOT_LEARNING, Context())
    assert [a.action for a in later] == ["change_activation", "change_initialization"]
    assert [a.action for a in never] == ["change_initialization", "change_activation"]


def test_what_the_client_already_does_is_not_advised() -> None:
    relu = Context(extra={"activation": "relu"})
    assert for_cause(CauseName.MISSING_NONLINEARITY, Condition.PLATEAU, relu) == ()
    saturated = for_cause(CauseName.SATURATED_ACTIVATIONS, Condition.NOT_LEARNING, relu)
    assert [a.action for a in saturated] == ["change_initialization"]
    assert for_cause(CauseName.MOMENTUM_TOO_HIGH, Condition.OSCILLATION, Context(momentum=0.9)) == ()


def test_a_divergence_that_begins_with_one_batch_says_which_to_leave_out() -> None:
    calm = RNG(3).normal(0.2, 0.02, 120).tolist()
    losses = [*np.linspace(2, 0.2, 80), *calm, *(40 * 3.0**k for k in range(8))]
    causes, finding, facts = ranked(
        Condition.DIVERGING, remembered(losses), Context(optimizer="sgd", learning_rate=0.02), onset=199
    )
    assert causes[0].cause is CauseName.BAD_BATCH
    first = advise(finding, causes, facts, Context())[0]
    assert (first.action, first.value) == ("skip_batch", 200)


def test_clip_values_come_from_the_norms_that_were_seen() -> None:
    norms = np.linspace(0.1, 1.0, 200).tolist()
    tight = for_cause(
        CauseName.GRADIENT_CLIP_TOO_TIGHT, Condition.SLOW_CONVERGENCE, Context(grad_clip=0.001), norms=norms
    )
    assert tight[0].action == "loosen_gradient_clip"
    assert tight[0].value == pytest.approx(0.9, abs=0.03)
    assert tight[0].current == 0.001
    batch = for_cause(CauseName.BAD_BATCH, Condition.LOSS_SPIKE, Context(), norms=norms)
    assert {a.action: a.value for a in batch} == {"skip_batch": 100, "clip_gradients": pytest.approx(0.9, abs=0.03)}


def test_overfitting_stops_at_the_best_step() -> None:
    memory = remembered(np.linspace(2, 0.1, 100).tolist(), validation=[2.0, 1.5, 1.2, 1.4, 1.8])
    facts = gather(memory, Context())
    cause = Cause(cause=CauseName.OVERFIT_SMALL_DATA, probability=0.9)
    told = advise(found(Condition.OVERFITTING, memory), (cause,), facts, Context())
    assert told[0].action == "stop_at_best_step"
    assert told[0].value == 40


@pytest.mark.parametrize(
    ("cause", "context", "action", "value"),
    [
        (CauseName.MOMENTUM_TOO_HIGH, Context(momentum=0.999), "set_momentum", 0.9),
        (CauseName.BATCH_TOO_SMALL, Context(batch_size=1), "increase_batch_size", 32),
        (CauseName.BATCH_TOO_SMALL, Context(batch_size=8), "increase_batch_size", 64),
        (CauseName.WEIGHT_DECAY_TOO_STRONG, Context(weight_decay=0.5), "reduce_weight_decay", 1e-4),
        (CauseName.PRECISION_OVERFLOW, Context(precision="fp16"), "change_precision", "bf16"),
        (CauseName.WRONG_LOSS_FUNCTION, Context(loss_name="mse", num_classes=2), "change_loss", "binary_cross_entropy"),
        (CauseName.MISSING_NONLINEARITY, Context(), "change_activation", "relu"),
        (CauseName.INPUTS_NOT_SCALED, Context(), "scale_inputs", "standardize"),
        (CauseName.GRADIENTS_ACCUMULATING, Context(), "zero_gradients", None),
        (CauseName.PARAMETERS_NOT_UPDATED, Context(), "update_parameters", None),
        (CauseName.DATA_NOT_SHUFFLED, Context(), "shuffle_data", None),
        (CauseName.NO_WARMUP, Context(total_steps=2000), "add_warmup", 100),
    ],
)
def test_each_cause_has_its_action(cause: CauseName, context: Context, action: str, value: float | str | None) -> None:
    told = for_cause(cause, Condition.NOT_LEARNING, context)
    assert (told[0].action, told[0].value) == (action, value)


def test_every_cause_has_a_remedy_and_every_action_an_explanation() -> None:
    assert set(REMEDIES) == set(CauseName)
    assert set(REFERENCES) == set(ACTIONS) - {"none"}
    used = set()
    for cause in CauseName:
        for condition in (Condition.NOT_LEARNING, Condition.NON_FINITE, Condition.EXPLODING_GRADIENT):
            for context in (Context(), Context(optimizer="adam", learning_rate=1.0, grad_clip=0.1, num_classes=3)):
                norms = RNG(1).normal(1, 0.1, 200).tolist()
                told = for_cause(cause, condition, context, norms=norms, validation=[1.0, 2.0, 3.0])
                used |= {a.action for a in told}
                assert all(a.summary.endswith(".") and a.reference for a in told)
    assert used == set(ACTIONS) - {"none"}


def test_each_action_is_advised_once_and_the_first_cause_comes_first() -> None:
    memory = remembered(RNG(0).normal(2.3, 0.02, 200).tolist())
    causes = tuple(
        Cause(cause=name, probability=p)
        for name, p in [
            (CauseName.SATURATED_ACTIVATIONS, 0.4),
            (CauseName.DEAD_ACTIVATIONS, 0.3),
            (CauseName.LABELS_UNINFORMATIVE, 0.15),
            (CauseName.LEARNING_RATE_TOO_HIGH, 0.03),
        ]
    )
    facts = gather(memory, Context())
    told = advise(found(Condition.NOT_LEARNING, memory), causes, facts, Context())
    assert [a.action for a in told] == ["change_activation", "change_initialization", "check_labels"]
    assert told[0].cause is CauseName.SATURATED_ACTIVATIONS


def test_a_converged_run_needs_nothing_and_a_silent_one_gets_no_guess() -> None:
    memory = remembered([1.0] * 20)
    facts = gather(memory, Context())
    converged = advise(found(Condition.CONVERGED, memory), (), facts, Context())
    assert [a.action for a in converged] == ["none"]
    assert advise(found(Condition.SILENT, memory), (), facts, Context()) == ()


def test_advice_uses_the_rate_that_became_known_after_the_detector_ran() -> None:
    later = keras_advice(Context(optimizer="sgd", learning_rate=0.02))[0]
    assert later.value == pytest.approx(0.00693, rel=1e-2)
    assert replace(later, value=None, summary="", current=None, reference=None).action == "set_learning_rate"
