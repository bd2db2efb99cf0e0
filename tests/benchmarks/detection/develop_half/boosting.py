"""Gradient boosting of regression trees: one loss and one validation a round, no gradient norm."""

from __future__ import annotations

import numpy as np

from benchmarks.detection.develop_half.tables import columns
from benchmarks.detection.programs.boosting import Boosting
from benchmarks.detection.programs.program import Data, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class Boosted(Boosting):
    """Squared error, trees of depth two."""

    base = Recipe(task="boosted", hidden=(2,), optimizer="boosting", learning_rate=0.1, steps=160, train_size=500)
    spread = drawn_from(learning_rate=(0.07, 0.1, 0.15), hidden=((2,), (3,)), steps=(120, 160, 240))

    def make_data(self, generator: np.random.Generator) -> Data:
        x = columns(generator, 700, 6)
        y = np.sin(2 * x[:, 0]) + x[:, 1] * (x[:, 2] > 0) + 0.5 * np.abs(x[:, 3]) + generator.normal(0, 0.35, 700)
        y = (y - y.mean()) / y.std()
        return split(x.astype(np.float32), y[:, None].astype(np.float32), 200)
