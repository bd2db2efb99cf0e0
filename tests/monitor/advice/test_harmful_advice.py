"""No action is advised where it would do harm, or where it is done already: for each, a run in which it would."""

from __future__ import annotations

import numpy as np
import pytest

from losswatch_server.monitor.advice import ACTIONS, REMEDIES, advise
from losswatch_server.monitor.diagnosis.engine import rank
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.findings import Advice
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName as C
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.odd_trainings import trainings
from monitor.diagnosis.remembered import found, remembered

CALM = np.random.default_rng(0).normal(2.3, 0.02, 200).tolist()
BLEW_UP = [2.3, 90.0, 40.0, *CALM]
HARM: dict[str, tuple[C, Condition, Context, list[float], str]] = {
    "set_learning_rate": (
        C.LEARNING_RATE_TOO_LOW, Condition.NOT_LEARNING, Context(optimizer="sgd", learning_rate=1e-4), BLEW_UP,
        "a higher rate after a blow-up",
    ),
    "multiply_learning_rate": (
        C.LEARNING_RATE_TOO_LOW, Condition.SLOW_CONVERGENCE, Context(), [1e7 * 0.99**i for i in range(200)],
        "a higher rate where the loss began at ten millions",
    ),
    "add_warmup": (
        C.NO_WARMUP, Condition.DIVERGING, Context(warmup_steps=100), BLEW_UP, "a warm-up that is there already",
    ),
    "clip_gradients": (
        C.POOR_INITIALIZATION, Condition.EXPLODING_GRADIENT, Context(grad_clip=1.0), CALM, "a second clipping",
    ),
    "loosen_gradient_clip": (
        C.GRADIENT_CLIP_TOO_TIGHT, Condition.NOT_LEARNING, Context(grad_clip=0.1), BLEW_UP,
        "longer steps after a blow-up",
    ),
    "scale_inputs": (
        C.INPUTS_NOT_SCALED, Condition.PLATEAU, Context(facts=ModelFacts(input_std=1.0)), CALM,
        "scaling what is scaled",
    ),
    "change_activation": (
        C.MISSING_NONLINEARITY, Condition.PLATEAU, Context(extra={"activation": "relu"}), CALM, "a second activation",
    ),
    "change_initialization": (
        C.POOR_INITIALIZATION, Condition.NOT_LEARNING, Context(extra={"peft": "lora"}), CALM,
        "to throw away what a trained model knows",
    ),
    "increase_capacity": (
        C.INSUFFICIENT_CAPACITY, Condition.OVERFITTING, Context(), CALM, "a larger model where it overfits",
    ),
    "change_loss": (
        C.WRONG_LOSS_FUNCTION, Condition.PLATEAU, Context(loss_name="mse", facts=ModelFacts(target_kind="values")),
        CALM, "a cross entropy for values",
    ),
    "update_parameters": (
        C.PARAMETERS_NOT_UPDATED, Condition.NOT_LEARNING, Context(facts=ModelFacts(update_to_weight=1e-3)), CALM,
        "to look for updates that are measured",
    ),
    "shuffle_data": (
        C.DATA_NOT_SHUFFLED, Condition.OSCILLATION, Context(facts=ModelFacts(shuffled=True)), CALM,
        "shuffling what is shuffled",
    ),
    "increase_batch_size": (
        C.BATCH_TOO_SMALL, Condition.OSCILLATION, Context(full_batch=True), CALM, "more than all samples in a batch",
    ),
    "reduce_weight_decay": (
        C.WEIGHT_DECAY_TOO_STRONG, Condition.PLATEAU, Context(weight_decay=0.0), CALM, "to raise a decay of 0",
    ),
    "set_momentum": (
        C.MOMENTUM_TOO_HIGH, Condition.OSCILLATION, Context(momentum=0.5), CALM, "to raise the momentum",
    ),
    "change_precision": (
        C.PRECISION_OVERFLOW, Condition.NON_FINITE, Context(precision="fp32"), CALM, "fewer digits without more range",
    ),
    "skip_batch": (
        C.BAD_BATCH, Condition.LOSS_SPIKE, Context(full_batch=True), CALM, "to leave out all of the data",
    ),
    "filter_batch": (
        C.BAD_BATCH, Condition.NON_FINITE, Context(full_batch=True), CALM, "to leave out all of the data",
    ),
    "stop_at_best_step": (
        C.OVERFIT_SMALL_DATA, Condition.OVERFITTING, Context(), CALM, "to stop at a step that nobody knows",
    ),
    "regularize": (
        C.OVERFIT_SMALL_DATA, Condition.OVERFITTING, Context(weight_decay=0.1), CALM, "to weaken a weight decay of 0.1",
    ),
}  # fmt: skip
LOOKS = {"check_data", "check_output", "check_labels", "none"}
"""To look does no harm."""


