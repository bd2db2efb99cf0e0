"""Questions that people really asked, trained for real: each must get the right answer."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from cases.conftest import Judge, judge_alone, trained
from losswatch_server.demo import trainings
from losswatch_server.demo.cases import CASES
from losswatch_server.demo.trainings import Training

SGD = {"optimizer": "sgd", "full_batch": True}
ADAM = {"optimizer": "adam", "learning_rate": 0.001}
STABLE_LIMIT = 2 / 288.539
"""Of the first case: 2 over the largest eigenvalue of the Hessian of 20 samples x = 1..20 with a bias."""


def troubles(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Findings that stand and complain, by condition."""
    return {
        finding["condition"]: finding
        for finding in report["findings"]
        if finding["severity"] != "info" and finding["closed_by"] is None
    }


def first_causes(finding: dict[str, Any], count: int = 3) -> list[str]:
    return [cause["cause"] for cause in finding["causes"][:count]]


def is_silent(report: dict[str, Any]) -> bool:
    """Whether nothing was ever complained about."""
    return report["status"] == "healthy" and not [f for f in report["findings"] if f["severity"] != "info"]


# --- 1: one linear unit, x = 1..20 ------------------------------------------------------------------------------------


def test_the_growing_loss_is_called_diverging_by_the_fifth_point(judge: Judge) -> None:
    report = judge(islice(trained(trainings.linear_model), 5), SGD)
    assert troubles(report)["diverging"]["opened_step"] <= 5


def test_the_growing_loss_is_blamed_on_the_learning_rate_with_the_limit_in_numbers(judge: Judge) -> None:
    report = judge(islice(trained(trainings.linear_model), 20), {**SGD, "learning_rate": 0.01})
    finding = troubles(report)["diverging"]
    assert finding["causes"][0]["cause"] == "learning_rate_too_high"
    assert "inputs_not_scaled" in first_causes(finding)
    assert finding["evidence"]["learning_rate_limit"] == pytest.approx(STABLE_LIMIT, rel=0.05)
    advised = [advice for advice in finding["advice"] if advice["action"] == "set_learning_rate"]
    assert 0 < advised[0]["value"] < STABLE_LIMIT
    early, late = finding["evidence"]["overflow_step"]
    assert 62 <= early <= late <= 67


def test_without_the_learning_rate_the_advice_is_a_factor(judge: Judge) -> None:
    report = judge(islice(trained(trainings.linear_model), 20), {"optimizer": "sgd"})
    advised = [a for a in troubles(report)["diverging"]["advice"] if a["action"] == "multiply_learning_rate"]
    assert advised[0]["value"] * 0.01 == pytest.approx(STABLE_LIMIT / 2, rel=0.1)


def test_the_loop_is_told_to_stop_before_the_overflow(judge: Judge) -> None:
    assert judge(islice(trained(trainings.linear_model), 30), {**SGD, "learning_rate": 0.01})["action"] == "stop"


def test_the_whole_diverged_run_is_still_blamed_on_the_learning_rate(judge: Judge) -> None:
    report = judge(trained(trainings.linear_model), {**SGD, "learning_rate": 0.01})
    assert report["status"] == "critical"
    assert troubles(report)["diverging"]["causes"][0]["cause"] == "learning_rate_too_high"


@pytest.mark.parametrize("learning_rate", [0.0001, 0.00347])
def test_with_a_stable_learning_rate_nothing_is_said(judge: Judge, learning_rate: float) -> None:
    assert is_silent(judge(trained(trainings.linear_model, learning_rate), {**SGD, "learning_rate": learning_rate}))


def test_eighteen_samples_diverge_and_ten_do_not() -> None:
    assert "diverging" in troubles(judge_alone(trained(trainings.linear_model, samples=18), SGD))
    assert is_silent(judge_alone(trained(trainings.linear_model, samples=10), SGD))


def keras_console(training: Training, epochs: int) -> str:
    """What Keras 2 prints for one batch an epoch."""
    lines = []
    for m in training:
        shown = f"{m.loss:.4f}" if not m.loss < 1e-3 else f"{m.loss:.4e}"
        lines.append(f"Epoch {m.step}/{epochs}\n1/1 [==============================] - 0s 4ms/step - loss: {shown}")
    return "\n".join(lines) + "\n"


def r_console(training: Training, epochs: int) -> str:
    """What R's keras prints with ``verbose = 2``: four decimals."""
    return "".join(f"Epoch {m.step}/{epochs}\n - 0s - loss: {m.loss:.4f}\n" for m in training)


@pytest.fixture
def paste(service_url: str) -> Callable[..., dict[str, Any]]:
    """Posts a log as it stands to ``/v1/diagnose``."""

    def post(log: str, query: str = "") -> dict[str, Any]:
        request = urllib.request.Request(
            f"{service_url}/v1/diagnose{query}", log.encode(), {"content-type": "text/plain"}
        )
        with urllib.request.urlopen(request) as answer:
            report: dict[str, Any] = json.load(answer)
        return report

    return post


def test_the_pasted_log_of_the_growing_loss_gets_the_same_answer(paste: Callable[..., dict[str, Any]]) -> None:
    report = paste(keras_console(trained(trainings.linear_model), 500), "?learning_rate=0.01&optimizer=sgd")
    finding = troubles(report)["diverging"]
    assert finding["causes"][0]["cause"] == "learning_rate_too_high"
    assert finding["evidence"]["learning_rate_limit"] == pytest.approx(STABLE_LIMIT, rel=0.05)


