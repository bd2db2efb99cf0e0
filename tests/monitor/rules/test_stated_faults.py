"""Where the client itself states a fault, a loss that gets no lower is said with less: its level need not be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.stated_faults import stated_causes
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.report import assess, diagnose
from losswatch_server.monitor.vocabulary import CauseName as C
from losswatch_server.monitor.vocabulary import Condition
from monitor.curves import alarms, conditions, points, watch
from monitor.rules.straddling import Run

N = 400
NOISE = 0.03 * np.random.default_rng(0).normal(size=N)
FLOOR = (0.5 + 0.5 * np.exp(-np.arange(N) / 40) + NOISE).tolist()
"""A floor of which nobody knows whether it is good: the loss has no name, and half of the first value is gained."""
STILL = (0.9 + NOISE).tolist()
FALLING = (1.0 - 0.6 * np.arange(N) / N + NOISE).tolist()
DONE = (0.01 + 0.99 * np.exp(-np.arange(N) / 40) + 0.002 * NOISE).tolist()
JOB = Context(optimizer="adam", learning_rate=1e-3, batch_size=32, total_steps=N)
WELL = ModelFacts(
    parameters=90, trainable_parameters=90, optimizer_parameters=90, hidden_activations=("relu",), input_std=1.0,
    input_mean=0.0, output_activation="linear", loss_expects="values", target_kind="values", shuffled=True,
    update_to_weight=1e-3, dead_unit_share=0.1,
)  # fmt: skip
FAULTS = {
    "the optimizer holds a third": (WELL.merged(ModelFacts(optimizer_parameters=30)), C.PARAMETERS_NOT_UPDATED),
    "a part is frozen": (WELL.merged(ModelFacts(trainable_parameters=9)), C.PARAMETERS_NOT_UPDATED),
    "no activation": (WELL.merged(ModelFacts(hidden_activations=("linear",))), C.MISSING_NONLINEARITY),
    "a softmax twice": (
        WELL.merged(ModelFacts(output_activation="softmax", loss_expects="logits")), C.WRONG_LOSS_FUNCTION,
    ),
    "raw inputs": (WELL.merged(ModelFacts(input_max_abs=255.0)), C.INPUTS_NOT_SCALED),
    "not shuffled": (WELL.merged(ModelFacts(shuffled=False)), C.DATA_NOT_SHUFFLED),
    "dead units": (WELL.merged(ModelFacts(dead_unit_share=0.97, update_to_weight=1e-6)), C.DEAD_ACTIVATIONS),
    "weights that do not move": (WELL.merged(ModelFacts(update_to_weight=0.0)), C.PARAMETERS_NOT_UPDATED),
}  # fmt: skip
SETTINGS = [
    Context(learning_rate=1e-6),
    Context(learning_rate=2e-6, optimizer=None),
    Context(learning_rate=10.0),
    Context(weight_decay=0.5),
    Context(optimizer="sgd", learning_rate=0.01, momentum=0.997),
]
"""Far from what is usual, and still what somebody may need: small losses, large ones, models that decay by 0.3."""


def with_facts(facts: ModelFacts) -> Context:
    return JOB.merged(Context(facts=facts))


@pytest.mark.parametrize("losses", [FLOOR, STILL, FALLING, DONE])
@pytest.mark.parametrize("context", [Context(), JOB, with_facts(WELL)])
def test_where_no_fault_is_stated_a_level_that_nobody_knows_is_not_called_bad(
    losses: list[float], context: Context
) -> None:
    wanted = [] if losses is not STILL else [Condition.NOT_LEARNING]
    assert conditions(watch(points(losses), context)) == wanted


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stated_fault_makes_a_floor_of_unknown_level_a_plateau_with_that_cause_first(fault: str) -> None:
    facts, cause = FAULTS[fault]
    report = diagnose(points(FLOOR), with_facts(facts))
    (finding,) = [f for f in report.findings if f.severity.rank]
    assert finding.condition is Condition.PLATEAU
    assert finding.evidence["rule"] == "stopped, and the client says why"
    assert finding.causes[0].cause is cause
    assert finding.causes[0].probability > 0.9


def test_dead_units_whose_weights_move_died_or_began_at_zero() -> None:
    report = diagnose(points(FLOOR), with_facts(WELL.merged(ModelFacts(dead_unit_share=0.97))))
    (finding,) = [f for f in report.findings if f.severity.rank]
    assert finding.evidence["rule"] == "stopped, and the client says why"
    assert finding.causes[0].cause in {C.DEAD_ACTIVATIONS, C.POOR_INITIALIZATION}
    assert {C.DEAD_ACTIVATIONS, C.POOR_INITIALIZATION} <= {cause.cause for cause in finding.causes[:3]}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("losses", [FLOOR, FALLING, DONE])
def test_a_setting_out_of_the_ordinary_is_no_fault(setting: Context, losses: list[float]) -> None:
    assert conditions(watch(points(losses), JOB.merged(setting))) == []


@pytest.mark.parametrize(
    ("too_strong", "strong"),
    [
        (Context(optimizer="sgd", learning_rate=0.1, weight_decay=0.03), Context(optimizer="sgd", weight_decay=0.02)),
        (Context(optimizer="adamw", weight_decay=1.8), Context(optimizer="adamw", weight_decay=1.2)),
    ],
)
def test_a_decay_beyond_every_recipe_is_a_fault_that_is_stated(too_strong: Context, strong: Context) -> None:
    found = diagnose(points(FLOOR), JOB.merged(too_strong)).findings
    assert [(f.condition, f.causes[0].cause) for f in found] == [(Condition.PLATEAU, C.WEIGHT_DECAY_TOO_STRONG)]
    assert conditions(watch(points(FLOOR), JOB.merged(strong))) == []
    unknown = Context(total_steps=N, weight_decay=too_strong.weight_decay)
    assert conditions(watch(points(FLOOR), unknown)) == []


def test_all_answers_right_excuse_every_fault_but_a_softmax_applied_twice() -> None:
    right = [p._replace(metrics={"accuracy": 1.0}) for p in points(FLOOR)]
    assert conditions(watch(right, with_facts(FAULTS["a softmax twice"][0]))) == [Condition.PLATEAU]
    assert conditions(watch(right, with_facts(FAULTS["a part is frozen"][0]))) == []


def test_a_loss_that_still_falls_where_a_fault_is_stated_converges_slowly() -> None:
    found = alarms(watch(points(FALLING), with_facts(FAULTS["a part is frozen"][0])))
    assert [f.condition for f in found] == [Condition.SLOW_CONVERGENCE]
    assert found[0].opened_step >= 0.55 * N


def test_a_loss_that_is_nearly_gone_is_well_whatever_is_stated() -> None:
    for facts, _ in FAULTS.values():
        assert conditions(watch(points(DONE), with_facts(facts))) == []


def test_a_fault_that_is_stated_says_nothing_of_an_excerpt() -> None:
    middle = points(FLOOR, first=9000)
    assert conditions(watch(middle, with_facts(FAULTS["a part is frozen"][0]))) == []


def test_weights_that_rest_because_the_gradient_is_gone_are_no_fault() -> None:
    norms = np.exp(-np.arange(N) / 20).tolist()
    resting = with_facts(FAULTS["weights that do not move"][0])
    assert conditions(watch(points(FLOOR, grad_norm=norms), resting)) == []
    assert conditions(watch(points(FLOOR, grad_norm=[0.5] * N), resting)) == [Condition.PLATEAU]


def test_fine_tuning_freezes_on_purpose() -> None:
    facts = FAULTS["a part is frozen"][0]
    tuned = Context(optimizer="adamw", learning_rate=1e-4, facts=facts, extra={"peft": "lora"})
    assert stated_causes(tuned, at_rest=False) == frozenset()


def test_a_fault_that_is_stated_in_mid_run_counts_from_then_on() -> None:
    monitor = Monitor("late")
    monitor.see_context(JOB)
    monitor.see_all(points(FLOOR)[:300])
    assert assess(monitor).findings == ()
    monitor.see_context(with_facts(FAULTS["dead units"][0]))
    monitor.see_all(points(FLOOR)[300:])
    assert [f.condition for f in assess(monitor).findings] == [Condition.PLATEAU]


WIDE = 0.4 * np.random.default_rng(3).normal(size=N)
"""Noise in which no fall can be excluded, and none be seen."""
HALF_LOST = (1.0 - 0.2 * (np.arange(N) > 20) + WIDE).tolist()
LOST = (1.0 + WIDE).tolist()


def with_units(share: float, losses: list[float] = HALF_LOST, **known: object) -> Run:
    """A run that gets no lower, that share of whose units is dead."""
    return points(losses), replace(with_facts(WELL.merged(ModelFacts(dead_unit_share=share))), **known)


def opened(run: Run) -> list[tuple[Condition, str]]:
    return [(f.condition, f.evidence["rule"]) for f in alarms(watch(*run))]


def test_noise_that_hides_every_fall_is_no_excuse_for_a_loss_of_which_the_client_says_why() -> None:
    frozen = with_facts(FAULTS["a part is frozen"][0])
    assert opened((points(HALF_LOST), frozen)) == [(Condition.PLATEAU, "no lower, and the client says why")]
    assert opened((points(LOST), frozen)) == [(Condition.NOT_LEARNING, "where it began, and the client says why")]
    (finding,) = alarms(watch(points(HALF_LOST), frozen))
    assert finding.opened_step >= 0.79 * N
    assert opened((points(HALF_LOST), with_facts(WELL))) == opened((points(LOST), with_facts(WELL))) == []


def test_a_model_most_of_whose_units_are_lost_is_told_of_once_its_loss_gets_no_lower() -> None:
    assert opened(with_units(0.6)) == [(Condition.PLATEAU, "no lower, and the client says why")]
    assert opened(with_units(0.6, LOST)) == [(Condition.NOT_LEARNING, "where it began, and the client says why")]
    saturated = with_facts(WELL.merged(ModelFacts(saturated_unit_share=0.6)))
    assert opened((points(HALF_LOST), saturated)) == [(Condition.PLATEAU, "no lower, and the client says why")]


@pytest.mark.parametrize(
    "well",
    [
        with_units(0.6, FALLING),
        with_units(0.6, DONE),
        with_units(0.6, loss_name="cross_entropy", num_classes=6),
        with_units(0.6, (0.05 + 0.95 * np.exp(-np.arange(N) / 20) + 0.02 * WIDE).tolist()),
        with_units(0.6, total_steps=None),
    ],
    ids=["falls", "is nearly gone", "is far below chance", "gained nine tenths", "nobody knows how long it will last"],
)
def test_lost_units_are_no_fault_of_a_loss_that(well: Run) -> None:
    assert opened(well) == []
