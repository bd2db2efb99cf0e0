"""Every row of evidence has a run in which it is there and changes which causes come first, or it has no place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest

from losswatch_server.monitor.diagnosis.engine import rank, score, strengths
from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.diagnosis.evidence.row import Seen
from losswatch_server.monitor.diagnosis.magnitudes import MAGNITUDES
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName, Condition
from monitor.diagnosis.remembered import found, remembered
from monitor.diagnosis.witness_runs import FLAT, FLOOR, TEN, decay, sights

PLAIN_SIGHT = 0.5
FIRST = 5
"""Places in which a change counts: more causes are not told."""


Grade = tuple[str, CauseName]
"""A row and one of the causes of which it tells."""
LEAST = 0.5
"""Log-odds below which a grade is too small to be held to a change of order: the fit found little in it."""
_SAID_BESIDE = "another row of its group, there in the same runs, says the same, and the group is capped"
_FAR_BEHIND = "the cause is far behind in every such run, for what else is seen there"
_LEADS = "the cause leads in every such run, or its rivals are far behind"
NOT_HELD: Mapping[Grade, str] = {
    ("accuracy_constant", CauseName.DEAD_ACTIVATIONS): _FAR_BEHIND,
    ("accuracy_rises", CauseName.DEAD_ACTIVATIONS): _FAR_BEHIND,
    ("accuracy_rises", CauseName.PARAMETERS_NOT_UPDATED): _SAID_BESIDE,
    ("accurate_with_high_loss", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("accuracy_well_above_chance", CauseName.POOR_INITIALIZATION): _FAR_BEHIND,
    ("ascends_gradient", CauseName.WRONG_LOSS_FUNCTION): _SAID_BESIDE,
    ("beyond_stability", CauseName.LEARNING_RATE_TOO_LOW): _FAR_BEHIND,
    ("blew_up_at_once_then_learned", CauseName.LEARNING_RATE_TOO_LOW): _SAID_BESIDE,
    ("blew_up_at_once_then_learned", CauseName.PARAMETERS_NOT_UPDATED): _SAID_BESIDE,
    ("creeping", CauseName.DEAD_ACTIVATIONS): _FAR_BEHIND,
    ("creeping", CauseName.PARAMETERS_NOT_UPDATED): _FAR_BEHIND,
    ("first_loss_exactly_chance", CauseName.INSUFFICIENT_CAPACITY): _FAR_BEHIND,
    ("first_loss_exactly_chance", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("grew_before_overflow", CauseName.BAD_BATCH): _FAR_BEHIND,
    ("layers_dead_from_start", CauseName.SATURATED_ACTIVATIONS): _FAR_BEHIND,
    ("layers_died_after_blow_up", CauseName.POOR_INITIALIZATION): _FAR_BEHIND,
    ("layers_explode", CauseName.POOR_INITIALIZATION): _FAR_BEHIND,
    ("never_finite", CauseName.GRADIENTS_ACCUMULATING): _FAR_BEHIND,
    ("noise_shrunk", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("more_samples_than_parameters", CauseName.OVERFIT_SMALL_DATA): _LEADS,
    ("more_parameters_than_samples", CauseName.OVERFIT_SMALL_DATA): _LEADS,
    ("predicted_fall_below_noise", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("predicted_fall_came", CauseName.LEARNING_RATE_TOO_LOW): _FAR_BEHIND,
    ("predicted_fall_came", CauseName.MISSING_NONLINEARITY): _FAR_BEHIND,
    ("repeats_with_the_epoch", CauseName.DATA_NOT_SHUFFLED): _SAID_BESIDE,
    ("rises_from_first_step", CauseName.LABELS_UNINFORMATIVE): _FAR_BEHIND,
    ("single_step_jump", CauseName.OVERFIT_SMALL_DATA): _FAR_BEHIND,
    ("spike_grew", CauseName.LABELS_UNINFORMATIVE): _SAID_BESIDE,
    ("starts_exactly_at_chance", CauseName.INSUFFICIENT_CAPACITY): _FAR_BEHIND,
    ("validation_broke_alone", CauseName.NON_FINITE_DATA): _LEADS,
    ("validation_stopped_to_the_last_digit", CauseName.DATA_NOT_SHUFFLED): _FAR_BEHIND,
    ("weights_are_tiny", CauseName.PARAMETERS_NOT_UPDATED): _FAR_BEHIND,
    ("zero_loss_with_broken_gradient", CauseName.NON_FINITE_DATA): _FAR_BEHIND,
}
"""Grades that change the order in no run here, with the reason."""


@cache
def witnessed() -> tuple[frozenset[str], frozenset[Grade]]:
    """The rows and grades that are plainly there in some run and without which the causes come in another order."""
    rows: set[str] = set()
    grades: set[Grade] = set()
    for seen in sights():
        there = strengths(seen)
        plain = [name for name, strength in there.items() if strength > PLAIN_SIGHT]
        fresh = [(name, cause) for name in plain for cause in BY_NAME[name].grades if (name, cause) not in grades]
        if not fresh and rows.issuperset(plain):
            continue
        scored = {s.cause: s.score for s in score(seen, there)}
        with_all = first_of(scored)
        for name in plain:
            without = {other: value for other, value in there.items() if other != name}
            if name not in rows and first_of({s.cause: s.score for s in score(seen, without)}) != with_all:
                rows.add(name)
        for name, cause in fresh:
            silent = replace(MAGNITUDES, rows={**MAGNITUDES.rows, (name, cause): 0.0})
            changed = next(s.score for s in score(seen, there, silent) if s.cause is cause)
            if first_of({**scored, cause: changed}) != with_all:
                grades.add((name, cause))
    return frozenset(rows), frozenset(grades)


def first_of(scored: Mapping[CauseName, float]) -> list[CauseName]:
    """The causes that are told, best first."""
    return sorted(scored, key=lambda cause: (-scored[cause], cause))[:FIRST]


BY_NAME = {row.name: row for row in ROWS}


@pytest.mark.slow
@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_a_row_has_a_run_in_which_it_changes_the_order_of_the_causes(row: str) -> None:
    assert row in witnessed()[0]


@pytest.mark.slow
def test_a_grade_has_a_run_in_which_it_changes_the_order_of_the_causes_or_a_reason_why_not() -> None:
    weighty = {
        (row.name, cause)
        for row in ROWS
        for cause, (_, grade) in row.grades.items()
        if MAGNITUDES.of(row.name, cause, grade) >= LEAST
    }
    assert weighty - witnessed()[1] <= set(NOT_HELD)


def test_rows_have_names_of_their_own_and_never_tell_for_and_against_the_same_cause() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.grades, row.name
        assert not set(row.for_) & set(row.against), row.name
        assert not row.means.endswith("."), row.name


def first_with_probability(
    condition: Condition, facts: ModelFacts, losses: list[float]
) -> tuple[CauseName, float, str]:

    context = TEN.merged(Context(facts=facts))
    memory = remembered(losses)
    cause = rank(found(condition, memory), gather(memory, context), context)[0]
    return cause.cause, cause.probability, " ".join(cause.because)


@pytest.mark.parametrize(
    ("condition", "facts", "cause", "quoted"),
    [
        (Condition.NOT_LEARNING, ModelFacts(parameters=9, optimizer_parameters=0), "parameters_not_updated", "0 of"),
        (Condition.NOT_LEARNING, ModelFacts(parameters=90, trainable_parameters=9), "parameters_not_updated", "only 9"),
        (
            Condition.PLATEAU,
            ModelFacts(hidden_activations=("linear",)),
            "missing_nonlinearity",
            "no activation",
        ),
        (
            Condition.PLATEAU,
            ModelFacts(output_activation="softmax", loss_expects="logits"),
            "wrong_loss_function",
            "applied twice",
        ),
        (Condition.PLATEAU, ModelFacts(input_max_abs=255.0), "inputs_not_scaled", "255"),
        (Condition.DIVERGING, ModelFacts(input_std=70.0, input_mean=120.0), "inputs_not_scaled", "120"),
        (Condition.OSCILLATION, ModelFacts(shuffled=False), "data_not_shuffled", "not shuffled"),
        (Condition.NOT_LEARNING, ModelFacts(dead_unit_share=0.97), "dead_activations", "97 %"),
        (Condition.NOT_LEARNING, ModelFacts(saturated_unit_share=0.97), "saturated_activations", "97 %"),
        (Condition.NON_FINITE, ModelFacts(input_mean=math.nan), "non_finite_data", "NaN"),
        (Condition.NON_FINITE, ModelFacts(loss_scale=0.25), "precision_overflow", "0.25"),
        (Condition.OSCILLATION, ModelFacts(gradients_cleared=False), "gradients_accumulating", "nothing clears them"),
        (
            Condition.NOT_LEARNING,
            ModelFacts(update_to_weight=0.0),
            "parameters_not_updated",
            "weights by 0",
        ),
    ],
)
def test_a_stated_fact_stands_first_with_nine_in_ten_and_is_quoted(
    condition: Condition, facts: ModelFacts, cause: str, quoted: str
) -> None:
    for losses in (FLAT, FLOOR):
        first, probability, because = first_with_probability(condition, facts, losses)
        assert first == cause
        assert probability >= 0.9
        assert quoted in because


def test_what_a_fact_rules_out_is_not_believed_on_the_word_of_a_curve() -> None:
    memory = remembered(FLOOR, decay(0.5, 1e-5))
    for facts, cause in (
        (ModelFacts(hidden_activations=("relu",)), CauseName.MISSING_NONLINEARITY),
        (ModelFacts(dead_unit_share=0.0), CauseName.DEAD_ACTIVATIONS),
        (ModelFacts(shuffled=True), CauseName.DATA_NOT_SHUFFLED),
    ):
        context = TEN.merged(Context(facts=facts))
        seen = Seen(found(Condition.PLATEAU, memory), gather(memory, context), context)
        assert cause not in [scored.cause for scored in score(seen, strengths(seen))[:10]]
