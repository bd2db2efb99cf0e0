"""A fact that a client states leads with nine in ten under every condition that its cause can have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from losswatch_server.monitor.diagnosis.engine import rank
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.model_facts import FACT_NAMES, ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName as C
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.odd_trainings import trainings
from monitor.diagnosis.remembered import found, remembered

RNG = np.random.default_rng
N = 300
FLAT = (2.3 + 0.02 * RNG(0).normal(size=N)).tolist()
FLOOR = (0.8 + 1.5 * np.exp(-np.arange(N) / 20) + 0.005 * RNG(1).normal(size=N)).tolist()
TEN = Context(loss_name="cross_entropy", num_classes=10)
HELD = {"parameters": 500, "trainable_parameters": 500, "optimizer_parameters": 500}
SCALED = {"input_mean": 0.0, "input_std": 1.0, "input_max_abs": 4.0}
CALM = (Condition.NOT_LEARNING, Condition.PLATEAU, Condition.SLOW_CONVERGENCE, Condition.VANISHING_GRADIENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """Facts, the cause that they are, and a number or word that must be quoted."""

    facts: ModelFacts
    cause: C
    quoted: str
    conditions: Sequence[Condition] = tuple(PRIORS)


STATED = (
    Stated(facts=ModelFacts(parameters=90, optimizer_parameters=0), cause=C.PARAMETERS_NOT_UPDATED, quoted="0 of"),
    Stated(facts=ModelFacts(trainable_parameters=0), cause=C.PARAMETERS_NOT_UPDATED, quoted="none of"),
    Stated(
        facts=ModelFacts(parameters=90, trainable_parameters=90, optimizer_parameters=30),
        cause=C.PARAMETERS_NOT_UPDATED, quoted="30 of",
    ),
    Stated(facts=ModelFacts(parameters=90, trainable_parameters=9), cause=C.PARAMETERS_NOT_UPDATED, quoted="only 9"),
    Stated(
        facts=ModelFacts(**HELD, update_to_weight=0.0), cause=C.PARAMETERS_NOT_UPDATED, quoted="weights by 0",
    ),
    Stated(facts=ModelFacts(hidden_activations=("linear",)), cause=C.MISSING_NONLINEARITY, quoted="no activation"),
    Stated(
        facts=ModelFacts(output_activation="softmax", loss_expects="logits"), cause=C.WRONG_LOSS_FUNCTION,
        quoted="applied twice",
    ),
    Stated(
        facts=ModelFacts(output_activation="linear", loss_expects="probabilities"), cause=C.WRONG_LOSS_FUNCTION,
        quoted="expects probabilities",
    ),
    Stated(
        facts=ModelFacts(output_activation="sigmoid", target_kind="values", target_mean=8.0, target_std=2.0),
        cause=C.WRONG_LOSS_FUNCTION, quoted="sigmoid",
    ),
    Stated(facts=ModelFacts(**HELD, input_max_abs=255.0), cause=C.INPUTS_NOT_SCALED, quoted="255"),
    Stated(facts=ModelFacts(input_mean=120.0, input_std=70.0), cause=C.INPUTS_NOT_SCALED, quoted="120"),
    Stated(facts=ModelFacts(input_mean=math.nan), cause=C.NON_FINITE_DATA, quoted="NaN"),
    Stated(
        facts=ModelFacts(target_mean=math.inf, **SCALED), cause=C.NON_FINITE_DATA, quoted="NaN",
    ),
    Stated(facts=ModelFacts(shuffled=False, **HELD), cause=C.DATA_NOT_SHUFFLED, quoted="not shuffled"),
    Stated(facts=ModelFacts(dead_unit_share=0.97), cause=C.DEAD_ACTIVATIONS, quoted="97 %", conditions=CALM),
    Stated(facts=ModelFacts(saturated_unit_share=0.97), cause=C.SATURATED_ACTIVATIONS, quoted="97 %", conditions=CALM),
    Stated(facts=ModelFacts(loss_scale=0.25), cause=C.PRECISION_OVERFLOW, quoted="0.25"),
    Stated(facts=ModelFacts(gradients_cleared=False), cause=C.GRADIENTS_ACCUMULATING, quoted="nothing clears them"),
)  # fmt: skip
BESIDE = {
    "hidden_activations", "loss_expects", "target_kind", "class_shares", "dataset_size", "normalization",
    "initial_loss", "overfits_one_batch",
}  # fmt: skip
"""Facts that name no cause by themselves: most runs with them are well."""


@pytest.mark.parametrize("stated", STATED, ids=lambda s: f"{s.cause}-{s.quoted}")
def test_a_stated_fact_leads_with_nine_in_ten_wherever_its_cause_is_possible(stated: Stated) -> None:
    context = TEN.merged(Context(facts=stated.facts))
    tried = 0
    for condition in stated.conditions:
        if stated.cause not in PRIORS[condition]:
            continue
        for losses in (FLAT, FLOOR):
            memory = remembered(losses)
            first = rank(found(condition, memory), gather(memory, context), context)[0]
            assert first.cause is stated.cause, (condition, first)
            assert first.probability >= 0.9, (condition, first)
            assert stated.quoted in " ".join(first.because), condition
            tried += 1
    assert tried


def test_every_fact_of_the_contract_is_stated_in_these_tests_or_names_no_cause() -> None:
    told = {name for stated in STATED for name in stated.facts.given()}
    assert told | BESIDE == set(FACT_NAMES)


def test_dead_or_saturated_units_are_the_outcome_where_a_setting_is_out_of_the_ordinary() -> None:
    memory = remembered(FLAT)
    for facts, units in (
        (ModelFacts(dead_unit_share=0.97), C.DEAD_ACTIVATIONS),
        (ModelFacts(saturated_unit_share=0.97), C.SATURATED_ACTIVATIONS),
    ):
        hot = TEN.merged(Context(optimizer="adam", learning_rate=0.5, batch_size=32, facts=facts))
        first = rank(found(Condition.NOT_LEARNING, memory), gather(memory, hot), hot)[0]
        assert first.cause is C.LEARNING_RATE_TOO_HIGH
        assert first.cause is not units


@pytest.mark.slow
def test_a_missing_warm_up_never_leads_without_a_sign_of_it() -> None:
    for _, points, context in trainings(300, seed=11):
        monitor = Monitor("warm-up")
        monitor.see_context(context)
        for point in points:
            monitor.see(point)
        for finding in monitor.findings():
            measured = gather(monitor.memory, context, since_step=finding.onset_step)
            causes = rank(finding, measured, context)
            if causes and causes[0].cause is C.NO_WARMUP:
                told = " ".join(causes[0].because)
                assert "came down" in told or "warmup_steps is 0" in told


def test_an_adam_run_too_short_for_its_rate_is_blamed_on_the_rate() -> None:
    slow = (0.34 + 0.13 * np.exp(-np.arange(200) / 90) + 0.02 * RNG(5).normal(size=200)).tolist()
    memory = remembered(slow)
    short = Context(optimizer="adam", learning_rate=1e-3, batch_size=32, loss_name="mse", total_steps=200)
    long = short.merged(Context(total_steps=20_000))
    told = [rank(found(Condition.SLOW_CONVERGENCE, memory), gather(memory, c), c) for c in (short, long)]
    likely = [next((c.probability for c in causes if c.cause is C.LEARNING_RATE_TOO_LOW), 0.0) for causes in told]
    assert told[0][0].cause is C.LEARNING_RATE_TOO_LOW
    assert likely[0] > 2 * likely[1]
    assert any("too little" in why for why in told[0][0].because)
