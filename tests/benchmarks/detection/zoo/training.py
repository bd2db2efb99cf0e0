"""Train a recipe and write down what a logger would see, and what the labeller needs besides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.zoo.batches import Batches, prepared
from benchmarks.detection.zoo.network import Network
from benchmarks.detection.zoo.optimizer import Optimizer, rate
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.tasks import HELD_OUT, Array, task

EVALUATIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One value a step (T of them): batch loss, total gradient norm before clipping, learning rate, layer norms (T, L).

    ``validation`` maps step to held-out loss. ``evaluated`` are the losses of 512 fixed, clean training samples at
    ``evaluated_at``, without batch noise, dropout or bad batches: what the labeller reads, a logger does not.
    """

    recipe: Recipe
    loss: NDArray[np.float64]
    grad_norm: NDArray[np.float64]
    learning_rate: NDArray[np.float64]
    layers: NDArray[np.float64]
    validation: dict[int, float]
    evaluated_at: NDArray[np.int64]
    evaluated: NDArray[np.float64]
    result: float
    """The held-out loss of the weights that the run ends with."""
    chance: float
    metrics: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Metric -> step -> value."""
    facts: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    """What an integration sees, from which step on; later ones are laid over earlier ones."""
    layer_names: tuple[str, ...] = ()
    has_gradients: bool = True


def loss_name(recipe: Recipe, classes: int) -> str:
    """The loss that the run trains on."""
    if recipe.loss == "default":
        return "cross_entropy" if classes else "mse"
    return recipe.loss


def train(recipe: Recipe) -> Trace:
    """Train; nothing here stops early, a run whose weights are NaN logs NaN to its end."""
    with np.errstate(all="ignore"):
        return _train(recipe)


def _train(recipe: Recipe) -> Trace:
    data = task(recipe.task, recipe.seed)
    name = loss_name(recipe, data.classes)
    outputs = {"gaussian": 2, "single_softmax": 1, "sigmoid_mse": 1}.get(name, data.outputs)
    sizes = (data.x.shape[1], *recipe.hidden, outputs)
    net = Network(sizes, recipe.activation, recipe.initialization_gain, recipe.bias, recipe.seed)
    batches = Batches(recipe, data)
    held_x = prepared(recipe, data.x[-HELD_OUT:])
    held_y = data.y[-HELD_OUT:] if data.classes else data.y[-HELD_OUT:] * recipe.target_scale + recipe.target_offset
    fixed_x, fixed_y = batches.x[:512], batches.clean[:512]
    masks_generator = np.random.default_rng([recipe.seed, 17])
    steps, layers = recipe.steps, len(sizes) - 1
    losses, norms, rates = np.empty(steps), np.empty(steps), np.empty(steps)
    layer_norms = np.empty((steps, layers))
    validation: dict[int, float] = {}
    evaluated: list[tuple[int, float]] = []
    every = max(1, steps // EVALUATIONS)
    pretrain(recipe, net, batches, name)
    optimizer = Optimizer(net)
    best, best_parameters = math.inf, net.parameters.copy()
    changes = {step: (name, value) for step, name, value in recipe.changes}
    scale = recipe.loss_scale or 2.0**14
    good = 0
    now = recipe
    for step in range(steps):
        if step in changes:
            field, value = changes[step]
            if field == "kill":
                for _, bias in net.weights[:-1]:
                    bias += value
            else:
                now = replace(now, **{field: value})
        if step % every == 0:
            evaluated.append((step, net.loss(fixed_x, fixed_y, name)))
        x, y = batches.next(now, step)
        masks = None
        if now.dropout:
            masks = [
                (masks_generator.random((len(x), width)) >= now.dropout).astype(np.float32)
                / np.float32(1 - now.dropout)
                for width in now.hidden
            ]
        if now.zeroes_gradients:
            net.gradient[:] = 0
        fp16 = now.precision == "fp16"
        losses[step] = net.backward(x, y, name, scale=scale, fp16=fp16, masks=masks)
        gradient = net.gradient / np.float32(scale) if fp16 else net.gradient
        squares = [float(np.dot(gradient[a:b], gradient[a:b])) for a, b in net.slices]
        norms[step] = norm = math.sqrt(sum(squares))
        layer_norms[step] = np.sqrt(squares)
        rates[step] = rate(now, step)
        finite = math.isfinite(norm)
        if fp16 and recipe.loss_scale == 0:
            good = good + 1 if finite else 0
            scale = scale / 2 if not finite else scale * 2 if good % 150 == 149 else scale
        elif fp16 and step % 50 == 49:
            scale *= recipe.loss_scale_growth
        if now.steps_optimizer and (finite or not (fp16 and recipe.loss_scale == 0)):
            optimizer.step(now, gradient, norm, float(rates[step]))
        if recipe.validates_every and step % recipe.validates_every == recipe.validates_every - 1:
            validation[step] = value = net.loss(held_x, held_y, name)
            if recipe.stop_at_best and value < best:
                best, best_parameters = value, net.parameters.copy()
    evaluated.append((steps - 1, net.loss(fixed_x, fixed_y, name)))
    if recipe.stop_at_best and math.isfinite(best):
        net.parameters[:] = best_parameters
    chance = data.chance() * (recipe.target_scale**2 if data.classes == 0 else 1.0)
    return Trace(
        recipe=recipe,
        loss=losses,
        grad_norm=norms,
        learning_rate=rates,
        layers=layer_norms,
        validation=validation,
        evaluated_at=np.array([s for s, _ in evaluated]),
        evaluated=np.array([v for _, v in evaluated]),
        result=judged_loss(recipe, net, held_x, held_y, data.classes),
        chance=chance,
    )


def pretrain(recipe: Recipe, net: Network, batches: Batches, name: str) -> None:
    """Train on the first half of the samples with ten times the learning rate, unseen by the log."""
    generator = np.random.default_rng([recipe.seed, 19])
    optimizer = Optimizer(net)
    for _ in range(recipe.pretrained_steps):
        chosen = generator.integers(0, len(batches.x) // 2, 64)
        net.gradient[:] = 0
        net.backward(batches.x[chosen], batches.clean[chosen], name)
        optimizer.step(recipe, net.gradient, 0.0, 10 * recipe.learning_rate)


def judged_loss(recipe: Recipe, net: Network, x: Array, y: NDArray[np.generic], classes: int) -> float:
    """The held-out loss that a run is compared by: the task's own, in units of target_scale, whatever it trained on."""
    name = loss_name(recipe, classes)
    if name in ("double_softmax", "single_softmax", "sigmoid_mse"):
        return math.inf
    if name.startswith("ascent_"):
        name = name.removeprefix("ascent_")
    value = net.loss(x, y, name)
    return value / recipe.target_scale**2 if name == "mse" else value
