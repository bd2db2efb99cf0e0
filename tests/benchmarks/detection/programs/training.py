"""Train a program and write down what a logger sees, what an integration knows, and what the labeller needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.detection.programs.autodiff import backward, forget
from benchmarks.detection.programs.facts import facts_at_start, facts_of_state
from benchmarks.detection.programs.feed import Feed
from benchmarks.detection.programs.program import JUDGED_ON, Program
from benchmarks.detection.zoo.optimizer import Optimizer, rate
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace

EVALUATIONS = 40
STATES = (0.1, 0.3, 0.5, 0.7, 0.95)
"""Shares of the run at which an integration looks at the model's state."""
SCALER_GROWS_EVERY = 120


def train(program: type[Program], recipe: Recipe) -> Trace:
    """Train; nothing here stops early, a run whose weights are NaN logs NaN to its end."""
    with np.errstate(all="ignore"):
        loop = Loop(program, recipe)
        try:
            return loop.run()
        finally:
            forget()


class Loop:
    """One training."""

    def __init__(self, program: type[Program], recipe: Recipe) -> None:
        self.now = self.recipe = recipe
        self.program = program(recipe)
        self.feed = Feed(recipe, self.program.data)
        self.pretrain()
        self.optimizer = Optimizer(self.program)
        self.dynamic = recipe.precision == "fp16" and recipe.loss_scale == 0
        self.scale = recipe.loss_scale or 2.0**14
        self.good = 0
        self.sign = -1.0 if recipe.loss == "ascent" else 1.0

    def pretrain(self) -> None:
        """Adam on the first half of the clean samples, unseen by the log."""
        recipe, program = self.recipe, self.program
        teacher = replace(recipe, optimizer="adam", momentum=0.0, weight_decay=0.0, frozen=False, clip=1.0)
        optimizer = Optimizer(program)
        generator = np.random.default_rng([recipe.seed, 23])
        for _ in range(recipe.pretrained_steps):
            chosen = generator.integers(0, max(1, len(self.feed.clean_x) // 2), 32)
            program.gradient[:] = 0
            loss, _ = program.loss_of(self.feed.clean_x[chosen], self.feed.clean_y[chosen])
            backward(loss)
            optimizer.step(teacher, program.gradient, float(np.linalg.norm(program.gradient)), 0.004)

    def run(self) -> Trace:
        """Every step of the recipe."""
        recipe, program, feed = self.recipe, self.program, self.feed
        steps, layers = recipe.steps, len(program.slices)
        losses, norms, rates = np.empty(steps), np.empty(steps), np.empty(steps)
        layer_norms = np.empty((steps, layers))
        fixed = feed.clean_x[:JUDGED_ON], feed.clean_y[:JUDGED_ON]
        held = feed.held_x[:JUDGED_ON], feed.held_y[:JUDGED_ON]
        validation: dict[int, float] = {}
        metrics: dict[str, dict[int, float]] = {}
        evaluated: list[tuple[int, float]] = []
        every = max(1, steps // EVALUATIONS)
        changes = {step: (name, value) for step, name, value in recipe.changes}
        looks = {round(share * steps) for share in STATES}
        facts = [(0, facts_at_start(program, feed, recipe))]
        for step in range(steps):
            if step in changes:
                self.change(*changes[step])
            if step % every == 0:
                evaluated.append((step, program.evaluate(*fixed)[0]))
            before = program.parameters.copy() if step in looks else None
            losses[step], measured, sizes = self.step(step)
            norms[step] = math.sqrt(sum(n * n for n in sizes))
            layer_norms[step] = sizes
            rates[step] = rate(self.now, step)
            if self.dynamic:
                measured["loss_scale"] = self.scale
            for name, value in measured.items():
                metrics.setdefault(name, {})[step] = value
            if before is not None:
                facts.append(
                    (step, facts_of_state(program, before, self.scale if recipe.precision == "fp16" else None))
                )
            if recipe.validates_every and step % recipe.validates_every == recipe.validates_every - 1:
                validation[step], of_held = program.evaluate(*held)
                for name, value in of_held.items():
                    metrics.setdefault(f"val_{name}", {})[step] = value
        evaluated.append((steps - 1, program.evaluate(*fixed)[0]))
        return Trace(
            recipe=recipe,
            loss=losses,
            grad_norm=norms,
            learning_rate=rates,
            layers=layer_norms,
            validation=validation,
            evaluated_at=np.array([s for s, _ in evaluated]),
            evaluated=np.array([v for _, v in evaluated]),
            result=program.evaluate(*held)[0],
            chance=evaluated[0][1] if recipe.pretrained_steps else program.chance(),
            metrics=metrics,
            facts=tuple(facts),
            layer_names=tuple(program.layers),
        )

    def change(self, name: str, value: Any) -> None:
        """A field of the recipe changes mid-run; ``kill`` shifts the biases of hidden layers instead."""
        if name == "kill":
            for layer, held in list(self.program.layers.items())[:-1]:
                if len(held) > 1 and layer != "head":
                    held[1].value += value
        else:
            self.now = self.program.recipe = replace(self.now, **{name: value})

    def batches(self, step: int) -> Iterator[tuple[float, dict[str, float]]]:
        """Forward and backward of each batch of the step."""
        now, program = self.now, self.program
        for _ in range(now.accumulates):
            x, y = self.feed.next(now, step)
            loss, outputs = program.loss_of(x, y)
            measured = program.metrics(outputs, y)
            backward(loss, self.sign / now.accumulates)
            yield float(loss.value), measured

    def step(self, step: int) -> tuple[float, dict[str, float], list[float]]:
        """One step of the optimiser: loss, metrics, and the layers' gradient norms before clipping."""
        now, program = self.now, self.program
        if now.zeroes_gradients:
            program.gradient[:] = 0
        done = list(self.batches(step))
        gradient = program.gradient
        if now.precision == "fp16":
            halved = (gradient * np.float32(self.scale)).astype(np.float16).astype(np.float32)
            gradient = halved / np.float32(self.scale)
        sizes = [math.sqrt(float(np.dot(gradient[a:b], gradient[a:b]))) for a, b in program.slices]
        norm = math.sqrt(sum(n * n for n in sizes))
        finite = math.isfinite(norm)
        if now.steps_optimizer and (finite or not self.dynamic):
            self.optimizer.step(now, gradient, norm, rate(now, step))
        if now.precision == "fp16":
            self.rescale(step, finite)
        return sum(loss for loss, _ in done) / len(done), done[-1][1], sizes

    def rescale(self, step: int, finite: bool) -> None:
        """A dynamic scaler halves after an overflow and doubles after a while; a fixed one may grow unchecked."""
        if self.dynamic:
            self.good = self.good + 1 if finite else 0
            if not finite:
                self.scale /= 2
            elif self.good % SCALER_GROWS_EVERY == SCALER_GROWS_EVERY - 1:
                self.scale *= 2
        elif step % 50 == 49:
            self.scale *= self.recipe.loss_scale_growth
