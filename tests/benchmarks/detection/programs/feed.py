"""The batches of a program in order, the faults of its data included."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.program import Data
from benchmarks.detection.zoo.recipe import Recipe

EASY = 8
"""A curriculum begins with one sample in so many."""


def scaled(recipe: Recipe, x: NDArray[Any]) -> NDArray[Any]:
    """Inputs as the model gets them: every other column is out of scale, as columns of tables are."""
    if x.dtype.kind != "f" or recipe.standardize or (recipe.input_scale == 1 and recipe.input_offset == 0):
        return x
    even = np.arange(x.shape[-1]) % 2 == 0
    scale = np.where(even, recipe.input_scale, 1 + (recipe.input_scale - 1) / 10)
    return (x * scale + recipe.input_offset * recipe.input_scale).astype(np.float32)


def broken(values: NDArray[Any], chosen: NDArray[np.int64], by: float) -> NDArray[Any]:
    """One number of each chosen sample is not finite."""
    values = values.copy()
    values.reshape(len(values), -1)[chosen, 0] = by
    return values


class Feed:
    """Epochs without replacement; sorted by the target where the recipe does not shuffle."""

    def __init__(self, recipe: Recipe, data: Data) -> None:
        self.generator = np.random.default_rng([recipe.seed, 11])
        self.mixing = np.random.default_rng([recipe.seed, 13])
        size = min(recipe.train_size, len(data.x))
        self.clean_x, self.clean_y = scaled(recipe, data.x[:size]), data.y[:size]
        self.held_x, self.held_y = scaled(recipe, data.held_x), data.held_y
        self.x, self.y = self.clean_x, self.clean_y
        self.break_samples(recipe, size)
        self.label_noise = 0.0
        key = data.y[:size].reshape(size, -1)[:, 0]
        if len(np.unique(key)) < 2 and data.x.dtype.kind == "f":
            key = data.x[:size].reshape(size, -1)[:, 0]
        self.sorted = np.argsort(key, kind="stable")
        self.order = self.sorted
        self.at = size

    def break_samples(self, recipe: Recipe, size: int) -> None:
        """Put NaN or infinity where the recipe wants them."""
        if not recipe.broken_samples:
            return
        chosen = np.random.default_rng([recipe.seed, 19]).permutation(size)[: recipe.broken_samples]
        if recipe.broken_by == "nan validation":
            self.held_x = broken(self.held_x, np.arange(1), np.nan)
        elif recipe.broken_by == "nan targets":
            self.y = broken(self.y, chosen, np.nan)
        else:
            self.x = broken(self.x, chosen, np.nan if recipe.broken_by == "nan inputs" else np.inf)

    def labels(self, share: float) -> NDArray[Any]:
        """The targets with a share of them drawn anew."""
        if share != self.label_noise:
            self.label_noise = share
            chosen = self.mixing.random(len(self.y)) < share
            self.y = self.clean_y.copy()
            self.y[chosen] = self.clean_y[self.mixing.permutation(len(self.y))][chosen]
        return self.y

    def next(self, recipe: Recipe, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The batch of a step."""
        y = self.labels(recipe.label_noise)
        n = len(self.x) // EASY if step < recipe.curriculum else len(self.x)
        size = min(recipe.batch_size, n)
        if size == len(self.x):
            chosen = self.sorted
        else:
            if self.at + size > len(self.order) or len(self.order) != n:
                self.order = self.generator.permutation(n) if recipe.shuffle else self.sorted[self.sorted < n]
                self.at = 0
            chosen = self.order[self.at : self.at + size]
            self.at += size
        x, y = self.x[chosen], y[chosen]
        if step in recipe.bad_batches:
            return self.spoilt(recipe, x, y)
        return x, y

    def spoilt(self, recipe: Recipe, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """A corrupt batch: inputs out of scale; for tokens and indices, targets of other samples."""
        if x.dtype.kind == "f":
            return x * np.float32(recipe.bad_batch_size), y
        return x, np.roll(y, 1 + len(y) // 3, axis=0)
