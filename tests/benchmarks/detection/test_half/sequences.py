"""Attention, a gated recurrent language model, skip-grams and a low-rank update: tokens and what follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.autodiff import (
    Array,
    Tensor,
    affine,
    exp,
    joined,
    log_softmax,
    matmul,
    mean,
    multiply,
    part,
    reshape,
    rows,
    sigmoid,
    softplus,
    tanh,
    tensor,
    total,
    transpose,
)
from benchmarks.detection.programs.criteria import cross_entropy, softmax_of
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class Lookup(Program):
    """One head of attention must find the value that belongs to the key asked for."""

    base = Recipe(
        task="lookup", hidden=(24,), optimizer="lion", learning_rate=0.001, batch_size=32, steps=450, train_size=3000
    )
    spread = drawn_from(learning_rate=(0.0008, 0.0015), hidden=((24,), (32,)), batch_size=(24, 48))
    cannot = frozenset({"inputs_not_scaled"})
    keys, values, width = 5, 6, 16

    def make_data(self, generator: np.random.Generator) -> Data:
        n, pairs = 3300, 3
        keys = np.argsort(generator.random((n, self.keys)), axis=1)[:, :pairs]
        values = generator.integers(0, self.values, (n, pairs))
        asked = generator.integers(0, pairs, n)
        row = np.arange(n)
        wrong = generator.random(n) < 0.06
        y = np.where(wrong, generator.integers(0, self.values, n), values[row, asked])
        x = np.concatenate([keys * self.values + values, keys[row, asked][:, None]], axis=1)
        return split(x, y, 300, classes=self.values)

    def build(self) -> None:
        gain, width = self.recipe.initialization_gain, self.width
        self.parameter("embedding", (self.keys * self.values, width), gain)
        self.parameter("question", (self.keys, width), gain)
        self.parameter("keys", (width, width), gain / width**0.5)
        self.parameter("values", (width, width), gain / width**0.5)
        self.dense_stack(width, self.values)

    def forward(self, x: NDArray[Any]) -> Tensor:
        memory = rows(self.layers["embedding"][0], x[:, :-1])
        question = reshape(rows(self.layers["question"][0], x[:, -1]), (len(x), 1, self.width))
        keys, values = (matmul(memory, self.layers[name][0]) for name in ("keys", "values"))
        scores = matmul(question, transpose(keys)) * (1 / self.width**0.5)
        return self.run_stack(reshape(matmul(exp(log_softmax(scores)), values), (len(x), self.width)))


class Strings(Program):
    """A gated recurrent network predicts every next token of noisy cycles; the noise's entropy is the floor."""

    base = Recipe(
        task="strings", hidden=(16,), activation="tanh", optimizer="adam", momentum=0.8, learning_rate=0.012,
        schedule="inverse_root", batch_size=16, steps=260, train_size=900,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.008, 0.015), hidden=((16,), (20,)), batch_size=(12, 20))
    cannot = frozenset({"inputs_not_scaled", "missing_nonlinearity"})
    tokens, length = 8, 7

    def make_data(self, generator: np.random.Generator) -> Data:
        n, k = 1020, self.tokens
        order = generator.permutation(k)
        text = np.empty((n, self.length + 1), np.int64)
        text[:, 0] = generator.integers(0, k, n)
        stride = 1 + generator.integers(0, 2, n)
        for t in range(1, self.length + 1):
            following = (text[:, t - 1] + stride) % k
            noisy = generator.random(n) < 0.12
            text[:, t] = np.where(noisy, generator.integers(0, k, n), following)
        text = order[text]
        return split(text[:, :-1].copy(), text[:, 1:].copy(), 120, classes=k)

    def build(self) -> None:
        width, gain = self.recipe.hidden[0], self.recipe.initialization_gain
        self.parameter("embedding", (self.tokens, width), gain)
        for gate in ("gates", "candidate"):
            out = 2 * width if gate == "gates" else width
            self.parameter(gate, (2 * width, out), gain / (2 * width) ** 0.5)
            self.parameter(gate, (out,), 0.0, self.recipe.bias)
        for i, units in enumerate(self.recipe.hidden[1:]):
            self.dense(f"hidden{i}", width if i == 0 else self.recipe.hidden[i], units)
        self.dense("head", self.recipe.hidden[-1], self.tokens, hidden=False)

    def forward(self, x: NDArray[Any]) -> Tensor:
        width = self.recipe.hidden[0]
        h = tensor(np.zeros((len(x), width), np.float32))
        states = []
        for t in range(x.shape[1]):
            seen = rows(self.layers["embedding"][0], x[:, t])
            gates = sigmoid(affine(joined([seen, h]), *self.layers["gates"]))
            keep, reset = (part(gates, (slice(None), slice(a, a + width))) for a in (0, width))
            fresh = self.activate(affine(joined([seen, multiply(reset, h)]), *self.layers["candidate"]))
            h = multiply(keep, h) + multiply(1.0 - keep, fresh)
            states.append(reshape(h, (len(x), 1, width)))
        out = transpose(joined([transpose(s) for s in states]))
        return self.run_stack(out)

    def metrics(self, outputs: Array, y: NDArray[Any]) -> dict[str, float]:
        p = np.take_along_axis(softmax_of(outputs), y[..., None], axis=-1)
        with np.errstate(all="ignore"):
            return {"ppl": float(np.exp(-np.mean(np.log(p))))}


