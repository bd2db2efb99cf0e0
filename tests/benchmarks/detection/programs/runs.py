"""From a fault or a healthy recipe to a labelled run: train it and its twin, label the difference, log it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from benchmarks.detection.labels import HEALTHY, Label, LabelledRun, context_of
from benchmarks.detection.programs.boosting import Boosting, boost
from benchmarks.detection.programs.confusable import confusable
from benchmarks.detection.programs.faults import DEVELOP, TEST, faults
from benchmarks.detection.programs.logs import drawn_view, facts_seen, full_context, part_of
from benchmarks.detection.programs.oddities import Healthy, healthy
from benchmarks.detection.programs.outcomes import DEBATABLE, doubt, label_of
from benchmarks.detection.programs.program import Program
from benchmarks.detection.programs.training import train
from benchmarks.detection.zoo.faults import Fault
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace
from benchmarks.detection.zoo.views import View, label_seen, points_seen, swing_seen

STRENGTHS = {"develop": DEVELOP, "test": TEST}
TWIN_VALIDATIONS = 30


@lru_cache(maxsize=48)
def trained(program: type[Program], recipe: Recipe) -> Trace:
    """The trace of a recipe; faults share twins."""
    return boost(program, recipe) if issubclass(program, Boosting) else train(program, recipe)


def validating(recipe: Recipe, times: int) -> Recipe:
    """The recipe with so many evaluations."""
    return replace(recipe, validates_every=max(1, recipe.steps // times))


def logged(run_id: str, program: type[Program], trace: Trace, view: View, sent: str, label: Label) -> LabelledRun:
    """A trace under a view, with that much of its context."""
    everything = full_context(program, trace, trace.recipe, view)
    facts = facts_seen(trace, view)
    context: dict[str, Any] = part_of(everything, sent)
    return LabelledRun(
        id=run_id,
        points=points_seen(trace, view),
        context=context_of(context),
        label=replace(label, cause_also_ok=confusable(label.cause, sent)),
        family=trace.recipe.task,
        full_context=everything,
        facts=facts,
        sent=sent,
    )


def faulty_run(fault: Fault, program: type[Program]) -> LabelledRun | str:
    """The labelled run of a fault, or why it is left out."""
    needs = fault.cause == "overfit_small_data" or fault.recipe.broken_by == "nan validation"
    wishes = {"validation": True} if fault.recipe.broken_by == "nan validation" else {}
    view, sent, times = drawn_view(fault.id, fault.recipe, wishes, validation=needs)
    recipe = validating(fault.recipe, times)
    trace = trained(program, recipe)
    twin = trained(program, validating(fault.twin, TWIN_VALIDATIONS))
    points = points_seen(trace, view)
    label = label_of(fault, trace, twin, program, swing_seen=swing_seen(points, points_seen(twin, view)))
    if isinstance(label, str):
        return label
    seen = label_seen(label, points, view)
    if seen.condition == HEALTHY or (HEALTHY in seen.also_ok and label.condition == "loss_spike"):
        return DEBATABLE
    if seen.condition == "exploding_gradient" and not any(p.grad_norm is not None for p in points):
        return DEBATABLE
    return logged(fault.id, program, trace, view, sent, seen)


def healthy_run(run: Healthy, program: type[Program]) -> LabelledRun | str:
    """The labelled run of a healthy recipe, or why it is left out."""
    view, sent, times = drawn_view(run.id, run.recipe, run.oddity.view, validation=False)
    trace = trained(program, validating(run.recipe, times))
    base = trained(program, validating(run.base, TWIN_VALIDATIONS))
    why = doubt(run, trace, base)
    if why is not None:
        return why
    label = Label(condition=HEALTHY, why=run.oddity.name)
    return logged(run.id, program, trace, view, sent, label)


def runs_of(program: type[Program], seed: int, half: str, left_out: Counter[str]) -> Iterator[LabelledRun]:
    """Every run of a family and seed; what is left out is counted by reason."""
    for of in (faults(program, seed, STRENGTHS[half]), healthy(program, seed, half)):
        for one in of:
            run = faulty_run(one, program) if isinstance(one, Fault) else healthy_run(one, program)
            if isinstance(run, str):
                left_out[run] += 1
            else:
                yield run
