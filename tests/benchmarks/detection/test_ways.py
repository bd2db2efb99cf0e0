"""The ways of logging a run anew: what is kept of it, and what of its label is still known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.detection.labels import Label, LabelledRun, run_json, run_of
from benchmarks.detection.programs.confusable import CONTEXT, CURVE, FACTS
from benchmarks.detection.ways import OFFSETS, WAYS
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import CauseName

CAUSES = {cause.value for cause in CauseName}
FULL = {"optimizer": "sgd", "learning_rate": 0.1, "loss_name": "mse"}
HEALTHY = Label(condition="healthy")


def a_run(label: Label = HEALTHY, n: int = 800) -> LabelledRun:
    """A falling loss with everything measured."""
    points = tuple(
        Point(
            step=i,
            loss=1 / (1 + i / 50) + 0.0123 * (i % 7),
            grad_norm=1.0,
            validation_loss=0.5 if i % 20 == 19 else None,
        )
        for i in range(n)
    )
    return LabelledRun(
        id="r",
        points=points,
        context=Context(loss_name="mse"),
        label=label,
        full_context=FULL,
        facts=((0, {"hidden_activations": ["relu"]}), (400, {"dead_unit_share": 0.9})),
        sent="little",
    )


@pytest.mark.parametrize("way", ["every 10th", "three decimals", "40 epoch means", "excerpt"])
def test_every_offset_shows_other_points(way: str) -> None:
    seen = [WAYS[way](a_run(), offset) for offset in range(OFFSETS)]
    assert len({run.points for run in seen if run is not None}) == OFFSETS


def test_the_loss_alone_has_nothing_else() -> None:
    run = WAYS["loss alone"](a_run(), 0)
    assert run is not None
    assert run.context == Context()
    assert {(p.grad_norm, p.validation_loss) for p in run.points} == {(None, None)}


def test_epoch_means_are_forty_and_the_onset_is_told_in_epochs() -> None:
    run = WAYS["40 epoch means"](a_run(Label(condition="plateau", onset_step=400, cause="insufficient_capacity")), 0)
    assert run is not None
    assert [p.step for p in run.points] == list(range(1, 41))
    assert run.label.onset_step == 21
    assert run.context.step_unit == "epoch"


@pytest.mark.parametrize(
    ("way", "label", "known"),
    [
        ("loss alone", Label(condition="vanishing_gradient", onset_step=0), False),
        ("40 epoch means", Label(condition="exploding_gradient", onset_step=0), False),
        ("every 10th", Label(condition="vanishing_gradient", onset_step=0), True),
        ("loss alone", Label(condition="overfitting", onset_step=400), False),
        ("40 epoch means", Label(condition="overfitting", onset_step=400), True),
        ("every 10th", Label(condition="loss_spike", onset_step=400), False),
        ("excerpt", Label(condition="plateau", onset_step=100), False),
        ("excerpt", Label(condition="plateau", onset_step=700), True),
        ("loss alone", Label(condition="plateau", onset_step=100), True),
    ],
)
def test_a_label_is_kept_where_the_log_still_shows_it(way: str, label: Label, known: bool) -> None:
    assert (WAYS[way](a_run(label), 0) is not None) is known


def test_without_gradients_a_vanished_one_is_a_loss_that_does_not_move() -> None:
    label = Label(condition="vanishing_gradient", also_ok=("not_learning", "plateau"), onset_step=0)
    run = WAYS["loss alone"](a_run(label), 0)
    assert run is not None
    assert (run.label.condition, run.label.also_ok) == ("not_learning", ("plateau",))


def test_short_runs_are_not_thinned() -> None:
    assert WAYS["every 10th"](a_run(n=100), 0) is None
    assert WAYS["40 epoch means"](a_run(n=100), 0) is None


def test_the_more_is_known_the_fewer_causes_are_a_fair_answer() -> None:
    run = a_run(Label(condition="plateau", onset_step=400, cause="missing_nonlinearity"))
    fair = []
    for way in ("no context", "whole context", "context and facts"):
        seen = WAYS[way](run, 0)
        assert seen is not None
        fair.append(seen.label.right_causes)
    assert fair == [{"missing_nonlinearity", "insufficient_capacity"}] * 2 + [{"missing_nonlinearity"}]


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_knowledge_never_makes_a_cause_harder_to_tell(cause: str) -> None:
    assert set(FACTS[cause]) <= set(CONTEXT[cause]) <= set(CURVE[cause])
    assert set(CURVE[cause]) <= CAUSES - {cause}


def test_facts_that_are_not_finite_are_kept_as_numbers() -> None:
    run = replace(a_run(), facts=((0, {"target_mean": math.nan, "output_activation": "linear"}),))
    back = run_of(run_json(run)).facts[0][1]
    assert math.isnan(back["target_mean"])
    assert back["output_activation"] == "linear"


def test_facts_reach_the_context_from_the_step_on_which_they_are_known() -> None:
    run = WAYS["context and facts"](a_run(), 0)
    assert run is not None
    first, second = run.contexts()
    assert (first[0], second[0]) == (0, 400)
    assert first[1].facts is not None
    assert second[1].facts is not None
    assert first[1].facts.given() == {"hidden_activations": ("relu",)}
    assert second[1].facts.given() == {"hidden_activations": ("relu",), "dead_unit_share": 0.9}
    assert list(replace(run, sent="full").contexts()) == [(0, run.context)]