def actions(cause: C, condition: Condition, context: Context, losses: list[float]) -> list[str]:
    memory = remembered(losses, np.random.default_rng(1).lognormal(size=len(losses)).tolist())  # none of them clipped
    finding = found(condition, memory, onset=100)
    return [a.action for a in REMEDIES[cause](finding, gather(memory, context, since_step=100), context)]


@pytest.mark.parametrize("action", HARM)
def test_an_action_is_not_advised_where_it_would_do_harm(action: str) -> None:
    cause, condition, context, losses, harm = HARM[action]
    assert action not in actions(cause, condition, context, losses), harm


def test_every_action_has_a_run_in_which_it_would_do_harm() -> None:
    assert set(HARM) | LOOKS | {"zero_gradients"} == set(ACTIONS)


def test_gradients_that_are_summed_on_purpose_are_not_set_to_zero_in_between() -> None:
    memory = remembered(CALM)
    for extra, wanted in (({}, "before every backward pass"), ({"gradient_accumulation_steps": 8}, "not between")):
        context = Context(extra=extra)
        (advice,) = REMEDIES[C.GRADIENTS_ACCUMULATING](
            found(Condition.DIVERGING, memory), gather(memory, context), context
        )
        assert wanted in advice.summary


def test_a_rate_that_was_lowered_without_effect_is_not_lowered_again() -> None:
    memory = remembered(CALM, rates=[0.1] * 120 + [0.01] * 80)
    context = Context(optimizer="sgd")
    finding = found(Condition.OSCILLATION, memory, onset=50)
    told = REMEDIES[C.LEARNING_RATE_TOO_HIGH](finding, gather(memory, context, since_step=50), context)
    assert "set_learning_rate" not in [a.action for a in told]


@pytest.mark.parametrize(
    ("optimizer", "usual"),
    [
        ("adadelta", 1.0), ("adafactor", 3e-3), ("adagrad", 0.01), ("lion", 1e-4), ("muon", 0.02), ("adamw", 1e-3),
        ("rmsprop", 1e-3), ("lars", 1.0), ("lamb", 3e-3), ("sophia", 3e-4),
    ],
)  # fmt: skip
def test_a_usual_rate_of_each_optimiser_is_neither_raised_nor_called_unusual(optimizer: str, usual: float) -> None:
    context = Context(optimizer=optimizer, learning_rate=usual)
    memory = remembered(CALM)
    measured = gather(memory, context)
    assert measured.rate_decades == pytest.approx(0, abs=0.1)
    assert actions(C.LEARNING_RATE_TOO_LOW, Condition.NOT_LEARNING, context, CALM) == []


@pytest.mark.parametrize("rate", [1e-5, 5e-5, 2e-4])
@pytest.mark.parametrize("how", [{"peft": "lora"}, {"task": "fine-tuning"}, {"from": "pretrained"}])
def test_the_rates_of_fine_tuning_are_usual_for_a_trained_model_alone(rate: float, how: dict[str, str]) -> None:
    tuned = Context(optimizer="adamw", learning_rate=rate, extra=how)
    assert gather(remembered(CALM), tuned).rate_decades == pytest.approx(0, abs=0.1)
    fresh = Context(optimizer="adamw", learning_rate=rate)
    away = gather(remembered(CALM), fresh).rate_decades
    assert away is not None
    assert away < -0.6


RAISING = {"set_learning_rate", "multiply_learning_rate", "loosen_gradient_clip"}


