"""How a run was logged: what was measured, how often, rounded to what, and how much of the context the client sent."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

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
    running: str = ""
    """The loss that is shown: an "average" with a memory of 50 steps, or the mean since the "epoch" began."""
    after_clip: bool = False
    """The gradient norm is taken after clipping."""
    metrics: bool = False
    first: int = 1
    """The number of the first epoch."""
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
    return significant(value) if decimals is None else round(float(value), decimals)


def significant(value: float) -> float:
    """To seven significant digits, as single precision has them."""
    return float(f"{value:.7g}")


def shown_loss(trace: Trace, view: View) -> NDArray[np.float64]:
    """The loss as the program shows it, one value a step."""
    if view.running == "average":
        forget = 0.98
        correction = 1 - forget ** np.arange(1, len(trace.loss) + 1)
        out: NDArray[np.float64] = lfilter([1 - forget], [1, -forget], trace.loss) / correction
        return out
    if view.running == "epoch":
        length = max(4, min(trace.recipe.train_size // max(1, trace.recipe.batch_size), len(trace.loss) // 4))
        parts = np.split(trace.loss, range(length, len(trace.loss), length))
        return np.concatenate([np.cumsum(part) / np.arange(1, len(part) + 1) for part in parts])
    return trace.loss


def of_each(values: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """The value at every logged step, or the mean of every epoch."""
    if not view.epoch:
        return values[:: view.every]
    whole = len(values) // view.epoch
    out: NDArray[np.float64] = np.mean(
        values[: whole * view.epoch].reshape(whole, view.epoch, *values.shape[1:]), axis=1
    )
    return out


def measured_at(values: Mapping[int, float], view: View, *, last: bool) -> dict[int, float]:
    """What was measured now and then, by the number of the point it is logged with: the last of them, or their mean."""
    held: dict[int, list[float]] = {}
    for step in sorted(values):
        held.setdefault(step // (view.epoch or view.every), []).append(values[step])
    return {place: of[-1] if last or len(of) == 1 else float(np.mean(of)) for place, of in held.items()}


def points_seen(trace: Trace, view: View) -> tuple[Point, ...]:
    """The points of a run under a view."""
    gradients = view.grad_norm and trace.has_gradients
    names = trace.layer_names or tuple(f"layer{i}" for i in range(trace.layers.shape[1]))
    norms = trace.grad_norm
    if view.after_clip and trace.recipe.clip is not None:
        norms = np.minimum(norms, trace.recipe.clip)
    with np.errstate(all="ignore"):
        losses = (view.units * of_each(shown_loss(trace, view), view)).tolist()
        sizes = (view.units * of_each(norms, view)).tolist() if gradients else None
        rates = trace.learning_rate[:: view.epoch or view.every] * rate_factor(trace.recipe, view)
        layers = (view.units * of_each(trace.layers, view)).tolist() if view.layers and gradients else None
        held = measured_at(trace.validation, view, last=True) if view.validation else {}
        metrics = (
            {name: measured_at(of, view, last=False) for name, of in trace.metrics.items()} if view.metrics else {}
        )
    points = []
    for i, loss in enumerate(losses):
        measured = {name: significant(of[i]) for name, of in metrics.items() if i in of}
        points.append(
            Point(
                step=view.first + i if view.epoch else i * view.every,
                loss=rounded(loss, view.decimals),
                grad_norm=significant(sizes[i]) if sizes else None,
                learning_rate=significant(rates[i]) if view.learning_rate else None,
                validation_loss=rounded(view.units * held[i], view.decimals) if i in held else None,
                layers={n: significant(v) for n, v in zip(names, layers[i], strict=True)} if layers else None,
                metrics=measured or None,
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
