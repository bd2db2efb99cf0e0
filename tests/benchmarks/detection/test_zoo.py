"""The perceptrons of the zoo: the same every time, their twins train well, their faults are seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection.labels import HEALTHY, LabelledRun, read_corpus, write_corpus
from benchmarks.detection.zoo import faulty_run, healthy_run, trained, validating
from benchmarks.detection.zoo.bases import BASES
from benchmarks.detection.zoo.faults import KINDS, Fault, faults
from benchmarks.detection.zoo.healthy import healthy
from benchmarks.detection.zoo.training import train
from losswatch_server.monitor.vocabulary import CauseName, Condition


def fault(prefix: str) -> Fault:
    """The first fault whose id begins so."""
    return next(f for f in faults(range(1)) if f.id.startswith(prefix))


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_a_healthy_twin_gains_at_least_half_of_what_chance_loses(name: str) -> None:
    trace = trained(validating(BASES[name]))
    assert np.isfinite(trace.loss).all()
    assert trace.result < 0.55 * trace.chance


def test_the_same_recipe_trains_to_the_same_bits() -> None:
    recipe = replace(BASES["rings-adam"], steps=60, dropout=0.1)
    assert train(recipe).loss.tobytes() == train(recipe).loss.tobytes()


def test_every_cause_is_injected_but_the_one_that_the_programs_alone_have() -> None:
    assert {kind.cause for kind in KINDS} == {cause.value for cause in CauseName} - {"non_finite_data"}


def test_every_fault_and_healthy_run_has_a_name_of_its_own() -> None:
    names = [f.id for f in faults(range(2))] + [h.id for h in healthy(range(2))]
    assert len(names) == len(set(names))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prefix", "condition"),
    [
        ("learning_rate_too_high-x40-friedman-sgd", "non_finite"),
        ("parameters_not_updated-start-rings-sgd", "not_learning"),
        ("bad_batch-x30-rings-sgd", "loss_spike"),
        ("overfit_small_data-150-tokens-adam", "overfitting"),
        ("dead_activations-bias-rings-sgd", "vanishing_gradient"),
        ("gradient_clip_too_tight-0.03-glyphs-sgd", "slow_convergence"),
        ("data_not_shuffled-sorted-rings-sgd", "oscillation"),
    ],
)
def test_a_fault_is_labelled_by_what_it_visibly_does(prefix: str, condition: str) -> None:
    run = faulty_run(fault(prefix))
    assert run.label.condition == condition
    assert run.label.cause == prefix.split("-")[0]


def test_a_fault_that_does_nothing_visible_is_healthy() -> None:
    harmless = replace(
        fault("learning_rate_too_high-x8-rings-sgd"), recipe=replace(BASES["rings-sgd"], learning_rate=0.12)
    )
    assert faulty_run(harmless).label.condition == HEALTHY


@pytest.mark.slow
def test_labels_use_the_words_of_the_vocabulary() -> None:
    words = {c.value for c in Condition} | {HEALTHY}
    for run in (faulty_run(fault("bad_batch-nan")), healthy_run(next(iter(healthy(range(1)))))):
        assert {run.label.condition, *run.label.also_ok} <= words


def test_a_saved_zoo_reads_back_the_same(tmp_path: Path) -> None:
    run = faulty_run(fault("bad_batch-nan-rings-sgd"))
    file = tmp_path / "zoo.jsonl.gz"
    write_corpus(file, [run])
    (back,) = read_corpus(file)
    assert comparable(back) == comparable(run)


def comparable(run: LabelledRun) -> str:
    """Everything that a report depends on; NaN prints as itself and so equals itself."""
    return f"{run.id} {run.points} {run.context} {run.label}"
