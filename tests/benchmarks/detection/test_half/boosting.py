"""Gradient boosting of a logistic loss, with deeper trees and a share of the rows a round."""

from __future__ import annotations

import numpy as np

from benchmarks.detection.programs.boosting import Boosting, Values
from benchmarks.detection.programs.program import Data, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class BoostedClasses(Boosting):
    """Two classes, trees of depth three on four fifths of the rows."""

    base = Recipe(
        task="boosted-classes", hidden=(3,), optimizer="boosting", learning_rate=0.2, dropout=0.2, steps=120,
        train_size=600,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.15, 0.25), hidden=((3,), (2,)), steps=(90, 150))
    loss_name = "logloss"

    def make_data(self, generator: np.random.Generator) -> Data:
        x = generator.normal(0, 1, (800, 7))
        score = 2 * x[:, 0] * x[:, 1] + np.cos(2 * x[:, 2]) + x[:, 3]
        y = (score + generator.logistic(0, 0.7, 800) > 0.4).astype(np.float32)
        p = float(y[:-200].mean())
        chance = float(-(p * np.log(p) + (1 - p) * np.log(1 - p)))
        return split(x.astype(np.float32), y[:, None], 200, chance=chance)

    def loss(self, scores: Values, y: Values) -> float:
        return float(np.mean(np.logaddexp(0, scores) - y * scores))

    def residual(self, scores: Values, y: Values) -> Values:
        return 4 * (y - 0.5 * (1 + np.tanh(0.5 * scores)))