def test_the_pasted_log_of_the_stable_run_is_healthy(paste: Callable[..., dict[str, Any]]) -> None:
    assert is_silent(paste(keras_console(trained(trainings.linear_model, 0.0001), 500)))


# --- 2: two hidden tanh layers ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("data", [{}, {"separation": 1.5, "inputs": 12}])
def test_a_learning_rate_of_one_is_caught_and_named(judge: Judge, data: dict[str, Any]) -> None:
    report = judge(trained(trainings.tanh_network, 1.0, **data), {**SGD, "learning_rate": 1.0})
    assert report["status"] in ("warning", "critical")
    assert any("learning_rate_too_high" in first_causes(finding) for finding in troubles(report).values())


@pytest.mark.slow
@pytest.mark.parametrize("data", [{}, {"separation": 1.5, "inputs": 12}])
def test_a_hundredth_of_it_is_left_alone(judge: Judge, data: dict[str, Any]) -> None:
    assert is_silent(judge(trained(trainings.tanh_network, 0.01, **data), {**SGD, "learning_rate": 0.01}))


# --- 3: a network without activations ---------------------------------------------------------------------------------

LINEAR = ("missing_nonlinearity", "insufficient_capacity")


def says_train_longer(report: dict[str, Any]) -> list[str]:
    told = [advice["summary"] for finding in troubles(report).values() for advice in finding["advice"]]
    denied = ("cannot", "will hardly go below")
    return [told for told in map(str.lower, told) if "longer" in told and not any(word in told for word in denied)]


@pytest.mark.slow
def test_the_floor_of_a_linear_network_is_a_plateau_that_needs_an_activation(judge: Judge) -> None:
    report = judge(trained(trainings.three_points), {**ADAM, "learning_rate": 1e-5, "full_batch": True})
    finding = troubles(report)["plateau"]
    assert finding["causes"][0]["cause"] in LINEAR
    assert says_train_longer(report) == []


@pytest.mark.slow
@pytest.mark.parametrize("digits", [4, 17])
def test_without_gradient_norms_the_small_rate_is_not_blamed_for_the_floor_either(digits: int) -> None:
    losses = (m._replace(loss=round(m.loss, digits), grad_norm=None) for m in trained(trainings.three_points))
    report = judge_alone(losses, {**ADAM, "learning_rate": 1e-5, "total_steps": 10_000})
    causes = {cause["cause"]: cause["probability"] for cause in troubles(report)["plateau"]["causes"]}
    assert next(iter(causes)) in LINEAR
    assert says_train_longer(report) == []


@pytest.mark.slow
def test_the_pasted_log_of_the_linear_network_names_it_among_the_first_three(
    paste: Callable[..., dict[str, Any]],
) -> None:
    report = paste(r_console(trained(trainings.three_points), 10_000))
    assert set(LINEAR) & set(first_causes(troubles(report)["plateau"]))
    assert says_train_longer(report) == []


def test_with_an_activation_the_floor_is_left(judge: Judge) -> None:
    measured = trained(trainings.three_points, 0.01, activation="tanh", epochs=2000)
    assert measured[-1].loss < 0.0001
    assert not set(troubles(judge(measured, {**ADAM, "learning_rate": 0.01, "full_batch": True}))) & {
        "diverging",
        "not_learning",
    }


# --- 4: the cost does not change --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tf-inputs-to-1000", "tf-sine-linear", "tf-random-labels"])
def test_the_true_cause_is_among_the_first_three(judge: Judge, name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    context = {name: value for name, value in case.context.items() if name != "framework"}
    named = [
        cause for finding in troubles(judge(trained(case.train), context)).values() for cause in first_causes(finding)
    ]
    assert set(case.causes) & set(named)


@pytest.mark.parametrize(
    "training",
    [lambda: trained(trainings.scaled_inputs, standardised=True), lambda: trained(trainings.sine_targets, hidden=True)],
)
def test_the_mended_training_is_left_alone(judge: Judge, training: Callable[[], Training]) -> None:
    assert is_silent(judge(training(), {**ADAM, "batch_size": 32}))


# --- the faults of the demonstration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bad-batch", "dead-relu", "no-zero-grad", "learned-by-heart"])
def test_an_injected_fault_is_named_among_the_first_three_causes(judge: Judge, name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    report = judge(trained(case.train), {**case.context})
    named = [cause for finding in report["findings"] for cause in first_causes(finding)]
    assert set(case.causes) & set(named)


# --- the trainings themselves -----------------------------------------------------------------------------------------


def test_the_first_case_overflows_where_it_was_documented() -> None:
    losses = [m.loss for m in trained(trainings.linear_model)]
    assert math.isfinite(losses[62])
    assert math.isinf(losses[63])
    assert math.isnan(losses[-1])
    assert math.sqrt(losses[19] / losses[18]) == pytest.approx(0.01 * 288.539 - 1, rel=1e-3)


def test_the_floor_of_three_points_is_the_optimum_of_linear_regression() -> None:
    assert trained(trainings.three_points, 0.001, epochs=4000)[-1].loss == pytest.approx(0.005676, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_training_is_the_same_each_time_and_as_long_as_it_says(case: Any) -> None:
    first = trained(case.train)
    assert [m.step for m in first] == list(range(1, case.steps + 1))
    again = islice(zip(first, case.train(), strict=True), 20)
    assert all(a.loss == b.loss or (math.isnan(a.loss) and math.isnan(b.loss)) for a, b in again)
