"""What a program is, and running it as its author would: with two added lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

import losswatch
from benchmarks.programs.tasks import Data

Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training: every field is what a program says somewhere."""

    data: Callable[[], Data]
    model: Callable[[], Any]
    loss: Loss = nn.functional.cross_entropy
    optimizer: Callable[[Any], Any] = field(default=lambda p: torch.optim.Adam(p, lr=2e-3))
    batch_size: int = 64
    shuffle: bool = True
    epochs: int = 16
    clip: float | None = None
    zero_grad: bool = True
    steps: bool = True
    other_model: bool = False
    """Whether the optimiser is made with the parameters of another model."""
    validates: bool = False


@dataclass(frozen=True, kw_only=True)
class Program:
    """A plan with one thing wrong, the plan as it should be, and the cause that is true of the first."""

    name: str
    cause: str
    faulty: Plan
    repaired: Plan
    also: tuple[str, ...] = ()
    """Causes that are as true: a wrong output activation is a wrong loss for it."""


def run(plan: Plan, name: str, url: str, *, seed: int = 0) -> losswatch.Run:
    """Trains it and returns its finished run, with the report of all its points."""
    torch.manual_seed(seed)
    x, y = plan.data()
    held_out = len(x) // 5
    trained = torch.utils.data.TensorDataset(x[held_out:], y[held_out:])
    loader = torch.utils.data.DataLoader(trained, batch_size=plan.batch_size, shuffle=plan.shuffle)
    model = plan.model()
    optimizer = plan.optimizer((plan.model() if plan.other_model else model).parameters())
    own = losswatch.Run(name, url=url, quiet=True)
    watch = losswatch.torch.watch(model, optimizer, run=own, loader=loader)  # the first added line
    for _ in range(plan.epochs):
        for inputs, targets in loader:
            loss = plan.loss(model(inputs), targets)
            if plan.zero_grad:
                optimizer.zero_grad()
            loss.backward()
            if plan.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
            if plan.steps:
                optimizer.step()
            watch.log(loss=loss)  # the second
        if plan.validates:
            with torch.no_grad():
                watch.log(validation_loss=plan.loss(model(x[:held_out]), y[:held_out]))
    watch.remove()
    own.flush(60)
    own.finish()
    return own
