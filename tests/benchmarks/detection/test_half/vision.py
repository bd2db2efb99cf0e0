"""Pictures through a mixer of patches, and pairs and triplets of views that are told apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs import criteria
from benchmarks.detection.programs.autodiff import (
    Tensor,
    average,
    forget,
    matmul,
    mean,
    part,
    relu,
    square,
    tensor,
    total,
    transpose,
)
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class Textures(Program):
    """Five textures of nine patches: patches are mixed, then their pixels."""

    base = Recipe(
        task="textures", hidden=(14, 18), learning_rate=0.03, momentum=0.9, nesterov=True, batch_size=20, steps=450,
        train_size=1400,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.08, 0.15), hidden=((14, 18), (18, 18)), batch_size=(20, 40))

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 1600
        y = generator.integers(0, 5, n)
        i, j = np.meshgrid(np.arange(6), np.arange(6))
        turn = generator.uniform(0, np.pi, 5)[y][:, None, None] + generator.normal(0, 0.15, (n, 1, 1))
        speed = np.array([0.9, 1.3, 1.8, 1.3, 0.9])[y][:, None, None]
        shift = generator.uniform(0, 2 * np.pi, (n, 1, 1))
        pictures = np.cos(speed * (np.cos(turn) * i + np.sin(turn) * j) + shift) + generator.normal(0, 0.6, (n, 6, 6))
        patches = pictures.reshape(n, 3, 2, 3, 2).transpose(0, 1, 3, 2, 4).reshape(n, 9, 4)
        return split(patches.astype(np.float32), y, 200, classes=5)

    def build(self) -> None:
        across, within = self.recipe.hidden[0], self.recipe.hidden[-1]
        self.dense("patches", 9, across)
        self.dense("pixels", 4, within)
        width = within
        for i, units in enumerate(self.recipe.hidden[2:]):
            self.dense(f"hidden{i}", width, units)
            width = units
        self.dense("head", width, 5, hidden=False)

    def forward(self, x: NDArray[Any]) -> Tensor:
        h = self.activate(self.apply("patches", transpose(tensor(x))))
        h = self.activate(self.apply("pixels", transpose(h)))
        return self.run_stack(average(h, 1))


class Views(Program):
    """Two noisy views of each sample: every view must find its other half in the batch (InfoNCE)."""

    base = Recipe(
        task="views", hidden=(24,), optimizer="rmsprop", learning_rate=0.003, batch_size=24, steps=350, train_size=1200
    )
    spread = drawn_from(learning_rate=(0.002, 0.004), hidden=((24,), (32,)), batch_size=(24, 32))
    loss_name = "info_nce"
    cannot = frozenset(
        {
            "labels_uninformative",
            "wrong_loss_function",
            "data_not_shuffled",
            "batch_too_small",
            "label-noise",
            "harder-data",
            "full-batch",
            "grown-batch",
            "noisy",
            "accumulating",
            "insufficient_capacity",
            "narrow",
        }
    )
    sharpness = 4.0

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 1400
        inner = generator.normal(0, 1, (n, 5))
        lift = generator.normal(0, 1, (5, 10))
        views = [np.tanh(inner @ lift) + generator.normal(0, 0.5, (n, 10)) for _ in range(2)]
        x = np.stack(views, axis=1).astype(np.float32)
        return split(x, np.zeros(n, np.float32)[:, None], 200, chance=math.log(self.recipe.batch_size))

    def build(self) -> None:
        self.dense_stack(10, 6)

    def forward(self, x: NDArray[Any]) -> Tensor:
        left, right = (self.run_stack(tensor(x[:, side])) for side in (0, 1))
        return matmul(left, transpose(right)) * (self.sharpness / 6)

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return criteria.cross_entropy(outputs, np.arange(len(y)))

    def evaluate(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[float, dict[str, float]]:
        """In batches of the training's size, on which the loss depends."""
        self.training, size = False, min(self.recipe.batch_size, len(x))
        losses = []
        for at in range(0, len(x) - size + 1, size):
            losses.append(float(self.loss_of(x[at : at + size], y[at : at + size])[0].value))
            forget()
        self.training = True
        return sum(losses) / len(losses), {}


class Triplets(Program):
    """An anchor must be nearer to a sample of its kind than to another by a margin: the loss rests at 0."""

    base = Recipe(
        task="triplets", hidden=(20,), learning_rate=0.03, momentum=0.85, nesterov=True, batch_size=24, steps=300,
        train_size=1200,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.02, 0.04), hidden=((20,), (16, 16)), batch_size=(16, 32))
    loss_name = "triplet"
    cheap = True
    cannot = frozenset(
        {
            "labels_uninformative",
            "wrong_loss_function",
            "data_not_shuffled",
            "label-noise",
            "harder-data",
            "insufficient_capacity",
            "narrow",
        }
    )

    def make_data(self, generator: np.random.Generator) -> Data:
        n, kinds = 1400, 6
        centres = generator.normal(0, 1, (kinds, 4))
        lift = generator.normal(0, 1, (4, 9))
        kind = generator.integers(0, kinds, n)
        other = (kind + generator.integers(1, kinds, n)) % kinds
        inner = np.stack([centres[of] + generator.normal(0, 0.35, (n, 4)) for of in (kind, kind, other)], axis=1)
        x = np.sin(inner @ lift) + generator.normal(0, 0.1, (n, 3, 9))
        return split(x.astype(np.float32), np.zeros((n, 1), np.float32), 200, chance=1.0)

    def build(self) -> None:
        self.dense_stack(9, 4)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        anchor, same, other = (part(outputs, (slice(None), i)) for i in range(3))
        gap = total(square(anchor - same)) - total(square(anchor - other))
        return mean(relu(gap + 1.0))
