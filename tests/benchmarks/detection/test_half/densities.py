"""Likelihoods, quantiles, noise, soft targets, a graph and a differential equation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.autodiff import (
    Tensor,
    absolute,
    exp,
    log,
    log_softmax,
    matmul,
    mean,
    multiply,
    part,
    rows,
    square,
    tanh,
    tensor,
    total,
)
from benchmarks.detection.programs.criteria import softmax_of
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class OfNumbers(Program):
    """A stack of dense layers on a table of numbers."""

    inputs, outputs = 7, 1

    def build(self) -> None:
        self.dense_stack(self.inputs, self.outputs)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))


class Quantiles(OfNumbers):
    """The ninth decile under noise with tails so heavy that it has no variance: the pinball loss."""

    base = Recipe(
        task="quantiles", hidden=(20,), optimizer="rmsprop", learning_rate=0.003, batch_size=40, steps=420,
        train_size=1600,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.002, 0.004), hidden=((20,), (28,)), batch_size=(40, 80))
    loss_name = "pinball"
    cannot = frozenset({"wrong_loss_function"})
    floor_unknown = True
    cheap = True
    level = 0.9

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.normal(0, 1, (1800, 7))
        y = 2.5 * np.sin(x[:, 0]) + 1.5 * x[:, 1] * x[:, 2] + 0.3 * generator.standard_t(1.7, 1800)
        cut = np.quantile(y, self.level)
        chance = float(np.mean(np.maximum(self.level * (y - cut), (self.level - 1) * (y - cut))))
        return split(x.astype(np.float32), y[:, None].astype(np.float32), 200, chance=chance)

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        error = tensor(y) - outputs
        return mean(absolute(error) * 0.5 + error * (self.level - 0.5))


class Lifetimes(OfNumbers):
    """Exponential lifetimes, their mean behind a log link: below a mean of 1 the loss is negative."""

    base = Recipe(
        task="lifetimes", hidden=(18,), activation="tanh", optimizer="adam", momentum=0.8, learning_rate=0.005,
        steps=380, train_size=1600,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.003, 0.008), hidden=((18,), (12, 12)), batch_size=(32, 64))
    loss_name = "exponential_nll"
    cannot = frozenset({"wrong_loss_function"})
    floor_unknown = True

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.normal(0, 1, (1800, 7))
        scale = np.exp(-1.2 + np.tanh(x[:, 0] + x[:, 1]) + 0.8 * np.sin(1.5 * x[:, 2]))
        y = generator.exponential(scale)
        chance = float(np.log(y.mean()) + 1)
        return split(x.astype(np.float32), y[:, None].astype(np.float32), 200, chance=chance)

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return mean(outputs + multiply(tensor(y), exp(outputs * -1.0)))


class Mixture(OfNumbers):
    """A mixture of three normals whose weights, means and spreads depend on the input: a loss that turns negative."""

    base = Recipe(
        task="mixture", hidden=(24,), activation="tanh", optimizer="lion", learning_rate=0.0015, clip=5.0, steps=450,
        batch_size=40, train_size=1600,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.001, 0.002), hidden=((24,), (32,)), batch_size=(32, 64))
    loss_name = "mixture_nll"
    cannot = frozenset({"wrong_loss_function"})
    floor_unknown = True
    inputs, outputs, kinds = 1, 9, 3

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.uniform(-2, 2, 1800)
        branch = np.where(generator.random(1800) < 0.5, 1.0, -1.0)
        y = branch * np.sin(1.5 * x) * 0.8 + generator.normal(0, 0.05, 1800)
        chance = float(0.5 * np.log(2 * np.pi * np.e * y.var()))
        return split(x[:, None].astype(np.float32), y[:, None].astype(np.float32), 200, chance=chance)

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        weights, centres, spreads = (part(outputs, (slice(None), slice(i, i + 3))) for i in (0, 3, 6))
        spreads = tanh(spreads * 0.4) * 3.0
        scaled = multiply(tensor(y) - centres, exp(spreads * -1.0))
        each = log_softmax(weights) - spreads - square(scaled) * 0.5 - 0.5 * float(np.log(2 * np.pi))
        top = float(np.nanmax(each.value)) if np.isfinite(each.value).any() else 0.0
        return mean(log(total(exp(each - top)) + 1e-30) + top) * -1.0


class Denoising(OfNumbers):
    """The noise in a noisy sample, at a random strength: most of the loss is a floor that nothing gets below."""

    base = Recipe(
        task="denoising", hidden=(32, 32), activation="relu", optimizer="adam", momentum=0.8, learning_rate=0.004,
        schedule="exponential", batch_size=48, steps=450, train_size=2500,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.003, 0.006), hidden=((32, 32), (40,)), batch_size=(32, 64))
    floor_unknown = True
    inputs, outputs = 4, 2

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 2800
        angle = 2 * np.pi * generator.integers(0, 8, n) / 8
        clean = 1.4 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + generator.normal(0, 0.05, (n, 2))
        strength = generator.uniform(0.05, 0.95, (n, 1))
        noise = generator.normal(0, 1, (n, 2))
        mixed = np.sqrt(1 - strength**2) * clean + strength * noise
        x = np.concatenate([mixed, 2 * strength - 1, np.cos(4 * strength)], axis=1)
        return split(x.astype(np.float32), noise.astype(np.float32), 300)


class Distilled(OfNumbers):
    """The soft answers of a teacher: the loss cannot fall below their entropy."""

    base = Recipe(
        task="distilled", hidden=(24,), learning_rate=0.06, momentum=0.9, nesterov=True, batch_size=32, steps=360,
        train_size=1500,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.04, 0.08), hidden=((24,), (20, 20)), batch_size=(24, 48))
    loss_name = "soft_cross_entropy"
    cannot = frozenset({"wrong_loss_function"})
    inputs, outputs = 7, 6

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.normal(0, 1, (1700, 7))
        z = np.tanh(x @ generator.normal(0, 0.6, (7, 12))) @ generator.normal(0, 1.0, (12, 6))
        y = softmax_of(z.astype(np.float32))
        m = y.mean(axis=0)
        return split(x.astype(np.float32), y, 200, chance=float(-np.sum(m * np.log(m))))

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return mean(total(multiply(tensor(y), log_softmax(outputs)))) * -1.0


class Graph(Program):
    """Nodes of a graph, labelled by their neighbourhood; two rounds of messages over the whole graph."""

    base = Recipe(
        task="graph", hidden=(12,), optimizer="adam", learning_rate=0.01, weight_decay=0.02, batch_size=40, steps=200,
        train_size=240,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.006, 0.012), hidden=((12,), (16,)), batch_size=(40, 80))
    cannot = frozenset({"inputs_not_scaled", "batch_too_small", "noisy", "full-batch", "narrow", "data_not_shuffled"})
    nodes = 340

    def make_data(self, generator: np.random.Generator) -> Data:
        kind = generator.integers(0, 4, self.nodes)
        same = kind[:, None] == kind[None, :]
        edges = np.triu(generator.random((self.nodes, self.nodes)) < np.where(same, 0.04, 0.006), 1)
        joint = (edges | edges.T | np.eye(self.nodes, dtype=bool)).astype(float)
        self.spreading = (joint / joint.sum(axis=1, keepdims=True)).astype(np.float32)
        marks = generator.normal(0, 1, (4, 10))[kind] + generator.normal(0, 1.6, (self.nodes, 10))
        self.marks = marks.astype(np.float32)
        return split(np.arange(self.nodes), kind, 100, classes=4)

    def build(self) -> None:
        self.dense_stack(10, 4)

    def forward(self, x: NDArray[Any]) -> Tensor:
        spreading, h = tensor(self.spreading), tensor(self.spreading @ self.marks)
        for name in self.layers:
            if name.startswith("hidden"):
                h = self.activate(self.apply(name, h))
        return rows(self.apply("head", matmul(spreading, h)), x)


class Physics(Program):
    """A network that solves u' = -2 u + sin 3x with u(0) = 1: a residual and a boundary term, summed."""

    base = Recipe(
        task="physics", hidden=(16, 16), activation="tanh", optimizer="adam", learning_rate=0.006, batch_size=48,
        steps=700, train_size=400,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.004, 0.008), hidden=((16, 16), (24,)), steps=(500, 700))
    loss_name = "pde_residual"
    floor_unknown = True
    cannot = frozenset(
        {
            "wrong_loss_function",
            "labels_uninformative",
            "label-noise",
            "harder-data",
            "dropout",
            "data_not_shuffled",
            "overfit_small_data",
            "missing_nonlinearity",
            "dead_activations",
            "inputs_not_scaled",
            "saturated_activations",
            "narrow",
            "curriculum",
        }
    )
    boundary = 10.0

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.uniform(0, 3, (500, 1))
        answers = np.linspace(-1, 1, 81)
        losses = [np.mean((2 * u - np.sin(3 * x)) ** 2) + self.boundary * (u - 1) ** 2 for u in answers]
        y = np.sin(3 * x).astype(np.float32)
        return split(x.astype(np.float32), y, 100, chance=float(min(losses)))

    def build(self) -> None:
        self.dense_stack(1, 1)

    def forward(self, x: NDArray[Any]) -> Tensor:
        self.start = self.solution(np.zeros((1, 1), np.float32))[0]
        value, slope = self.solution(x)
        return slope + value * 2.0

    def solution(self, x: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """u and u' for each x: the slope runs through the layers beside the value."""
        h, slope = tensor(x), tensor(np.ones_like(x))
        for name, (w, _) in self.layers.items():
            h, slope = self.apply(name, h), matmul(slope, w)
            if name != "head":
                h = self.activate(h)
                slope = multiply(1.0 - square(h), slope)
        return h, slope

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return mean(square(outputs - tensor(y))) + mean(square(self.start - 1.0)) * self.boundary
