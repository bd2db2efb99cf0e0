"""The batches of a recipe, in order, faults of the data included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.tasks import HELD_OUT, Array, Task

SAFE_INPUT = 2.0
"""What a guard against bad batches lets through, in units of the largest input of the clean data."""


class Batches:
    """The batches of a recipe, in order, faults of the data included."""

    def __init__(self, recipe: Recipe, data: Task) -> None:
        self.generator = np.random.default_rng([recipe.seed, 11])
        size = min(recipe.train_size, len(data.x) - HELD_OUT)
        self.x = prepared(recipe, data.x[:size])
        self.largest = float(np.abs(self.x).max())
        self.noise = np.random.default_rng([recipe.seed, 13])
        self.clean = data.y[:size] if data.classes else data.y[:size] * recipe.target_scale + recipe.target_offset
        self.y = self.clean.copy()
        self.label_noise = 0.0
        order = np.argsort(data.y[:size].reshape(size), kind="stable")
        self.sorted = order
        self.order = order
        self.at = size

    def labels(self, share: float) -> NDArray[np.generic]:
        """The labels with a share of them drawn anew."""
        if share != self.label_noise:
            self.label_noise = share
            chosen = self.noise.random(len(self.y)) < share
            self.y = self.clean.copy()
            self.y[chosen] = self.clean[self.noise.permutation(len(self.y))][chosen]
        return self.y

    def next(self, recipe: Recipe, step: int) -> tuple[Array, NDArray[np.generic]]:
        """The batch of a step: epochs without replacement, sorted by label where the recipe does not shuffle."""
        y = self.labels(recipe.label_noise)
        n, b = len(self.x), min(recipe.batch_size, len(self.x))
        if b == n:
            chosen = np.arange(n)
        else:
            if self.at + b > n:
                self.order = self.generator.permutation(n) if recipe.shuffle else self.sorted
                self.at = 0
            chosen = self.order[self.at : self.at + b]
            self.at += b
        x = self.x[chosen]
        if step < recipe.curriculum:
            x, y = x[: max(4, b // 2)], y[chosen][: max(4, b // 2)]
            return x * np.float32(0.1), y
        if step in recipe.bad_batches:
            bad = x * np.float32(recipe.bad_batch_size)
            if recipe.filters_batches and not np.all(np.abs(bad) < SAFE_INPUT * self.largest):
                return x, y[chosen]
            return bad, y[chosen]
        return x, y[chosen]


def prepared(recipe: Recipe, x: Array) -> Array:
    """The inputs as the network gets them."""
    if recipe.standardize:
        return x
    # every other column, so that scales differ between columns as they do in tables
    scale = np.where(np.arange(x.shape[1]) % 2 == 0, recipe.input_scale, 1 + (recipe.input_scale - 1) / 10)
    return (x * scale + recipe.input_offset * recipe.input_scale).astype(np.float32)
