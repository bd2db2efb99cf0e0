"""Every action that a report may advise can be done to a recipe, and doing the right one repairs the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.detection.zoo.bases import BASES
from benchmarks.detection.zoo.faults import Fault, faults
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.repair.__main__ import markdown, summarize
from benchmarks.repair.applying import ACTIONS, applied
from benchmarks.repair.loop import Repair, Round, advice_for, repair
from losswatch_server.monitor.advice.actions import ACTIONS as ADVISED

BASE = BASES["rings-sgd"]


def fault(prefix: str) -> Fault:
    """The first fault whose id begins so."""
    return next(f for f in faults(range(1)) if f.id.startswith(prefix))


def test_every_action_that_can_be_advised_can_be_done() -> None:
    assert set(ADVISED) == set(ACTIONS)


@pytest.mark.parametrize(
    ("faulty", "action", "value", "cured"),
    [
        ({"learning_rate": 4.0}, "set_learning_rate", 0.1, {}),
        ({"learning_rate": 0.4}, "multiply_learning_rate", 0.25, {}),
        ({"clip": 0.001}, "loosen_gradient_clip", 2.0, {"clip": 2.0}),
        ({"input_scale": 30.0}, "scale_inputs", "standardize", {"input_scale": 30.0, "standardize": True}),
        ({"activation": "linear"}, "change_activation", "relu", {}),
        ({"bias": -12.0, "initialization_gain": 0.0}, "change_initialization", "he", {}),
        ({"hidden": (2, 2)}, "increase_capacity", 4.0, {"hidden": (8, 8)}),
        ({"hidden": (2,)}, "increase_capacity", 4.0, {"hidden": (8, 8)}),
        ({"loss": "double_softmax"}, "change_loss", "cross_entropy", {}),
        ({"steps_optimizer": False, "frozen": True}, "update_parameters", None, {}),
        ({"loss": "sigmoid_mse"}, "check_output", None, {}),
        ({"loss": "double_softmax"}, "check_output", None, {"loss": "double_softmax"}),
        ({"zeroes_gradients": False}, "zero_gradients", None, {}),
        ({"shuffle": False}, "shuffle_data", None, {}),
        ({"batch_size": 1}, "increase_batch_size", 32.0, {}),
        ({"label_noise": 1.0}, "check_labels", None, {}),
        ({"bad_batches": (40, 81)}, "skip_batch", 80.0, {"bad_batches": (40,)}),
        ({"changes": ((9, "label_noise", 1.0),)}, "check_labels", None, {}),
        (
            {"changes": ((9, "learning_rate", 4.0),)},
            "set_learning_rate",
            0.2,
            {"changes": ((9, "learning_rate", 0.2),)},
        ),
    ],
)
def test_an_action_changes_what_it_says(
    faulty: dict[str, object], action: str, value: float | str | None, cured: dict[str, object]
) -> None:
    recipe: Recipe = replace(BASE, **faulty)
    assert applied(recipe, action, value) == replace(BASE, **cured)


def done(before: float, *shares: float, suspected: bool = False) -> Repair:
    rounds = tuple(Round(advice="none", finding="plateau", share=s, suspected=suspected) for s in shares)
    return Repair(id="x", cause="bad_batch", condition="plateau", before=before, rounds=rounds)


def test_harm_is_what_the_first_piece_of_advice_does() -> None:
    assert [done(*shares).harmed for shares in ((0.5, 0.4, 0.95), (0.5, 0.48), (0.5, 0.9, 0.1), (0.5,))] == [
        True, False, False, False,
    ]  # fmt: skip
    summary = summarize([done(0.5, 0.4, 0.95), done(0.2, 0.99, suspected=True), done(0.3)])
    assert {name: summary[name]["hits"] for name in ("repaired", "harmed", "asked_for", "advised")} == {
        "repaired": 2, "harmed": 1, "asked_for": 1, "advised": 2,
    }  # fmt: skip
    assert "33 % (6-79)" in markdown(summary)


def test_who_asks_is_advised_where_no_rule_is_sure() -> None:
    told = advice_for(replace(BASE, hidden=(1,), steps=120))
    assert told
    assert {t.suspected for t in told} in ({True}, {False})


@pytest.mark.slow
@pytest.mark.parametrize(
    "prefix",
    [
        "learning_rate_too_high-x40-rings-sgd",
        "parameters_not_updated-start-glyphs-sgd",
        "gradients_accumulating-start-friedman-sgd",
        "missing_nonlinearity-linear-rings-sgd",
        "precision_overflow-scale-grows-rings-adam",
    ],
)
def test_a_plain_fault_is_repaired_by_doing_what_the_report_says(prefix: str) -> None:
    done = repair(fault(prefix))
    assert done is not None
    assert done.repaired, done
