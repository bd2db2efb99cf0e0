"""Runs that pause before they fall, and runs whose floor lies near that of a model that knows nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.develop_half.tables import columns
from benchmarks.detection.develop_half.tuned import drawn_labels
from benchmarks.detection.programs.autodiff import Tensor, average, reshape, rows, tensor
from benchmarks.detection.programs.criteria import softmax_of
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class Staircase(Program):
    """A deep narrow network from a small start: it learns one direction after the other, with a pause before each."""

    base = Recipe(
        task="staircase",
        hidden=(10, 10),
        activation="tanh",
        initialization_gain=0.12,
        learning_rate=0.02,
        momentum=0.8,
        batch_size=64,
        steps=700,
        train_size=1500,
    )
    spread = drawn_from(learning_rate=(0.015, 0.025), initialization_gain=(0.12, 0.18), batch_size=(64, 128))
    cannot = frozenset(
        {"missing_nonlinearity", "saturated_activations", "dead_activations", "wrong_loss_function", "saddle", "narrow"}
    )

    def make_data(self, generator: np.random.Generator) -> Data:
        n, width = 1700, 10
        left, _ = np.linalg.qr(generator.normal(0, 1, (width, width)))
        right, _ = np.linalg.qr(generator.normal(0, 1, (width, 6)))
        sizes = np.array([2.4, 1.6, 1.0, 0.5, 0.0, 0.0])
        x = generator.normal(0, 1, (n, width))
        y = x @ (left[:, :6] * sizes) @ right[:6].T
        y = y / y.std() + generator.normal(0, 0.2, y.shape)
        return split(x.astype(np.float32), y.astype(np.float32), 200)

    def build(self) -> None:
        self.dense_stack(10, self.data.y.shape[1])

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))


class Sums(Program):
    """The sum of two numbers modulo five: it sits at ln 5 until the embeddings have found the circle."""

    base = Recipe(
        task="sums",
        hidden=(32,),
        activation="tanh",
        optimizer="adam",
        learning_rate=0.006,
        batch_size=32,
        warmup_steps=30,
        schedule="cosine",
        steps=600,
        train_size=1200,
    )
    spread = drawn_from(learning_rate=(0.004, 0.007), hidden=((32,), (24, 24)), steps=(600, 900))
    cannot = frozenset({"inputs_not_scaled", "narrow"})
    numbers, modulus = 10, 5

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 1400
        x = generator.integers(0, self.numbers, (n, 2))
        return split(x, x.sum(axis=1) % self.modulus, 200, classes=self.modulus)

    def build(self) -> None:
        self.parameter("embedding", (self.numbers, 12), 0.5 * self.recipe.initialization_gain)
        self.dense_stack(24, self.modulus)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(reshape(rows(self.layers["embedding"][0], x), (len(x), 24)))


class Clicks(Program):
    """Whether an advertisement is clicked, from the embeddings of six columns: a rare answer, mostly chance."""

    base = Recipe(
        task="clicks", hidden=(16,), optimizer="adam", learning_rate=0.004, batch_size=64, steps=500, train_size=5600
    )
    spread = drawn_from(learning_rate=(0.002, 0.004, 0.006), hidden=((16,), (12, 8)), batch_size=(32, 64, 128))
    loss_name = "binary_cross_entropy"
    cannot = frozenset({"inputs_not_scaled", "narrow"})
    fields, values = 6, 8

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 6000
        x = generator.integers(0, self.values, (n, self.fields)) + self.values * np.arange(self.fields)
        weights = generator.normal(0, 0.45, self.fields * self.values)
        pairs = generator.normal(0, 0.5, (self.fields * self.values, 3))
        crossed = (pairs[x].sum(axis=1) ** 2).sum(axis=1) - (pairs[x] ** 2).sum(axis=(1, 2))
        score = weights[x].sum(axis=1) + 0.3 * crossed
        share = generator.uniform(0.12, 0.3)
        score += np.log(share / (1 - share)) - np.median(score)
        y = (generator.random(n) < 1 / (1 + np.exp(-score))).astype(np.int64)
        return split(x, y, 400, classes=2)

    def build(self) -> None:
        self.parameter("embedding", (self.fields * self.values, 6), 0.3 * self.recipe.initialization_gain)
        self.dense_stack(6 * self.fields, 2)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(reshape(rows(self.layers["embedding"][0], x), (len(x), 6 * self.fields)))


class Outcomes(Program):
    """A value of which the columns explain a fifth to a half: most of the squared error is nobody's fault."""

    base = Recipe(
        task="outcomes", hidden=(16,), learning_rate=0.02, momentum=0.9, batch_size=32, steps=420, train_size=2600
    )
    spread = drawn_from(learning_rate=(0.004, 0.01), hidden=((16,), (12, 12)), batch_size=(16, 32, 64))
    cannot = frozenset({"wrong_loss_function"})
    cheap = True

    def make_data(self, generator: np.random.Generator) -> Data:
        x = columns(generator, 2900, 7)
        y = np.tanh(x @ generator.normal(0, 0.6, (7, 3))) @ generator.normal(0, 1, 3) + 0.4 * x[:, 0]
        explained = generator.uniform(0.2, 0.5)
        y = (y - y.mean()) / y.std() * explained**0.5 + generator.normal(0, (1 - explained) ** 0.5, len(y))
        return split(x.astype(np.float32), y[:, None].astype(np.float32), 300)

    def build(self) -> None:
        self.dense_stack(7, 1)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))


class Opinions(Program):
    """What people think of a text of ten words: they disagree, and the best answer is little better than none."""

    base = Recipe(
        task="opinions",
        hidden=(20,),
        optimizer="rmsprop",
        learning_rate=0.002,
        warmup_steps=50,
        schedule="cosine",
        batch_size=32,
        steps=550,
        train_size=4200,
    )
    spread = drawn_from(learning_rate=(0.001, 0.002, 0.004), hidden=((20,), (16, 16)), steps=(350, 550))
    cannot = frozenset({"inputs_not_scaled", "narrow"})
    words, length, classes = 40, 10, 5

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 4500
        x = generator.integers(0, self.words, (n, self.length))
        tone = generator.normal(0, generator.uniform(0.7, 1.1), (self.words, self.classes))
        y = drawn_labels(generator, softmax_of((tone[x].mean(axis=1) * self.length**0.5).astype(np.float32)))
        return split(x, y, 300, classes=self.classes)

    def build(self) -> None:
        self.parameter("embedding", (self.words, 10), self.recipe.initialization_gain)
        self.dense_stack(10, self.classes)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(average(rows(self.layers["embedding"][0], x), 1))
