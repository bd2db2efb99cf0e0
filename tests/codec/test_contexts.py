"""Contexts as JSON and back: as they are sent and shown, and exactly, as the database keeps them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server import codec
from losswatch_server.codec.contexts import context_of_text, context_text
from losswatch_server.codec.damage import DamagedCellError
from losswatch_server.monitor.context_names import misspelt
from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import MAX_STEP, Context

NAN = float("nan")
names = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)

contexts = st.fixed_dictionaries(
    {},
    optional={
        "optimizer": names,
        "learning_rate": st.floats(0, 1e6),
        "batch_size": st.integers(0, MAX_STEP),
        "nesterov": st.booleans(),
        "objective": st.sampled_from(["minimize", "none"]),
        "layer_order": st.lists(names, max_size=3),
        "tags": st.dictionaries(names, names, min_size=1, max_size=3),
        "baseline_loss": st.floats(-1e6, 1e6),
        "facts": st.fixed_dictionaries(
            {"parameters": st.integers(0, MAX_STEP)},
            optional={
                "input_mean": st.floats(),
                "input_std": st.floats(0),
                "hidden_activations": st.lists(names, max_size=3),
                "class_shares": st.lists(st.floats(0, 1), max_size=3),
                "shuffled": st.booleans(),
                "loss_expects": st.sampled_from(["logits", "probabilities", "values"]),
            },
        ),
        "dropout": st.floats(),
        "betas": st.lists(st.floats(allow_nan=False), max_size=3),
        "note": names,
        "amsgrad": st.booleans(),
    },
)


@given(contexts)
def test_a_context_comes_back_as_it_was_sent(sent: dict[str, Any]) -> None:
    written = codec.dumps(codec.context_json(codec.read_context(sent)))
    assert json.loads(written, parse_constant=lambda token: pytest.fail(f"{token} is not JSON")) == json.loads(
        codec.dumps(sent)
    )


@pytest.mark.parametrize("value", [None, "NA", NAN, "nan"])
def test_a_number_of_the_context_that_says_nothing_is_not_known(value: Any) -> None:
    assert codec.read_context({"learning_rate": value}) == Context()


def test_minus_one_for_a_count_is_not_known() -> None:
    assert codec.read_context({"total_steps": -1}) == Context()


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ({"learning_rate": "fast"}, "the text"),
        ({"learning_rate": True}, "learning_rate is true"),
        ({"learning_rate": -0.1}, "negative"),
        ({"batch_size": 2.5}, "whole number"),
        ({"nesterov": "yes"}, "true or false"),
        ({"optimizer": 7}, "text"),
        ({"tags": "vision"}, "object of texts"),
        ({"tags": {"a\x00": "b"}}, "U+0000"),
        ({"layer_order": "conv1"}, "list of layer names"),
        ({"group": "\ud800"}, "U+D800"),
        ({"optimizer_options": {"betas": {}}}, "plain value"),
        ({"": 1}, "empty"),
        ({"facts": [1]}, "facts must be an object"),
        ({"facts": {"parameters": 1.5}}, "whole number"),
        ({"facts": {"input_std": -1.0}}, "negative"),
        ({"facts": {"shuffled": "yes"}}, "true or false"),
        ({"facts": {"class_shares": 0.5}}, "a list"),
        ([], "object"),
    ],
)
def test_a_bad_context_is_refused_with_what_to_change(sent: Any, detail: str) -> None:
    with pytest.raises(codec.BodyRefusedError, match=detail.replace("+", r"\+")):
        codec.read_context(sent)


def test_the_context_is_read_from_text_as_parameters_and_options_give_it() -> None:
    text = {"learning_rate": "0.01", "batch_size": "32", "nesterov": "true", "optimizer": "sgd"}
    assert codec.context_from_text(text) == Context(learning_rate=0.01, batch_size=32, nesterov=True, optimizer="sgd")
    with pytest.raises(codec.BodyRefusedError, match="did you mean learning_rate"):
        codec.context_from_text({"learning_rat": "0.1"})
    with pytest.raises(codec.BodyRefusedError, match="learning_rate"):
        codec.context_from_text({"learning_rate": "high"})


def test_a_word_that_is_no_choice_of_a_field_is_kept_and_refuses_no_answer() -> None:
    context = codec.read_context({"step_unit": "log row", "objective": "minimize"})
    assert context.step_unit is None
    assert context.extra == {"step_unit": "log row"}
    assert codec.context_json(context)["step_unit"] == "log row"


def test_a_fact_that_the_contract_does_not_know_is_kept_as_a_hyper_parameter_and_noted() -> None:
    context = codec.read_context(
        {"facts": {"input_stdd": 3.0, "depth": 12, "loss_expects": "logit", "dataset_size": -1}}
    )
    assert context.facts is None
    assert context.extra == {"facts.input_stdd": 3.0, "facts.depth": 12, "facts.loss_expects": "logit"}
    assert any("did you mean facts.input_std?" in note for note in misspelt(context))
    assert not any("depth" in note for note in misspelt(context))


def test_later_facts_are_laid_over_earlier_ones() -> None:
    first = codec.read_context({"facts": {"parameters": 7, "shuffled": False}})
    merged = first.merged(codec.read_context({"facts": {"shuffled": True}}))
    assert codec.context_json(merged) == {"facts": {"parameters": 7, "shuffled": True}}


FACTS = ModelFacts(parameters=7, class_shares=(0.25, 0.75), normalization=("batch",), shuffled=False, input_std=1 / 3)


@pytest.mark.parametrize("context", [Context(), Context(facts=FACTS, baseline_loss=-1 / 3, layer_order=("a", "b"))])
def test_a_context_comes_back_exactly(context: Context) -> None:
    assert context_of_text(context_text(context)) == context


@pytest.mark.parametrize("facts", ['{"depth": 3}', "[]", '{"parameters": "many"}'])
def test_damaged_facts_are_told_as_damage(facts: str) -> None:
    with pytest.raises(DamagedCellError):
        context_of_text(f'{{"facts": {facts}}}')
