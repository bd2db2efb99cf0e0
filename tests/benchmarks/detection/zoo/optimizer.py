"""The optimisers of the zoo and their learning-rate schedules."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.tasks import Array


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step under warm-up and schedule."""
    top, total = recipe.learning_rate, recipe.steps
    if step < recipe.warmup_steps:
        return top * (step + 1) / recipe.warmup_steps
    share = (step - recipe.warmup_steps) / max(1, total - recipe.warmup_steps)
    if recipe.schedule == "cosine":
        return top * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
    if recipe.schedule == "linear":
        return top * max(0.001, 1 - share)
    if recipe.schedule == "step":
        return float(top * 0.1 ** (int(share > 0.5) + int(share > 0.8)))
    if recipe.schedule == "restarts":
        return top * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (4 * share % 1))))
    if recipe.schedule == "exponential":
        return float(top * math.exp(-4 * share))
    if recipe.schedule == "inverse_root":
        return top / math.sqrt(1 + 15 * share)
    if recipe.schedule == "one_cycle":
        rising = 0.3
        return top * (0.1 + 0.9 * (share / rising if share < rising else max(0.0, 1 - (share - rising) / (1 - rising))))
    if recipe.schedule == "sawtooth":
        return top * (1 - 0.95 * (5 * share % 1))
    if recipe.schedule == "triangular":
        return top * (0.05 + 0.95 * (1 - abs(2 * (6 * share % 1) - 1)))
    return top


class Parametrized(Protocol):
    """What has one flat vector of parameters, in slices a layer."""

    parameters: Array
    slices: list[tuple[int, int]]


ADAPTIVE = ("adam", "rmsprop", "adagrad", "lion")
"""Optimisers whose step does not grow with the gradient."""


class Optimizer:
    """SGD with momentum (PyTorch's), Nesterov's, Adam and AdamW, RMSprop, Adagrad, Lion.

    Weight decay is added to the gradient; for Adam and Lion it is decoupled.
    """

    def __init__(self, net: Parametrized) -> None:
        self.net = net
        self.velocity = np.zeros_like(net.parameters)
        self.square = np.zeros_like(net.parameters)
        self.count = 0

    def step(self, recipe: Recipe, gradient: Array, norm: float, learning_rate: float) -> None:
        """One update; ``gradient`` is left as it is."""
        parameters = self.net.parameters
        if recipe.clip is not None and norm > recipe.clip:
            gradient = gradient * np.float32(recipe.clip / norm)
        self.count += 1
        update = self.update(recipe, gradient)
        if recipe.frozen:
            a, b = self.net.slices[-1]
            parameters[a:b] -= np.float32(learning_rate) * update[a:b]
        else:
            parameters -= np.float32(learning_rate) * update

    def update(self, recipe: Recipe, gradient: Array) -> Array:
        """What is subtracted, times the learning rate."""
        decay = np.float32(recipe.weight_decay)
        if recipe.optimizer == "adam":
            b1, b2 = np.float32(recipe.momentum or 0.9), np.float32(0.999)
            self.velocity += (1 - b1) * (gradient - self.velocity)
            self.square += (1 - b2) * (gradient * gradient - self.square)
            mean = self.velocity / np.float32(1 - float(b1) ** self.count)
            spread = np.sqrt(self.square / np.float32(1 - float(b2) ** self.count)) + np.float32(1e-8)
            update = mean / spread
            return update + decay * self.net.parameters if recipe.weight_decay else update
        if recipe.optimizer == "lion":
            update = np.sign(np.float32(0.9) * self.velocity + np.float32(0.1) * gradient)
            self.velocity += np.float32(0.01) * (gradient - self.velocity)
            return update + decay * self.net.parameters if recipe.weight_decay else update
        update = gradient + decay * self.net.parameters if recipe.weight_decay else gradient
        if recipe.optimizer == "rmsprop":
            self.square += np.float32(0.01) * (update * update - self.square)
            return update / (np.sqrt(self.square) + np.float32(1e-8))
        if recipe.optimizer == "adagrad":
            self.square += update * update
            return update / (np.sqrt(self.square) + np.float32(1e-10))
        if recipe.momentum:
            self.velocity *= np.float32(recipe.momentum)
            self.velocity += update
            return update + np.float32(recipe.momentum) * self.velocity if recipe.nesterov else self.velocity
        return update
