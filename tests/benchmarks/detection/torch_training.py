"""Train a job in PyTorch and write down the same trace as the NumPy zoo does. CPU, one thread, seeded."""

from __future__ import annotations

import contextlib
import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.detection.torch_models import Job, build, data_of, loss_of
from benchmarks.detection.zoo.batches import Batches, prepared
from benchmarks.detection.zoo.optimizer import rate
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import EVALUATIONS, Trace

JUDGED_ON = 256
"""Samples an evaluation: half of what the NumPy half takes, for the time."""
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def tensors(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
    """A batch for PyTorch."""
    return torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))


def optimizer_of(job: Job, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser over what the job gives it."""
    held = {"all": model, "head": model.head, "another": copy.deepcopy(model)}[job.holds]
    parameters = [p for p in held.parameters() if p.requires_grad]
    recipe = job.recipe
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def pretrain(job: Job, model: nn.Module, batches: Batches) -> None:
    """Adam on clean batches before the log begins; the head is then drawn anew."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for step in range(job.recipe.pretrained_steps):
        x, y = tensors(*batches.next(job.recipe, step))
        optimizer.zero_grad()
        loss_of(job, model(x), y).backward()
        optimizer.step()
    if job.recipe.pretrained_steps:
        model.head.reset_parameters()


class Loop:
    """One job in training: model, optimiser, data, and what a step of it measures."""

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(job.recipe.seed)
        data = data_of(job)
        self.job, self.classes, self.chance = job, data.classes, data.chance()
        self.batches = Batches(job.recipe, data)
        self.held = tensors(prepared(job.recipe, data.x[-JUDGED_ON:]), data.y[-JUDGED_ON:])
        self.fixed = tensors(self.batches.x[:JUDGED_ON], self.batches.clean[:JUDGED_ON])
        self.model = build(job, data)
        pretrain(job, self.model, self.batches)
        if job.frozen:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(name.startswith("head"))
        self.optimizer = optimizer_of(job, self.model)
        scale = job.recipe.loss_scale or 2.0**20
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=150)
        self.layers: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                self.layers.setdefault(name.rpartition(".")[0] or name, []).append(parameter)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The training loss of a batch, in the job's precision."""
        half = HALF.get(self.job.recipe.precision)
        with torch.autocast("cpu", dtype=half) if half else contextlib.nullcontext():
            return loss_of(self.job, self.model(x), y)

    def evaluate(self, x: Tensor, y: Tensor) -> float:
        """The loss without dropout and with the running statistics."""
        self.model.eval()
        with torch.no_grad():
            value = float(self.loss(x, y))
        self.model.train()
        return value

    def norms(self) -> list[float]:
        """Gradient norm a layer, in the order of the layers; 0 where backward left none."""
        none = torch.zeros(())
        parts = [[none if p.grad is None else p.grad.norm() for p in held] for held in self.layers.values()]
        return torch.stack([torch.stack(of).norm() for of in parts]).tolist()

    def step(self, now: Recipe, step: int) -> tuple[float, list[float]]:
        """One step of the optimiser: the batch's loss, the layers' gradient norms before clipping."""
        scaled = now.precision == "fp16"
        if now.zeroes_gradients:
            self.model.zero_grad()
        losses = []
        for _ in range(self.job.accumulates):
            loss = self.loss(*tensors(*self.batches.next(now, step)))
            part = loss / self.job.accumulates
            (self.scaler.scale(part) if scaled else part).backward()
            losses.append(loss.item())
        if scaled:
            self.unscale(now)
        norms = self.norms()
        if now.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), now.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(now, step)
        if not now.steps_optimizer:
            return float(np.mean(losses)), norms
        if scaled and now.loss_scale == 0:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        return float(np.mean(losses)), norms

    def unscale(self, now: Recipe) -> None:
        """The scaler's own way; with a fixed scale a plain division, which looks for no infinity."""
        if now.loss_scale == 0:
            self.scaler.unscale_(self.optimizer)
            return
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad /= now.loss_scale


def train(job: Job) -> tuple[Trace, tuple[str, ...]]:
    """The trace and the names of its layers; nothing here stops early."""
    recipe = job.recipe
    loop = Loop(job)
    steps, now = recipe.steps, recipe
    losses, norms, rates = np.empty(steps), np.empty(steps), np.empty(steps)
    layers = np.empty((steps, len(loop.layers)))
    validation: dict[int, float] = {}
    evaluated: list[tuple[int, float]] = []
    every = max(1, steps // EVALUATIONS)
    changes = {step: (name, value) for step, name, value in recipe.changes}
    for step in range(steps):
        if step in changes:
            name, value = changes[step]
            now = replace(now, **{name: value})
        if step % every == 0:
            evaluated.append((step, loop.evaluate(*loop.fixed)))
        losses[step], layers[step] = loop.step(now, step)
        norms[step] = math.sqrt(sum(n * n for n in layers[step]))
        rates[step] = rate(now, step)
        if recipe.validates_every and step % recipe.validates_every == recipe.validates_every - 1:
            validation[step] = loop.evaluate(*loop.held)
    evaluated.append((steps - 1, loop.evaluate(*loop.fixed)))
    trace = Trace(
        recipe=recipe,
        loss=losses,
        grad_norm=norms,
        learning_rate=rates,
        layers=layers,
        validation=validation,
        evaluated_at=np.array([at for at, _ in evaluated]),
        evaluated=np.array([value for _, value in evaluated]),
        result=loop.evaluate(*loop.held),
        chance=loop.chance,
    )
    return trace, tuple(loop.layers)
