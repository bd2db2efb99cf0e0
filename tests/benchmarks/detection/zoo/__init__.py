"""The bug zoo: small models really trained in NumPy, healthy and with each fault injected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from benchmarks.detection.labels import HEALTHY, Label, LabelledRun, context_json
from benchmarks.detection.zoo.faults import Fault, faults
from benchmarks.detection.zoo.healthy import Healthy, healthy
from benchmarks.detection.zoo.labelling import label_of
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace, train
from benchmarks.detection.zoo.views import View, context_seen, label_seen, points_seen, swing_seen, view_of

VALIDATIONS = 30
"""Validations a run."""


@lru_cache(maxsize=64)
def trained(recipe: Recipe) -> Trace:
    """The trace of a recipe; faults share twins."""
    return train(recipe)


def validating(recipe: Recipe) -> Recipe:
    """The recipe with its validation losses measured."""
    return replace(recipe, validates_every=max(1, recipe.steps // VALIDATIONS))


def whole_context(recipe: Recipe, view: View) -> dict[str, Any]:
    """All that a client could have sent of the job."""
    return context_json(context_seen(recipe, replace(view, context="full")))


def faulty_run(fault: Fault) -> LabelledRun:
    """Train a fault and its twin, label the difference, log it."""
    trace, twin = trained(validating(fault.recipe)), trained(validating(fault.twin))
    view = view_of(fault.id, fault.recipe.steps, validation=fault.cause == "overfit_small_data")
    points = points_seen(trace, view)
    label = label_of(fault, trace, twin, swing_seen=swing_seen(points, points_seen(twin, view)))
    return LabelledRun(
        id=fault.id,
        points=points,
        context=context_seen(fault.recipe, view),
        label=label_seen(label, points, view),
        family=fault.recipe.task,
        full_context=whole_context(fault.recipe, view),
        sent=view.context,
    )


def healthy_run(run: Healthy) -> LabelledRun:
    """Train a healthy recipe and log it."""
    trace = trained(validating(run.recipe))
    return LabelledRun(
        id=run.id,
        points=points_seen(trace, run.view),
        context=context_seen(run.recipe, run.view),
        label=Label(condition=HEALTHY, also_ok=run.also_ok, why=run.family),
        family=run.recipe.task,
        full_context=whole_context(run.recipe, run.view),
        sent=run.view.context,
    )


def runs_on(base: str, seed: int, left_out: Counter[str]) -> Iterator[LabelledRun]:
    """Every run of the zoo on that base; a fault that does no visible harm is left out and counted."""
    for fault in faults(range(seed, seed + 1)):
        if fault.id.endswith(f"-{base}-{fault.recipe.seed}"):
            run = faulty_run(fault)
            if run.label.healthy:
                left_out["unaffected"] += 1
            else:
                yield run
    for well in healthy(range(seed, seed + 1)):
        if f"-{base}-" in well.id:
            yield healthy_run(well)
