"""Tables of numbers under losses other than the plain ones: heavy tails, counts, margins, sums of terms, a long fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs import criteria
from benchmarks.detection.programs.autodiff import Array, Tensor, exp, mean, part, relu, square, tensor
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


def columns(generator: np.random.Generator, n: int, width: int) -> NDArray[np.float64]:
    """Correlated columns of mean 0 and deviation 1."""
    x = generator.normal(0, 1, (n, width)) @ (generator.normal(0, 0.4, (width, width)) + np.eye(width))
    return (x - x.mean(axis=0)) / x.std(axis=0)


class HeavyTails(Program):
    """Regression whose noise is Student's t with two and a half degrees of freedom."""

    base = Recipe(task="heavy-tails", hidden=(24,), learning_rate=0.02, batch_size=32, steps=450, train_size=1500)
    spread = drawn_from(learning_rate=(0.015, 0.025), hidden=((24,), (16, 16)), batch_size=(32, 64))
    floor_unknown = True
    cheap = True

    def make_data(self, generator: np.random.Generator) -> Data:
        x = columns(generator, 1700, 8)
        bend = np.tanh(x @ generator.normal(0, 0.8, (8, 4))) @ generator.normal(0, 1.2, 4)
        y = bend + 1.2 * np.abs(x[:, 0]) + 0.35 * generator.standard_t(2.5, len(x))
        y = (y - y.mean()) / np.percentile(np.abs(y - y.mean()), 68)
        return split(x.astype(np.float32), y[:, None].astype(np.float32), 200)

    def build(self) -> None:
        self.dense_stack(8, 1)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))


class Counts(HeavyTails):
    """Poisson counts with a log link; without the term in the counts alone the loss is negative."""

    base = Recipe(
        task="counts", hidden=(20,), activation="softplus", optimizer="adam", learning_rate=0.006, steps=400,
        train_size=1500,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.004, 0.006, 0.01), hidden=((20,), (32,)), batch_size=(32, 64))
    loss_name = "poisson_nll"
    cannot = frozenset({"wrong_loss_function"})
    cheap = False

    def make_data(self, generator: np.random.Generator) -> Data:
        x = columns(generator, 1700, 8)
        log_rate = 0.9 + 0.8 * np.tanh(x @ generator.normal(0, 0.7, (8, 3))) @ generator.normal(0, 0.7, 3)
        y = generator.poisson(np.exp(np.clip(log_rate, -2, 3.2)))
        m = y[:-200].mean()
        chance = float(m - m * np.log(m))
        return split(x.astype(np.float32), y[:, None].astype(np.float32), 200, chance=chance)

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return mean(exp(outputs) - tensor(y) * outputs)


class Margins(Program):
    """A hinge loss on separable classes: it comes to rest at 0."""

    base = Recipe(
        task="margins", hidden=(16,), learning_rate=0.1, momentum=0.9, batch_size=16, steps=350, train_size=900
    )
    spread = drawn_from(learning_rate=(0.05, 0.1), hidden=((16,), (12, 12)), batch_size=(16, 32))
    loss_name = "hinge"
    cheap = True
    cannot = frozenset({"wrong_loss_function"})

    def make_data(self, generator: np.random.Generator) -> Data:
        x = columns(generator, 1700, 6)
        score = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.5 * x[:, 3]
        keep = np.flatnonzero(np.abs(score - np.median(score)) > 0.45)
        y = np.sign(score[keep] - np.median(score))
        return split(x[keep].astype(np.float32), y[:, None].astype(np.float32), 200, chance=1.0)

    def build(self) -> None:
        self.dense_stack(6, 1)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return mean(relu(1.0 - tensor(y) * outputs))

    def metrics(self, outputs: Array, y: NDArray[Any]) -> dict[str, float]:
        return {"accuracy": float(np.mean((outputs > 0) == (y > 0)))}


class SeveralTerms(Program):
    """One trunk, three tasks: a class, a value and the inputs again; the losses are summed with weights."""

    base = Recipe(
        task="several-terms", hidden=(28, 20), optimizer="adam", learning_rate=0.004, batch_size=32, steps=400,
        train_size=1500,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.003, 0.006), hidden=((28, 20), (32,)), batch_size=(24, 48))
    loss_name = "multi_task"
    floor_unknown = True
    cannot = frozenset({"wrong_loss_function"})
    weights = (1.0, 2.0, 0.5)

    def make_data(self, generator: np.random.Generator) -> Data:
        x = columns(generator, 1700, 9)
        label = np.argmax(np.tanh(x @ generator.normal(0, 1, (9, 6))) @ generator.normal(0, 1, (6, 4)), axis=1)
        value = np.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2]
        value = (value - value.mean()) / value.std()
        y = np.concatenate([label[:, None], value[:, None], x], axis=1)
        shares = np.bincount(label) / len(label)
        entropy = float(-np.sum(shares * np.log(shares)))
        chance = self.weights[0] * entropy + self.weights[1] + self.weights[2]
        return split(x.astype(np.float32), y.astype(np.float32), 200, chance=chance)

    def build(self) -> None:
        self.dense_stack(9, 4 + 1 + 9)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        a, b, c = self.weights
        with np.errstate(invalid="ignore"):
            labels = np.clip(np.nan_to_num(y[:, 0]), 0, 3).astype(np.int64)
        first = criteria.cross_entropy(part(outputs, (slice(None), slice(0, 4))), labels)
        second = mean(square(part(outputs, (slice(None), 4)) - tensor(y[:, 1])))
        third = mean(square(part(outputs, (slice(None), slice(5, 14))) - tensor(y[:, 2:])))
        return first * a + second * b + third * c


class LongFit(Program):
    """Logistic regression with plain gradient descent on all samples, for thousands of steps: a tail without noise."""

    base = Recipe(task="long-fit", hidden=(), learning_rate=1.0, batch_size=160, steps=2500, train_size=160)
    spread = drawn_from(learning_rate=(0.7, 1.5), steps=(1500, 2500, 4000))
    cheap = True
    cannot = frozenset(
        {
            "missing_nonlinearity",
            "dead_activations",
            "saturated_activations",
            "insufficient_capacity",
            "data_not_shuffled",
            "batch_too_small",
            "bad_batch",
            "dropout",
            "narrow",
            "saddle",
            "curriculum",
            "noisy",
            "no_warmup",
            "accumulating",
            "grown-batch",
        }
    )

    def make_data(self, generator: np.random.Generator) -> Data:
        x = columns(generator, 320, 6)
        y = (x @ generator.normal(0, 1.2, 6) + generator.logistic(0, 1, 320) > 0).astype(np.int64)
        x *= np.array([1.0, 1.0, 0.5, 0.3, 0.1, 0.05])
        return split(x.astype(np.float32), y, 160, classes=2)

    def build(self) -> None:
        self.dense_stack(6, 2)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))
