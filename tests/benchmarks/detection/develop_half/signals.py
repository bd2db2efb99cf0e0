"""Convolution over time, and a recurrent memory: sequences of numbers and of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.autodiff import Tensor, affine, average, convolution, matmul, reshape, rows, tensor
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class Signals(Program):
    """Four wave forms in noise, told apart by two convolutions over time and an average."""

    base = Recipe(
        task="signals", hidden=(8, 12), learning_rate=0.05, momentum=0.9, batch_size=24, steps=320, train_size=1500
    )
    spread = drawn_from(learning_rate=(0.03, 0.05, 0.08), hidden=((8, 12), (6, 16)), batch_size=(16, 24, 32))

    def make_data(self, generator: np.random.Generator) -> Data:
        n, t = 1700, np.arange(20)
        y = generator.integers(0, 4, n)
        phase = generator.uniform(0, 2 * np.pi, (n, 1))
        speed = np.array([0.35, 0.35, 0.8, 0.8])[y][:, None] * generator.uniform(0.85, 1.15, (n, 1))
        wave = np.sin(speed * t + phase)
        wave = np.where((y % 2)[:, None] == 1, np.sign(wave) * np.abs(wave) ** 0.3, wave)
        x = np.stack([wave, np.roll(wave, 3, axis=1) ** 2], axis=2) + generator.normal(0, 0.55, (n, 20, 2))
        return split(x.astype(np.float32), y, 200, classes=4)

    def build(self) -> None:
        first, second = (*self.recipe.hidden, self.recipe.hidden[-1])[:2]
        for i, (a, b) in enumerate(((2, first), (first, second))):
            gain = self.recipe.initialization_gain * (2 / (5 * a)) ** 0.5
            self.parameter(f"conv{i}", (5, a, b), gain)
            self.parameter(f"conv{i}", (b,), 0.0, self.recipe.bias)
        for i, width in enumerate(self.recipe.hidden[2:]):
            self.dense(f"hidden{i}", second if i == 0 else self.recipe.hidden[i + 1], width)
        self.dense("head", self.recipe.hidden[-1], 4, hidden=False)

    def forward(self, x: NDArray[Any]) -> Tensor:
        h = tensor(x)
        for i in range(2):
            h = self.activate(convolution(h, *self.layers[f"conv{i}"]))
        return self.run_stack(average(h, 1))


class Memory(Program):
    """A recurrent network that must name the token it saw first, nine steps ago: it sits before it falls."""

    base = Recipe(
        task="memory",
        hidden=(16,),
        activation="tanh",
        optimizer="adam",
        learning_rate=0.006,
        clip=1.0,
        batch_size=24,
        steps=420,
        train_size=1200,
    )
    spread = drawn_from(learning_rate=(0.005, 0.008), hidden=((16,), (24,)), batch_size=(24, 32))
    cannot = frozenset({"inputs_not_scaled"})

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.integers(0, 4, (1400, 8))
        return split(x, x[:, 0].copy(), 200, classes=4)

    def build(self) -> None:
        width, gain = self.recipe.hidden[-1], self.recipe.initialization_gain
        self.parameter("embedding", (4, width), 0.5 * gain)
        self.parameter("recurrent", (width, width), 0.95 * gain / width**0.5)
        self.parameter("recurrent", (width,), 0.0, self.recipe.bias)
        for i, _ in enumerate(self.recipe.hidden[1:]):
            self.dense(f"hidden{i}", width, width)
        self.dense("head", width, 4, hidden=False)

    def forward(self, x: NDArray[Any]) -> Tensor:
        (table,), (w, b) = self.layers["embedding"], self.layers["recurrent"]
        h = self.activate(rows(table, x[:, 0]))
        for t in range(1, x.shape[1]):
            h = self.activate(affine(h, w, b) + rows(table, x[:, t]))
        return self.run_stack(h)


class Ratings(Program):
    """Matrix factorisation of ratings with noise: bilinear, so it begins at a saddle."""

    base = Recipe(
        task="ratings", hidden=(4,), learning_rate=0.6, momentum=0.8, batch_size=64, steps=700, train_size=2600
    )
    spread = drawn_from(learning_rate=(0.4, 0.6, 0.8), hidden=((4,), (6,)), batch_size=(48, 96))
    cannot = frozenset(
        {"inputs_not_scaled", "missing_nonlinearity", "dead_activations", "saturated_activations", "dropout"}
    )

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 2900
        x = np.stack([generator.integers(0, 40, n), generator.integers(0, 30, n)], axis=1)
        users, items = generator.normal(0, 1, (40, 3)), generator.normal(0, 1, (30, 3))
        y = (users[x[:, 0]] * items[x[:, 1]]).sum(axis=1) / 3**0.5 + generator.normal(0, 0.4, n)
        return split(x, (y - y.mean())[:, None].astype(np.float32), 300)

    def build(self) -> None:
        rank, gain = self.recipe.hidden[0], self.recipe.initialization_gain
        self.parameter("users", (40, rank), 0.15 * gain)
        self.parameter("items", (30, rank), 0.15 * gain)

    def forward(self, x: NDArray[Any]) -> Tensor:
        (users,), (items,) = self.layers["users"], self.layers["items"]
        n, rank = len(x), users.value.shape[1]
        left = reshape(rows(users, x[:, 0]), (n, 1, rank))
        right = reshape(rows(items, x[:, 1]), (n, rank, 1))
        return reshape(matmul(left, right), (n, 1))
