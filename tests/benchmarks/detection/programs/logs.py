"""How a program's run is logged as it is: which columns, how often, and how much of the context its client sent."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.detection.programs.program import Program
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace
from benchmarks.detection.zoo.views import View, rate_factor

VALIDATIONS = (30, 30, 45, 17, 9, 5)
"""Evaluations a run."""
NAMED_SOME = ("loss_name", "framework", "num_classes", "batch_size", "total_steps", "precision", "step_unit",
              "steps_per_epoch", "steps_per_point")  # fmt: skip
"""What a client of medium diligence sends."""
NAMED_LITTLE = ("loss_name", "framework")
KNOWLEDGE = ("facts", "full", "some", "little")


def drawn_view(run_id: str, recipe: Recipe, wishes: dict[str, Any], *, validation: bool) -> tuple[View, str, int]:
    """View, what the client sends of the context, and evaluations a run: drawn from the run's name, wishes granted."""
    draw = np.random.default_rng(zlib.crc32(run_id.encode()))
    wishes = dict(wishes)
    style = draw.choice(["steps", "every", "epochs"], p=[0.64, 0.1, 0.26])
    points = int(draw.choice([10, 16, 25, 40, 60]))
    knowledge = str(draw.choice(KNOWLEDGE, p=[0.25, 0.4, 0.2, 0.15]))
    view = View(
        grad_norm=bool(draw.random() < 0.8),
        learning_rate=bool(draw.random() < 0.6),
        validation=validation or bool(draw.random() < 0.55),
        metrics=bool(draw.random() < 0.5),
        after_clip=recipe.clip is not None and bool(draw.random() < 0.4),
        first=int(draw.random() < 0.6),
    )
    view = replace(view, layers=view.grad_norm and bool(draw.random() < 0.35))
    validations = int(draw.choice(VALIDATIONS))
    stride = int(draw.choice([5, 10, 20]))
    if "points" in wishes:
        style, points = "epochs", wishes.pop("points")
    if style == "every" and recipe.steps >= 20 * stride:
        view = replace(view, every=stride)
    elif style == "epochs" and recipe.steps >= 2 * points:
        size = recipe.steps // points
        view = replace(view, epoch=size, decimals=4, grad_norm=False, layers=False)
        validations = points if draw.random() < 0.8 else validations
    validations = wishes.pop("validations", validations)
    return replace(view, **wishes), knowledge, validations


def full_context(program: type[Program], trace: Trace, recipe: Recipe, view: View) -> dict[str, Any]:
    """Everything that a diligent client says of the job."""
    classes = next((len(f["class_shares"]) for _, f in trace.facts if "class_shares" in f), 0)
    steps = len(trace.loss)
    per_epoch = view.epoch or max(1, recipe.train_size // max(1, recipe.batch_size))
    factor = rate_factor(recipe, view)
    context = {
        "framework": "numpy",
        "loss_name": program.loss_name or ("cross_entropy" if classes else "mse"),
        "num_classes": classes or None,
        "batch_size": recipe.batch_size if trace.has_gradients else None,
        "total_steps": steps // view.epoch if view.epoch else steps,
        "precision": recipe.precision,
        "optimizer": "adamw" if recipe.optimizer == "adam" and recipe.weight_decay else recipe.optimizer,
        "learning_rate": recipe.learning_rate * factor,
        "momentum": recipe.momentum or None if recipe.optimizer == "sgd" else None,
        "nesterov": recipe.nesterov or None,
        "weight_decay": recipe.weight_decay or None,
        "warmup_steps": recipe.warmup_steps or None,
        "grad_clip": None if recipe.clip is None else recipe.clip * view.units,
        "step_unit": "epoch" if view.epoch else "step",
        "steps_per_epoch": per_epoch if trace.has_gradients else None,
        "steps_per_point": view.every if view.every > 1 else None,
        "full_batch": True if recipe.batch_size >= recipe.train_size else None,
        "objective": program.objective,
    }
    if recipe.clip is not None and view.grad_norm:
        context["grad_norm_is"] = "after_clip" if view.after_clip else "before_clip"
    return {name: value for name, value in context.items() if value is not None}


def part_of(context: dict[str, Any], knowledge: str) -> dict[str, Any]:
    """What a client of that diligence sends of the context."""
    if knowledge in ("facts", "full"):
        return context
    named = NAMED_SOME if knowledge == "some" else NAMED_LITTLE
    return {name: value for name, value in context.items() if name in named}


def facts_seen(trace: Trace, view: View) -> tuple[tuple[int, dict[str, Any]], ...]:
    """The facts with the logged step from which they are known, in the units of the log."""
    seen = []
    for step, facts in trace.facts:
        at = view.first + step // view.epoch if view.epoch else step
        told = dict(facts)
        if "initial_loss" in told:
            told["initial_loss"] = told["initial_loss"] * view.units
        seen.append((at, told))
    return tuple(seen)
