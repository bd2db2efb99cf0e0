"""A language model of n-grams over a Markov chain whose entropy is known; from scratch and fine-tuned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.autodiff import Array, Tensor, reshape, rows
from benchmarks.detection.programs.criteria import softmax_of
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe

WORDS, PLACES = 14, 3


class Words(Program):
    """The next word of a second-order chain: the loss cannot fall below the chain's entropy."""

    base = Recipe(
        task="words",
        hidden=(24,),
        optimizer="adam",
        learning_rate=0.006,
        weight_decay=0.01,
        warmup_steps=40,
        schedule="cosine",
        batch_size=32,
        steps=600,
        train_size=5000,
    )
    spread = drawn_from(learning_rate=(0.006, 0.01, 0.015), hidden=((24,), (32,), (24, 24)), batch_size=(24, 32, 48))
    cannot = frozenset({"inputs_not_scaled"})
    sharpness = 2.2

    def make_data(self, generator: np.random.Generator) -> Data:
        n = 5200
        chain = softmax_of(generator.normal(0, self.sharpness, (WORDS, WORDS, WORDS)).astype(np.float32))
        x = np.empty((n, PLACES), np.int64)
        x[:, 0] = generator.integers(0, WORDS, n)
        x[:, 1] = generator.integers(0, WORDS, n)
        bounds = np.cumsum(chain, axis=2)
        for place in (2, 3):
            before = bounds[x[:, place - 2], x[:, place - 1]]
            drawn = np.minimum((generator.random((n, 1)) > before).sum(axis=1), WORDS - 1)
            if place < PLACES:
                x[:, place] = drawn
        return split(x, drawn.astype(np.int64), 200, classes=WORDS)

    def build(self) -> None:
        self.parameter("embedding", (WORDS, 8), 0.7 * self.recipe.initialization_gain)
        self.dense_stack(8 * PLACES, WORDS)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(reshape(rows(self.layers["embedding"][0], x), (len(x), 8 * PLACES)))

    def metrics(self, outputs: Array, y: NDArray[Any]) -> dict[str, float]:
        p = softmax_of(outputs)
        with np.errstate(all="ignore"):
            return {"perplexity": float(np.exp(-np.mean(np.log(p[np.arange(len(y)), y]))))}


class WordsTuned(Words):
    """The same, fine-tuned: it starts low and gains little."""

    base = Recipe(
        task="words-tuned",
        hidden=(24,),
        pretrained_steps=160,
        optimizer="adam",
        learning_rate=0.0008,
        weight_decay=0.01,
        schedule="linear",
        batch_size=16,
        steps=300,
        train_size=3000,
    )
    spread = drawn_from(learning_rate=(0.004, 0.006, 0.01), batch_size=(8, 16, 32), pretrained_steps=(60, 110))
    cannot = Words.cannot | {
        "missing_nonlinearity",
        "insufficient_capacity",
        "poor_initialization",
        "saturated_activations",
        "no_warmup",
        "wrong_loss_function",
        "learning_rate_too_low",
        "saddle",
        "narrow",
    }
    sharpness = 1.6
