"""The PyTorch half of the zoo trains what it says; skipped where torch is not installed (``make test-frameworks``)."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: the PyTorch half of the zoo is not trained")

from benchmarks.detection import torch_zoo
from benchmarks.detection.diagnosing import diagnose_run
from benchmarks.detection.halves import HALVES, TORCH_BASES
from benchmarks.detection.labels import HEALTHY, LabelledRun
from benchmarks.detection.torch_training import train
from benchmarks.detection.torch_zoo import (
    BASES,
    Plan,
    bad_batch,
    changed,
    fault,
    faulty_run,
    healthy_run,
    odd,
    plan_of,
    runs_on,
    trained,
)
from benchmarks.detection.zoo.faults import put
from losswatch_server.monitor.vocabulary import CauseName, Condition

pytestmark = pytest.mark.frameworks


def run(cause: str | None, name: str, base: str, half: str = "develop") -> LabelledRun:
    """The run of the plan that is called so."""
    plan = plan_of(half)
    of, on, seed = next(r for r in plan.runs(0) if (r[0].cause, r[0].name, r[1]) == (cause, name, base))
    return (faulty_run if cause else healthy_run)(of, on, seed, plan.bases)


EVERY = {**BASES, **plan_of("test").bases}


@pytest.mark.parametrize("name", EVERY)
def test_a_healthy_model_gains_at_least_half_of_what_chance_loses(name: str) -> None:
    trace, _ = trained(EVERY[name])
    assert trace.result < 0.5 * trace.chance


def test_the_same_job_trains_to_the_same_bits() -> None:
    job = changed(BASES["transformer-adam"], {"steps": 12, "dropout": 0.1})
    assert train(job)[0].loss.tobytes() == train(job)[0].loss.tobytes()


@pytest.mark.parametrize("half", HALVES)
def test_every_run_has_a_name_of_its_own_and_causes_are_the_vocabulary_s(half: str) -> None:
    plan = plan_of(half)
    planned = [*plan.runs(0), *plan.runs(1)]
    names = [(of.cause, of.name, base, seed) for of, base, seed in planned]
    assert len(names) == len(set(names))
    assert {of.cause for of, _, _ in planned if of.cause} <= {cause.value for cause in CauseName}
    assert {base for _, base, _ in planned} == set(plan.bases) == set(TORCH_BASES[half])


@pytest.mark.parametrize("half", HALVES)
def test_there_are_about_as_many_healthy_runs_as_faulty_ones(half: str) -> None:
    planned = list(plan_of(half).runs(0))
    faulty = sum(of.cause is not None for of, _, _ in planned)
    assert 0.75 < (len(planned) - faulty) / faulty < 1.6


def test_a_base_has_its_own_runs_and_what_does_no_harm_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (
        fault("bad_batch", "harmless", "mlp-sgd table-adam", put()),
        fault("non_finite_data", "nan", "mlp-sgd", bad_batch(0.5, math.nan), at=0.5),
    )
    bases = {name: changed(BASES[name], {"steps": 60}) for name in ("mlp-sgd", "table-adam")}
    plan = Plan(bases=bases, faults=kinds, healthy=(odd("plain", "mlp-sgd mlp-sgd", put()),))
    monkeypatch.setattr(torch_zoo, "plan_of", lambda half: plan)
    left_out: Counter[str] = Counter()
    runs = list(runs_on("test", "mlp-sgd", 0, left_out))
    assert [r.label.condition for r in runs] == [Condition.NON_FINITE, HEALTHY, HEALTHY]
    assert runs[0].label.cause == "non_finite_data"
    assert left_out["unaffected"] == 1
    assert {r.family for r in runs} == {"torch mlp"}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"holds": "another"}, True),
        ({"loss": "detached"}, True),
        ({"steps_optimizer": False}, True),
        ({"holds": "head"}, False),
        ({}, False),
    ],
)
def test_an_optimizer_that_holds_nothing_of_the_model_leaves_it_as_it_was(changes: dict[str, Any], same: bool) -> None:
    trace, _ = train(changed(BASES["mlp-adam"], {"steps": 40, **changes}))
    assert bool(trace.evaluated[-1] == trace.evaluated[0]) is same


def test_layers_in_a_plain_list_are_not_the_models() -> None:
    assert train(changed(BASES["mlp-sgd"], {"steps": 2, "registered": False}))[1] == ("head",)
    assert train(changed(BASES["mlp-sgd"], {"steps": 2}))[1] == ("hidden.0", "hidden.2", "head")


def test_the_scaler_skips_the_steps_that_overflow() -> None:
    trace, _ = train(changed(BASES["mlp-adam"], {"steps": 60, "precision": "fp16", "loss_scale": 0.0}))
    assert not math.isfinite(trace.grad_norm[0])
    assert math.isfinite(trace.grad_norm[-1])
    assert trace.evaluated[-1] < trace.evaluated[0]


@pytest.mark.parametrize(
    ("cause", "name", "base", "condition"),
    [
        ("parameters_not_updated", "no-step", "mlp-sgd", Condition.NOT_LEARNING),
        ("wrong_loss_function", "broadcast", "table-adam", Condition.NOT_LEARNING),
        ("bad_batch", "nan", "cnn-adam", Condition.NON_FINITE),
        ("precision_overflow", "fixed-scale", "mlp-adam", Condition.NON_FINITE),
        ("overfit_small_data", "100", "cnn-adam", Condition.OVERFITTING),
    ],
)
def test_a_fault_is_labelled_by_what_it_visibly_does(cause: str, name: str, base: str, condition: Condition) -> None:
    label = run(cause, name, base).label
    assert (label.condition, label.cause) == (condition, cause)


def test_a_run_of_nan_is_found_and_a_plain_one_is_left_in_peace() -> None:
    assert diagnose_run(run("bad_batch", "nan", "cnn-adam")).row.found
    plain = run(None, "plain", "mlp-sgd")
    assert plain.label.condition == HEALTHY
    assert not diagnose_run(plain).row.false_alarm