def lengthens(advice: Advice) -> bool:
    """The advice makes the steps longer."""
    if advice.action == "multiply_learning_rate":
        return bool(advice.value and float(advice.value) > 1)
    if advice.action == "loosen_gradient_clip":
        return True
    return advice.action == "set_learning_rate" and bool(
        advice.value and advice.current and float(advice.value) > float(advice.current)
    )


@pytest.mark.slow
def test_over_many_trainings_no_advice_lengthens_the_steps_of_a_run_that_blew_up_or_of_an_excerpt() -> None:
    seen = 0
    for _, points, context in trainings(400, seed=21):
        monitor = Monitor("harm")
        monitor.see_context(context)
        for point in points:
            monitor.see(point)
        for finding in monitor.findings():
            measured = gather(monitor.memory, context, since_step=finding.onset_step)
            for advice in advise(finding, rank(finding, measured, context), measured, context):
                if advice.action in RAISING and (measured.blew_up or not measured.from_start):
                    seen += 1
                    assert not lengthens(advice), (finding.summary, advice)
    assert seen > 20


def test_advice_that_was_followed_without_effect_is_not_repeated_by_any_condition() -> None:
    """Rates go 0.1, 0.01 and the trouble stays: whatever the condition, the next advice is another one."""
    memory = remembered(CALM, [1.0] * len(CALM), rates=[0.1] * 100 + [0.01] * 50 + [0.001] * 50)
    context = Context(optimizer="sgd", learning_rate=0.001)
    for condition in PRIORS:
        finding = found(condition, memory, onset=20)
        measured = gather(memory, context, since_step=20)
        told = advise(finding, rank(finding, measured, context), measured, context)
        assert not any(
            a.action == "set_learning_rate" and a.value is not None and float(a.value) < 0.001 for a in told
        ), condition


def test_a_rate_is_not_raised_at_a_stationary_point() -> None:
    """The gradient is gone: longer steps lead nowhere."""
    context = Context(optimizer="adam", learning_rate=1e-5, loss_name="mse", total_steps=400)
    settled = (0.0057 + 0.04 * np.exp(-np.arange(400) / 40)).tolist()
    gradients = (0.5 * np.exp(-np.arange(400) / 30)).tolist()
    for norms, told in ((gradients, False), ([0.5] * 400, True)):
        memory = remembered(settled, norms)
        finding = found(Condition.PLATEAU, memory)
        raised = REMEDIES[C.LEARNING_RATE_TOO_LOW](finding, gather(memory, context), context)
        assert bool(list(raised)) is told


SCALES = {
    "sgd": 0.1, "adadelta": 1.0, "adafactor": 3e-3, "adagrad": 0.01, "lion": 1e-4, "muon": 0.02, "adamw": 1e-3,
    "rmsprop": 1e-3, "lars": 1.0, "lamb": 3e-3, "sophia": 3e-4,
}  # fmt: skip
"""What is usual for each optimiser."""
FEW_STEPS = 10.0
"""Adam is given up to ten times as much where the whole run is short."""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", SCALES)
@pytest.mark.parametrize("away", [1e-4, 1e-2, 1.0, 1e2])
def test_over_many_trainings_a_rate_is_moved_towards_what_is_usual_for_its_optimizer(
    optimizer: str, away: float
) -> None:
    usual, moved = SCALES[optimizer], 0
    rate = usual * away
    for _, points, context in trainings(24, seed=5):
        said = context.merged(Context(optimizer=optimizer, learning_rate=rate, momentum=0.0))
        monitor = Monitor("scale")
        monitor.see_context(said)
        monitor.see_all([point._replace(learning_rate=None) for point in points])
        for finding in monitor.findings():
            measured = gather(monitor.memory, said, since_step=finding.onset_step)
            for advice in advise(finding, rank(finding, measured, said), measured, said):
                if advice.action != "set_learning_rate" or not isinstance(advice.value, float):
                    continue
                moved += 1
                if advice.value > rate:
                    assert away < 1, (finding.condition, advice)
                    assert advice.value <= 3 * FEW_STEPS * usual, (finding.condition, advice)
                else:
                    assert advice.value < rate, (finding.condition, advice)
    assert moved
