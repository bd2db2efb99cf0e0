"""What is advised first: by probability among what can be done, the harmless of two as likely, a look before what is
dear, and one remedy for what comes again and again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from losswatch_server.monitor.advice import AS_LIKELY, HARMLESS, LEAST_PROBABILITY, MOST, OF_THE_FIRST, REMEDIES, advise
from losswatch_server.monitor.diagnosis.measures import gather
from losswatch_server.monitor.findings import Advice, Cause
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName as C
from losswatch_server.monitor.vocabulary import Condition
from monitor.diagnosis.remembered import found, remembered

CALM = np.random.default_rng(0).normal(2.3, 0.02, 200).tolist()
USUAL = Context(optimizer="sgd", learning_rate=0.1, loss_name="cross_entropy", num_classes=10)
"""A rate at what is usual: no higher one is advised."""


def told(
    causes: dict[C, float], condition: Condition = Condition.NOT_LEARNING, context: Context = USUAL, episode: int = 1
) -> tuple[Advice, ...]:
    memory = remembered(CALM)
    finding = replace(found(condition, memory), episode=episode)
    ranked = tuple(Cause(cause=cause, probability=likely) for cause, likely in causes.items())
    return advise(finding, ranked, gather(memory, context), context)


def actions(causes: dict[C, float], condition: Condition = Condition.NOT_LEARNING) -> list[str]:
    return [a.action for a in told(causes, condition)]


def test_what_a_cause_without_a_remedy_would_explain_is_left_to_the_others() -> None:
    """A double softmax falls slowly at a usual rate: two fifths go to a rate and a clip that nobody can change."""
    just_below = 0.9 * LEAST_PROBABILITY
    first, last = {C.LABELS_UNINFORMATIVE: 0.5}, {C.WRONG_LOSS_FUNCTION: just_below}
    assert "change_loss" not in actions({**first, C.POOR_INITIALIZATION: 0.3, **last})
    assert "change_loss" in actions({**first, C.LEARNING_RATE_TOO_LOW: 0.3, **last})


@pytest.mark.parametrize(("first", "acted_upon"), [(0.9, False), (0.3, True)])
def test_an_unlikely_cause_is_acted_upon_where_no_other_is_likely(first: float, acted_upon: bool) -> None:
    unlikely = 1.1 * OF_THE_FIRST * 0.3
    assert unlikely < LEAST_PROBABILITY
    assert ("check_labels" in actions({C.POOR_INITIALIZATION: first, C.LABELS_UNINFORMATIVE: unlikely})) is acted_upon


@pytest.mark.parametrize(
    ("share", "first"), [(0.5 + AS_LIKELY / 2, "scale_inputs"), (0.9 * AS_LIKELY, "zero_gradients")]
)
def test_of_two_causes_as_likely_the_harmless_remedy_comes_first(share: float, first: str) -> None:
    causes = {C.GRADIENTS_ACCUMULATING: 0.3, C.INPUTS_NOT_SCALED: 0.3 * share}
    assert actions(causes, Condition.DIVERGING)[0] == first


def test_harmless_remedies_keep_their_order() -> None:
    causes = {C.LABELS_UNINFORMATIVE: 0.3, C.INPUTS_NOT_SCALED: 0.3}
    assert actions(causes)[0] == "check_labels"
    assert {"check_labels", "scale_inputs"} <= HARMLESS


def test_a_model_is_widened_after_a_look_whether_all_its_layers_learn() -> None:
    """Frozen layers and a small model leave the same curve; to print one step of the weights takes a minute."""
    look, wider = told({C.INSUFFICIENT_CAPACITY: 0.5})
    assert (look.action, look.cause) == ("update_parameters", C.PARAMETERS_NOT_UPDATED)
    assert (wider.action, wider.cause) == ("increase_capacity", C.INSUFFICIENT_CAPACITY)
    assert "frozen" in look.summary


@pytest.mark.parametrize(
    "context",
    [
        Context(facts=ModelFacts(parameters=90, trainable_parameters=90, optimizer_parameters=90)),
        Context(facts=ModelFacts(update_to_weight=1e-3)),
        Context(extra={"peft": "lora"}),
    ],
)
def test_a_look_at_updates_is_not_advised_where_they_are_known_or_few_by_design(context: Context) -> None:
    (only,) = told({C.INSUFFICIENT_CAPACITY: 0.5}, context=context)
    assert only.action == "increase_capacity"
    some = Context(facts=ModelFacts(parameters=90, trainable_parameters=30, optimizer_parameters=30))
    assert told({C.INSUFFICIENT_CAPACITY: 0.5}, context=some)[0].action == "update_parameters"


def test_bad_batches_that_come_again_and_again_are_filtered_and_not_left_out_one_by_one() -> None:
    once = told({C.BAD_BATCH: 0.9}, Condition.LOSS_SPIKE)
    again = told({C.BAD_BATCH: 0.9}, Condition.LOSS_SPIKE, episode=2)
    swings = told({C.BAD_BATCH: 0.9}, Condition.OSCILLATION)
    assert once[0].action == "skip_batch"
    assert "filter_batch" not in [a.action for a in once]
    assert [again[0].action, swings[0].action] == ["filter_batch", "filter_batch"]


@pytest.mark.parametrize(("size", "first"), [(5.0, "change_activation"), (8.0, "scale_inputs")])
def test_the_ends_of_units_are_not_taken_away_before_large_data_are_scaled(size: float, first: str) -> None:
    """Units saturated by data 300 times too large: with ReLUs in their place such a run overflows at once."""
    norms = (size * np.random.default_rng(1).lognormal(0, 0.3, len(CALM))).tolist()
    memory = remembered(CALM, norms)
    causes = (Cause(cause=C.SATURATED_ACTIVATIONS, probability=0.5),)
    for context, expected in ((Context(), first), (Context(facts=ModelFacts(input_std=1.0)), "change_activation")):
        finding = found(Condition.NOT_LEARNING, memory)
        advised = advise(finding, causes, gather(memory, context), context)
        assert advised[0].action == expected
        assert "change_activation" in [a.action for a in advised]


@pytest.mark.parametrize("cause", [C.DEAD_ACTIVATIONS, C.SATURATED_ACTIVATIONS])
@pytest.mark.parametrize(("rate", "first"), [(0.6, "set_learning_rate"), (0.4, "change_activation")])
def test_units_that_a_rate_killed_are_not_replaced_before_the_rate_is_lowered(
    cause: C, rate: float, first: str
) -> None:
    """With leaky units in their place, a run at twenty times the usual rate (0.1) overflows."""
    lived = np.concatenate([np.linspace(2.3, 0.3, 100), np.full(100, 2.3)]).tolist()
    memory = remembered(lived, [0.1] * 200, rates=[rate] * 200)
    context = Context(optimizer="sgd", learning_rate=rate)
    causes = (Cause(cause=cause, probability=0.6),)
    advised = advise(found(Condition.PLATEAU, memory), causes, gather(memory, context), context)
    assert advised[0].action == first
    assert "change_activation" in [a.action for a in advised]


def test_no_more_is_advised_than_anybody_reads() -> None:
    causes = dict.fromkeys(REMEDIES, 0.09)
    assert len(told(causes)) == MOST
