"""The bug zoo: small models really trained in NumPy, healthy and with each fault injected."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from benchmarks.detection.labels import HEALTHY, Label, LabelledRun
from benchmarks.detection.zoo.adversarial import adversarial_pair, policy_gradient
from benchmarks.detection.zoo.faults import Fault, faults
from benchmarks.detection.zoo.healthy import Healthy, healthy
from benchmarks.detection.zoo.labelling import label_of
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace, train
from benchmarks.detection.zoo.views import context_seen, label_seen, points_seen, swing_seen, view_of
from losswatch_server.monitor.points import Context, Point

VALIDATIONS = 30
"""Validations a run."""


@lru_cache(maxsize=64)
def trained(recipe: Recipe) -> Trace:
    """The trace of a recipe; faults share twins."""
    return train(recipe)


def validating(recipe: Recipe) -> Recipe:
    """The recipe with its validation losses measured."""
    return replace(recipe, validates_every=max(1, recipe.steps // VALIDATIONS))


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
        family=fault.cause,
    )


def healthy_run(run: Healthy) -> LabelledRun:
    """Train a healthy recipe and log it."""
    trace = trained(validating(run.recipe))
    return LabelledRun(
        id=run.id,
        points=points_seen(trace, run.view),
        context=context_seen(run.recipe, run.view),
        label=Label(condition=HEALTHY, also_ok=run.also_ok, why=run.family),
        family=f"healthy {run.family}",
    )


def loss_that_tells_nothing(seed: int) -> Iterator[LabelledRun]:
    """Adversarial and policy-gradient runs; half of their clients say so, of the others a swing is a fair remark."""
    first, second = adversarial_pair(seed, 800)
    curves = {"generator": first, "discriminator": second, "policy": policy_gradient(seed, 900)}
    told = seed % 2 == 0
    for name, (losses, norms) in curves.items():
        yield LabelledRun(
            id=f"healthy-{name}-{seed}",
            points=tuple(
                Point(step=i, loss=float(a), grad_norm=float(b))
                for i, (a, b) in enumerate(zip(losses, norms, strict=True))
            ),
            context=Context(objective="none" if told else None, framework="numpy", optimizer="adam"),
            label=Label(
                condition=HEALTHY,
                also_ok=() if told else ("oscillation", "not_learning", "plateau", "diverging", "slow_convergence"),
                why="the loss is no measure of progress",
            ),
            family=f"healthy {name}",
        )


def zoo(*, jobs: int = 2, scale: int = 1) -> list[LabelledRun]:
    """The whole zoo, in a fixed order; ``scale`` 2 is twice as many runs with other seeds."""
    sick, well = list(faults(range(scale))), list(healthy(range(scale)))
    adversarial = [run for seed in range(4 * scale) for run in loss_that_tells_nothing(seed)]
    if jobs <= 1:
        return [*map(faulty_run, sick), *map(healthy_run, well), *adversarial]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        return [*pool.map(faulty_run, sick, chunksize=6), *pool.map(healthy_run, well, chunksize=6), *adversarial]