class SkipGrams(Program):
    """Word vectors by negative sampling: pairs that occur against pairs that do not."""

    base = Recipe(
        task="skip-grams", hidden=(8,), optimizer="adagrad", learning_rate=0.25, batch_size=32, steps=500,
        train_size=3000,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.15, 0.3), hidden=((8,), (12,)), batch_size=(32, 64))
    loss_name = "negative_sampling"
    cannot = frozenset(
        {
            "inputs_not_scaled",
            "missing_nonlinearity",
            "dead_activations",
            "saturated_activations",
            "wrong_loss_function",
            "data_not_shuffled",
            "labels_uninformative",
            "dropout",
            "label-noise",
            "harder-data",
        }
    )
    words = 30

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 3300
        topic = generator.integers(0, 6, n)
        x = np.stack([topic * 5 + generator.integers(0, 5, n) for _ in range(2)], axis=1)
        x[:, 1] = np.where(generator.random(n) < 0.15, generator.integers(0, self.words, n), x[:, 1])
        others = generator.integers(0, self.words, (n, 3))
        chance = float(np.log(2) * 4)
        return split(np.concatenate([x, others], axis=1), np.zeros((n, 1), np.float32), 300, chance=chance)

    def build(self) -> None:
        rank, gain = self.recipe.hidden[0], self.recipe.initialization_gain
        self.parameter("words", (self.words, rank), 0.3 * gain)
        self.parameter("contexts", (self.words, rank), 0.3 * gain)

    def forward(self, x: NDArray[Any]) -> Tensor:
        (words,), (contexts,) = self.layers["words"], self.layers["contexts"]
        centre = reshape(rows(words, x[:, 0]), (len(x), 1, words.value.shape[1]))
        return total(multiply(centre, rows(contexts, x[:, 1:])))

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        found = softplus(part(outputs, (slice(None), 0)) * -1.0)
        refused = total(softplus(part(outputs, (slice(None), slice(1, None)))))
        return mean(found + refused)


class LowRank(Program):
    """A frozen network and a low-rank update of it: it starts low and gains little."""

    base = Recipe(
        task="low-rank", hidden=(3,), activation="tanh", optimizer="adam", learning_rate=0.006, schedule="linear",
        batch_size=16, steps=320, train_size=1500,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.004, 0.008), hidden=((3,), (4,)), batch_size=(8, 16, 24))
    cannot = frozenset(
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
        }
    )
    inputs, width, classes = 10, 20, 7

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 1700
        x = generator.normal(0, 1, (n, self.inputs))
        self.first = (generator.normal(0, 1, (self.inputs, self.width)) / self.inputs**0.5).astype(np.float32)
        self.last = (generator.normal(0, 1.4, (self.width, self.classes)) / self.width**0.5).astype(np.float32)
        turned = 0.28 * generator.normal(0, 1, (self.inputs, 3)) @ generator.normal(0, 1, (3, self.width)) / 3**0.5
        p = softmax_of((np.tanh(x @ (self.first + turned)) @ self.last).astype(np.float32) * 1.5)
        y = (generator.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(0, self.classes - 1)
        before = softmax_of((np.tanh(x @ self.first) @ self.last).astype(np.float32) * 1.5)
        chance = float(-np.mean(np.log(before[np.arange(n), y])))
        return split(x.astype(np.float32), y, 200, classes=self.classes, chance=chance)

    def build(self) -> None:
        rank = self.recipe.hidden[0]
        self.parameter("down", (self.inputs, rank), 1 / self.inputs**0.5)
        self.parameter("up", (rank, self.width), 0.0)

    def forward(self, x: NDArray[Any]) -> Tensor:
        given = tensor(x)
        hidden = matmul(given, tensor(self.first)) + matmul(matmul(given, self.layers["down"][0]), self.layers["up"][0])
        return matmul(tanh(hidden), tensor(self.last)) * 1.5

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        return cross_entropy(outputs, y)


class Parity(Program):
    """The parity of four bits of nine: the loss sits at ln 2 for a long while and then falls at once."""

    base = Recipe(
        task="parity", hidden=(32,), learning_rate=0.1, momentum=0.9, nesterov=True, batch_size=32, steps=900,
        train_size=1000,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.03, 0.05), hidden=((32,), (48,)), batch_size=(24, 32))
    cannot = frozenset({"narrow", "data_not_shuffled"})
    cheap = True

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.choice([-1.0, 1.0], (1200, 9))
        return split(x.astype(np.float32), (x[:, :4].prod(axis=1) > 0).astype(np.int64), 200, classes=2)

    def build(self) -> None:
        self.dense_stack(9, 2)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))
