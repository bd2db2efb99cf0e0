"""Fine-tuning of several kinds: each starts well below a model that knows nothing, or at it, and gains little."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.autodiff import Array, Tensor, matmul, mean, part, relu, rows, softplus, tensor
from benchmarks.detection.programs.criteria import cross_entropy, softmax_of
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe

Floats = NDArray[np.float32]
NO_LAYERS = frozenset(
    {
        "missing_nonlinearity",
        "insufficient_capacity",
        "poor_initialization",
        "saturated_activations",
        "dead_activations",
        "no_warmup",
        "wrong_loss_function",
        "saddle",
        "narrow",
        "dropout",
        "rises-first",
    }
)
"""What a program cannot have whose hidden layers are not trained."""


def drawn_labels(generator: np.random.Generator, p: Floats) -> NDArray[np.int64]:
    """A label for each row of probabilities, shape (n, classes)."""
    labels: NDArray[np.int64] = (generator.random((len(p), 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    return np.minimum(labels, p.shape[1] - 1)


def surprise(p: Floats, y: NDArray[np.int64]) -> float:
    """The mean negative log-likelihood of the labels."""
    return float(-np.mean(np.log(p[np.arange(len(y)), y])))


class Adapters(Program):
    """Two frozen matrices under ReLU, a low-rank update on each: a small part of the level is to be gained."""

    base = Recipe(
        task="adapters",
        hidden=(4,),
        optimizer="adam",
        learning_rate=0.008,
        weight_decay=0.01,
        warmup_steps=20,
        schedule="cosine",
        batch_size=16,
        steps=420,
        train_size=2400,
    )
    spread = drawn_from(
        learning_rate=(0.002, 0.005, 0.01), hidden=((2,), (4,)), batch_size=(8, 16, 32), steps=(240, 420, 640)
    )
    cannot = NO_LAYERS
    inputs, width, classes = 12, 24, 11

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 2700
        x = generator.normal(0, 1, (n, self.inputs)).astype(np.float32)
        self.first = (generator.normal(0, 1.3, (self.inputs, self.width)) / self.inputs**0.5).astype(np.float32)
        self.second = (generator.normal(0, 1.3, (self.width, self.width)) / self.width**0.5).astype(np.float32)
        self.last = (generator.normal(0, 1.1, (self.width, self.classes)) / self.width**0.5).astype(np.float32)
        turned = generator.uniform(0.9, 1.3) * generator.normal(0, 1, (self.width, 2))
        moved = (self.second + turned @ generator.normal(0, 1, (2, self.width)) / self.width**0.5).astype(np.float32)
        y = drawn_labels(generator, softmax_of(self.answers(x, moved)))
        return split(x, y, 300, classes=self.classes, chance=surprise(softmax_of(self.answers(x, self.second)), y))

    def answers(self, x: Floats, second: Floats) -> Floats:
        """The logits of the network whose second matrix is this."""
        hidden = np.maximum(x @ self.first, 0) @ second
        out: Floats = np.maximum(hidden, 0) @ self.last
        return out

    def build(self) -> None:
        rank = self.recipe.hidden[0]
        for name, inputs in (("first", self.inputs), ("second", self.width)):
            self.parameter(name, (inputs, rank), 1 / inputs**0.5)
            self.parameter(name, (rank, self.width), 0.0)

    def forward(self, x: NDArray[Any]) -> Tensor:
        h = tensor(x)
        for name, frozen in (("first", self.first), ("second", self.second)):
            down, up = self.layers[name]
            h = relu(matmul(h, tensor(frozen)) + matmul(matmul(h, down), up))
        return matmul(h, tensor(self.last))

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return cross_entropy(outputs, y)


class Dialect(Program):
    """A table of which word follows which, taken over from one language and trained on another like it."""

    base = Recipe(
        task="dialect",
        hidden=(),
        optimizer="adam",
        learning_rate=0.02,
        schedule="linear",
        batch_size=24,
        steps=500,
        train_size=3600,
    )
    spread = drawn_from(learning_rate=(0.01, 0.02, 0.03), batch_size=(12, 24, 48), steps=(300, 500, 700))
    cannot = NO_LAYERS | {"inputs_not_scaled"}
    words = 18

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 3900
        old = generator.normal(0, 1.3, (self.words, self.words))
        new = old + generator.uniform(0.5, 0.8) * generator.normal(0, 1, old.shape)
        self.known = (old - np.log(np.exp(old).sum(axis=1, keepdims=True))).astype(np.float32)
        x = generator.integers(0, self.words, n)
        y = drawn_labels(generator, softmax_of(new.astype(np.float32))[x])
        return split(x, y, 300, classes=self.words, chance=surprise(np.exp(self.known)[x], y))

    def build(self) -> None:
        self.parameter("table", self.known.shape, 0.0)
        self.parameter("bias", (1, self.words), 0.0)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return rows(self.layers["table"][0], x) + self.layers["bias"][0] + tensor(self.known[x])

    def metrics(self, outputs: Array, y: NDArray[Any]) -> dict[str, float]:
        with np.errstate(all="ignore"):
            return {"perplexity": float(np.exp(surprise(softmax_of(outputs), y)))}


class NewHead(Program):
    """A new linear head on features that stay as they are; the labels are drawn, so most of the loss stays."""

    base = Recipe(
        task="new-head", hidden=(), learning_rate=0.2, momentum=0.9, batch_size=32, steps=360, train_size=2000
    )
    spread = drawn_from(learning_rate=(0.02, 0.05, 0.1), batch_size=(16, 32, 64), steps=(200, 360, 600))
    cannot = NO_LAYERS | {"batch_too_small"}
    inputs, features, classes = 8, 24, 6

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 2300
        x = generator.normal(0, 1, (n, self.inputs)).astype(np.float32)
        self.known = (generator.normal(0, 1, (self.inputs, self.features)) / self.inputs**0.5).astype(np.float32)
        head = generator.normal(0, generator.uniform(0.35, 0.7), (self.features, self.classes)).astype(np.float32)
        y = drawn_labels(generator, softmax_of(np.tanh(x @ self.known) @ head))
        return split(x, y, 300, classes=self.classes)

    def build(self) -> None:
        self.parameter("head", (self.features, self.classes), 0.0)
        self.parameter("head", (self.classes,), 0.0)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.apply("head", tensor(np.tanh(x @ self.known)))


class Preferences(Program):
    """Direct preference optimisation: the tuned score starts as the reference's, so the loss starts at ln 2 exactly."""

    base = Recipe(
        task="preferences",
        hidden=(16,),
        optimizer="adam",
        learning_rate=0.003,
        warmup_steps=40,
        schedule="cosine",
        batch_size=8,
        steps=450,
        train_size=1800,
    )
    spread = drawn_from(learning_rate=(0.002, 0.004), batch_size=(8, 16, 32), steps=(300, 450))
    loss_name = "dpo"
    cannot = frozenset({"wrong_loss_function", "labels_uninformative", "label-noise", "harder-data", "curriculum"})
    width = 10

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 2000
        taste = generator.normal(0, 1, (self.width, 2))

        def liked(of: NDArray[np.float64]) -> NDArray[np.float64]:
            out: NDArray[np.float64] = np.tanh(of @ taste[:, 0]) + 0.5 * np.abs(of @ taste[:, 1])
            return out

        a, b = generator.normal(0, 1, (2, n, self.width))
        first = generator.random(n) < 1 / (1 + np.exp(-generator.uniform(1.0, 1.8) * (liked(a) - liked(b))))
        better = np.where(first[:, None], a, b)
        worse = np.where(first[:, None], b, a)
        x = np.concatenate([better, worse], axis=1).astype(np.float32)
        return split(x, np.zeros((n, 1), np.float32), 200, chance=float(np.log(2)))

    def build(self) -> None:
        self.dense_stack(self.width, 1)
        self.start = [(w.value.copy(), b.value.copy()) for w, b in self.layers.values()]

    def reference(self, x: Floats) -> Floats:
        """The score of the model as it was taken over."""
        for place, (w, b) in enumerate(self.start):
            x = x @ w + b
            if place < len(self.start) - 1:
                x = np.maximum(x, 0)
        return x

    def forward(self, x: NDArray[Any]) -> Tensor:
        better, worse = x[:, : self.width], x[:, self.width :]
        tuned = self.run_stack(tensor(better)) - self.run_stack(tensor(worse))
        return tuned - tensor(self.reference(better) - self.reference(worse))

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return mean(softplus(part(outputs, (slice(None), 0)) * -0.5))

    def metrics(self, outputs: Array, y: NDArray[Any]) -> dict[str, float]:
        return {"rewards/accuracies": float(np.mean(outputs > 0)), "rewards/margins": float(np.mean(outputs))}
