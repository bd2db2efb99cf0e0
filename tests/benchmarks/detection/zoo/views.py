"""How a run was logged: what was measured, how often, rounded to what, and how much of the context the client sent."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.detection.labels import HEALTHY, Label
from benchmarks.detection.zoo.labelling import swing
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.tasks import task
from benchmarks.detection.zoo.training import Trace, loss_name
from losswatch_server.monitor.points import Context, Point

LOSS_NAMES = {"double_softmax": "cross_entropy", "single_softmax": "cross_entropy", "sigmoid_mse": "mse"}
"""What a client calls the loss that it believes to train on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """``every``: only each so many-th step is logged; ``epoch``: means of so many steps, numbered from 1."""

    every: int = 1
    epoch: int = 0
    decimals: int | None = None
    units: float = 1.0
    """The loss is summed or scaled: loss and gradient norm times this, plain learning rates over it."""
    grad_norm: bool = True
    layers: bool = False
    learning_rate: bool = True
    validation: bool = False
    context: str = "full"
    """full, some (no optimiser, no learning rate), little (the loss's name alone)."""


def view_of(run_id: str, steps: int, *, validation: bool) -> View:
    """A view drawn from the run's name: two thirds log every step in full, the rest as people also do."""
    draw = np.random.default_rng(zlib.crc32(run_id.encode()))
    style = draw.choice(["steps", "every", "epochs"], p=[0.7, 0.17, 0.13])
    context = str(draw.choice(["full", "some", "little"], p=[0.65, 0.2, 0.15]))
    view = View(
        grad_norm=bool(draw.random() < 0.85),
        learning_rate=bool(draw.random() < 0.6),
        validation=validation or bool(draw.random() < 0.4),
        context=context,
    )
    view = replace(view, layers=view.grad_norm and bool(draw.random() < 0.4))
    if style == "every":
        return replace(view, every=int(draw.choice([5, 10])))
    if style == "epochs":
        return replace(view, epoch=max(5, steps // 40), decimals=4, grad_norm=False, layers=False)
    return view


def context_seen(recipe: Recipe, view: View) -> Context:
    """The context that a client of that view sends."""
    classes = task(recipe.task, recipe.seed).classes
    loss = loss_name(recipe, classes).removeprefix("ascent_")
    little: dict[str, Any] = {"loss_name": LOSS_NAMES.get(loss, loss), "framework": "numpy"}
    if view.context == "little":
        return Context(**little)
    some = little | {
        "num_classes": classes or None,
        "batch_size": recipe.batch_size,
        "total_steps": recipe.steps if not view.epoch else recipe.steps // view.epoch,
        "precision": recipe.precision,
    }
    if view.epoch:
        some |= {"step_unit": "epoch", "steps_per_epoch": view.epoch}
    if view.every > 1:
        some |= {"steps_per_point": view.every}
    if view.context == "some":
        return Context(**some)
    return Context(
        **some,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate * rate_factor(recipe, view),
        momentum=recipe.momentum or None if recipe.optimizer == "sgd" else None,
        weight_decay=recipe.weight_decay or None,
        warmup_steps=recipe.warmup_steps or None,
        grad_clip=None if recipe.clip is None else recipe.clip * view.units,
        grad_norm_is="before_clip" if recipe.clip is not None and view.grad_norm else None,
    )


def rate_factor(recipe: Recipe, view: View) -> float:
    """What the learning rate is multiplied by under the view's units; Adam's steps do not depend on them."""
    return 1.0 if recipe.optimizer == "adam" else 1 / view.units


def rounded(value: float, decimals: int | None) -> float:
    """As a log prints it."""
    return float(value) if decimals is None else round(float(value), decimals)


def points_seen(trace: Trace, view: View) -> tuple[Point, ...]:
    """The points of a run under a view."""
    points = []
    steps = len(trace.loss)
    width = view.epoch or 1
    stride = view.epoch or view.every
    measured = sorted(trace.validation)
    rate_units = rate_factor(trace.recipe, view)
    with np.errstate(all="ignore"):
        for number, at in enumerate(range(0, steps - width + 1, stride), start=1):
            part = slice(at, at + width)
            layers = None
            if view.layers:
                layers = {
                    f"layer{i}": view.units * float(np.mean(trace.layers[part, i]))
                    for i in range(trace.layers.shape[1])
                }
            held = [s for s in measured if at <= s < at + stride] if view.validation else []
            points.append(
                Point(
                    step=number if view.epoch else at,
                    loss=rounded(view.units * float(np.mean(trace.loss[part])), view.decimals),
                    grad_norm=view.units * float(np.mean(trace.grad_norm[part])) if view.grad_norm else None,
                    learning_rate=float(trace.learning_rate[at]) * rate_units if view.learning_rate else None,
                    validation_loss=rounded(view.units * trace.validation[held[-1]], view.decimals) if held else None,
                    layers=layers,
                )
            )
    return tuple(points)


def label_seen(label: Label, points: tuple[Point, ...], view: View) -> Label:
    """The label in the log's steps; a spike that fell between two logged steps is not to be seen."""
    if label.onset_step is None:
        return label
    if view.epoch:
        label = replace(label, onset_step=1 + label.onset_step // view.epoch)
    if label.condition == "exploding_gradient" and not any(p.grad_norm for p in points):
        return replace(label, also_ok=(*label.also_ok, HEALTHY))
    if label.condition == "loss_spike" and not spike_seen(label, points):
        if label.cause == "bad_batch":
            return Label(condition=HEALTHY, also_ok=("loss_spike", *label.also_ok), why=f"{label.why}; not in the log")
        return replace(label, condition="diverging", also_ok=("loss_spike", "plateau", *label.also_ok))
    return label


def spike_seen(label: Label, points: tuple[Point, ...]) -> bool:
    """The logged loss jumps near the onset: by 8 deviations of the 30 points before, and a fifth of its level."""
    onset = label.onset_step or 0
    losses = [(p.step, p.loss) for p in points if p.loss is not None]
    before = np.array([loss for step, loss in losses if step < onset][-30:])
    reach = onset + max(3, (points[-1].step - points[0].step) // 20)
    after = np.array([loss for step, loss in losses if onset <= step <= reach])
    if len(before) < 5 or not len(after):
        return False
    level = float(np.median(before[-10:]))
    noise = float(1.4826 * np.median(np.abs(before - np.median(before))))
    return bool(not np.isfinite(after).all() or np.max(after) > level + max(8 * noise, 0.2 * abs(level)))


def swing_seen(points: tuple[Point, ...], twin: tuple[Point, ...]) -> bool:
    """The logged loss swings more than twice as widely as the twin's in the second half of the run."""
    wide, narrow = (late_swing(of) for of in (points, twin))
    return wide > 2 * narrow or not np.isfinite(wide)


def late_swing(points: tuple[Point, ...]) -> float:
    """The swing of the logged loss in the second half of the run."""
    late = [p.loss for p in points[len(points) // 2 :] if p.loss is not None]
    return swing(np.array(late, dtype=float))
