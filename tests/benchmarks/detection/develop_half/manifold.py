"""An autoencoder and a variational autoencoder of points near a curved surface."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.autodiff import Tensor, exp, mean, part, square, tensor, total
from benchmarks.detection.programs.program import Data, Program, drawn_from, split
from benchmarks.detection.zoo.recipe import Recipe


class Manifold(Program):
    """Sixteen numbers through a bottleneck of three."""

    base = Recipe(
        task="manifold", hidden=(24, 3, 24), activation="tanh", optimizer="adam", learning_rate=0.005, steps=450,
        train_size=1400,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.003, 0.005, 0.008), hidden=((24, 3, 24), (32, 4, 32)), batch_size=(24, 32))
    floor_unknown = True
    cannot = frozenset({"saddle"})

    def make_data(self, generator: np.random.Generator) -> Data:
        hidden = generator.normal(0, 1, (1600, 3))
        x = np.tanh(hidden @ generator.normal(0, 1, (3, 12))) @ generator.normal(0, 0.5, (12, 16))
        x = (x - x.mean(axis=0)) / x.std(axis=0) + generator.normal(0, 0.15, x.shape)
        x = x.astype(np.float32)
        return split(x, x.copy(), 200)

    def build(self) -> None:
        self.dense_stack(16, 16)

    def forward(self, x: NDArray[Any]) -> Tensor:
        return self.run_stack(tensor(x))


class Variational(Manifold):
    """The evidence lower bound, summed over the coordinates: reconstruction with a fixed spread, and divergence."""

    base = Recipe(
        task="variational", hidden=(24, 24), activation="relu", optimizer="adam", learning_rate=0.004, steps=420,
        train_size=1400,
    )  # fmt: skip
    spread = drawn_from(learning_rate=(0.003, 0.006), hidden=((24, 24), (32, 20)), batch_size=(24, 48))
    loss_name = "elbo"
    cannot = frozenset({"wrong_loss_function", "saddle"})
    latent, variance = 4, 0.15

    def make_data(self, generator: np.random.Generator) -> Data:
        data = super().make_data(generator)
        chance = float(0.5 * np.sum(data.y.var(axis=0)) / self.variance)
        return Data(x=data.x, y=data.y, held_x=data.held_x, held_y=data.held_y, chance=chance)

    def build(self) -> None:
        first, last = self.recipe.hidden[0], self.recipe.hidden[-1]
        self.dense("hidden-encoder", 16, first)
        self.dense("code", first, 2 * self.latent, hidden=False)
        width = self.latent
        for i, units in enumerate(self.recipe.hidden[1:] or (last,)):
            self.dense(f"hidden-decoder{i}", width, units)
            width = units
        self.dense("head", width, 16, hidden=False)

    def forward(self, x: NDArray[Any]) -> Tensor:
        code = self.apply("code", self.activate(self.apply("hidden-encoder", tensor(x))))
        self.centre = part(code, (slice(None), slice(0, self.latent)))
        self.log_variance = part(code, (slice(None), slice(self.latent, None)))
        drawn = self.noise.normal(0, 1, self.centre.value.shape).astype(np.float32)
        h = self.centre + exp(self.log_variance * 0.5) * Tensor(drawn, constant=True)
        for name in self.layers:
            if name.startswith("hidden-decoder"):
                h = self.activate(self.apply(name, h))
        return self.apply("head", h)

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        error = total(square(outputs - tensor(y))) * (0.5 / self.variance)
        divergence = total(square(self.centre) + exp(self.log_variance) - self.log_variance - 1.0) * 0.5
        return mean(error + divergence)
