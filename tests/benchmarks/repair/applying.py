"""Each machine-readable action of an advice, done to a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.detection.zoo.recipe import Recipe

Value = float | str | None


def number(value: Value, otherwise: float) -> float:
    """The advice's value where it is a number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else otherwise


def without_change(recipe: Recipe, *fields: str) -> Recipe:
    """The recipe without the mid-run changes of these fields."""
    return replace(recipe, changes=tuple(c for c in recipe.changes if c[1] not in fields))


def with_rate(recipe: Recipe, rate: Callable[[float], float]) -> Recipe:
    """Another learning rate; where it was changed mid-run, that change is what gets another value."""
    if any(field == "learning_rate" for _, field, _ in recipe.changes):
        changes = tuple(
            (step, field, rate(value) if field == "learning_rate" else value) for step, field, value in recipe.changes
        )
        return replace(recipe, changes=changes)
    return replace(recipe, learning_rate=rate(recipe.learning_rate))


def wider(recipe: Recipe, value: Value) -> Recipe:
    """Hidden layers that many times as wide, and a second one where there is one."""
    factor = max(1.0, number(value, 2.0))
    wide = tuple(math.ceil(factor * width) for width in recipe.hidden)
    return replace(recipe, hidden=wide * 2 if len(wide) == 1 else wide)


def without_batch(recipe: Recipe, value: Value) -> Recipe:
    """The bad batch nearest to the step that is named is left out (a log of every n-th step names it so closely)."""
    if not recipe.bad_batches:
        return recipe
    step = number(value, recipe.bad_batches[0])
    nearest = min(recipe.bad_batches, key=lambda bad: abs(bad - step))
    return replace(recipe, bad_batches=tuple(bad for bad in recipe.bad_batches if bad != nearest))


def activated(recipe: Recipe, value: Value) -> Recipe:
    """Another activation, of those that the zoo has."""
    name = value if isinstance(value, str) and value in ("relu", "leaky_relu", "tanh") else "relu"
    return replace(recipe, activation=name)


SEEN_IN_OUTPUTS = frozenset({"sigmoid_mse", "ascent_mse", "ascent_cross_entropy"})
"""Losses whose fault shows where outputs stand beside targets: a range that the targets leave, or a wrong sign."""


def with_outputs_seen(recipe: Recipe, value: Value) -> Recipe:
    """What somebody mends who prints the range and the sign of the outputs beside the targets and the loss."""
    return replace(recipe, loss="default") if recipe.loss in SEEN_IN_OUTPUTS else recipe


ACTIONS: dict[str, Callable[[Recipe, Value], Recipe]] = {
    "set_learning_rate": lambda r, v: with_rate(r, lambda now: number(v, now)),
    "multiply_learning_rate": lambda r, v: with_rate(r, lambda now: now * number(v, 1.0)),
    "add_warmup": lambda r, v: replace(r, warmup_steps=round(number(v, 0.05 * r.steps))),
    "clip_gradients": lambda r, v: replace(r, clip=number(v, 1.0)),
    "loosen_gradient_clip": lambda r, v: replace(r, clip=number(v, math.inf)),
    "scale_inputs": lambda r, _: replace(r, standardize=True, target_scale=1.0, target_offset=0.0),
    "change_activation": activated,
    "change_initialization": lambda r, _: replace(r, initialization_gain=1.0, bias=0.0),
    "increase_capacity": wider,
    "change_loss": lambda r, _: replace(r, loss="default"),
    "update_parameters": lambda r, _: without_change(replace(r, steps_optimizer=True, frozen=False), "steps_optimizer"),
    "zero_gradients": lambda r, _: replace(r, zeroes_gradients=True),
    "shuffle_data": lambda r, _: without_change(replace(r, shuffle=True), "shuffle"),
    "increase_batch_size": lambda r, v: replace(r, batch_size=round(number(v, 4 * r.batch_size))),
    "reduce_weight_decay": lambda r, v: replace(r, weight_decay=number(v, r.weight_decay / 10)),
    "set_momentum": lambda r, v: replace(r, momentum=number(v, 0.9)),
    "change_precision": lambda r, v: replace(r, precision=v if isinstance(v, str) else "bf16"),
    "skip_batch": without_batch,
    "filter_batch": lambda r, _: replace(r, filters_batches=True),
    "stop_at_best_step": lambda r, _: replace(r, stop_at_best=True),
    "regularize": lambda r, v: replace(r, weight_decay=number(v, 1e-2), dropout=0.1),
    "check_labels": lambda r, _: without_change(replace(r, label_noise=0.0), "label_noise"),
    "check_data": lambda r, _: replace(r, filters_batches=True),
    "check_output": with_outputs_seen,
    "none": lambda r, _: r,
}


def applied(recipe: Recipe, action: str, value: Any) -> Recipe:
    """The recipe after the action; the same recipe where there is nothing to do. KeyError for an unknown action."""
    return ACTIONS[action](recipe, value)
