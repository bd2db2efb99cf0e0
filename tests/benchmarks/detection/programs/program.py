"""Program: a model, its data and its loss, as a recipe wants them; a family of the zoo is a subclass."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs import criteria
from benchmarks.detection.programs.autodiff import ACTIVATIONS, Array, Tensor, affine, forget
from benchmarks.detection.zoo.recipe import Recipe

JUDGED_ON = 128
"""Samples of an evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Training and held-out samples, (n, ...) each. ``classes`` 0: the targets are values."""

    x: NDArray[Any]
    y: NDArray[Any]
    held_x: NDArray[Any]
    held_y: NDArray[Any]
    classes: int = 0
    chance: float | None = None
    """The loss of the best constant answer; None: it follows from the targets."""


def split(x: NDArray[Any], y: NDArray[Any], held: int, **more: Any) -> Data:
    """Data whose last ``held`` samples are held out."""
    return Data(x=x[:-held], y=y[:-held], held_x=x[-held:], held_y=y[-held:], **more)


def drawn_from(**values: tuple[Any, ...]) -> Mapping[str, tuple[Any, ...]]:
    """Fields of a recipe, and the values that each may have."""
    return values


class Program:
    """A family: subclasses make the data, build the layers and say what the outputs are.

    ``layers`` holds the parameters by layer, in the order of the forward pass, all of them views of ``parameters``.
    """

    base: ClassVar[Recipe]
    """The healthy recipe."""
    spread: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({})
    """What else the fields of the base may be: one of the values is drawn for each seed."""
    loss_name: ClassVar[str] = ""
    """What a client calls the loss; empty: cross_entropy or mse."""
    cannot: ClassVar[frozenset[str]] = frozenset()
    """Causes that the program cannot have, kinds of healthy oddity included."""
    floor_unknown: ClassVar[bool] = False
    """Nobody without the twin can say that a loss which fell by half ends too high."""
    objective: ClassVar[str | None] = None
    """What the client says of the objective, where it says anything."""
    cheap: ClassVar[bool] = False
    """So cheap a step that runs of more than ten thousand are trained too."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.generator = np.random.default_rng([recipe.seed, 7])
        self.noise = np.random.default_rng([recipe.seed, 17])
        self.training = True
        self.layers: dict[str, list[Tensor]] = {}
        self.hidden_values: list[Array] = []
        kind = zlib.crc32(type(self).__name__.encode())
        self.data = self.make_data(np.random.default_rng([recipe.seed, kind]))
        self.build()
        self.seal()

    def make_data(self, generator: np.random.Generator) -> Data:
        """The samples; they depend on the seed alone."""
        raise NotImplementedError

    def build(self) -> None:
        """Create the layers."""
        raise NotImplementedError

    def forward(self, x: NDArray[Any]) -> Tensor:
        """The outputs for a batch of inputs."""
        raise NotImplementedError

    def criterion(self, outputs: Tensor, y: NDArray[Any]) -> Tensor:
        """The scalar loss of a batch."""
        if self.recipe.loss in criteria.WRONG:
            return criteria.WRONG[self.recipe.loss](outputs, y)
        return criteria.cross_entropy(outputs, y) if self.data.classes else criteria.squared_error(outputs, y)

    def metrics(self, outputs: Array, y: NDArray[Any]) -> dict[str, float]:
        """What a program logs beside the loss."""
        if self.data.classes and outputs.shape[:-1] == y.shape:
            return {"accuracy": float(np.mean(outputs.argmax(axis=-1) == y))}
        return {}

    def chance(self) -> float:
        """The loss of the best constant answer."""
        if self.data.chance is not None:
            return self.data.chance
        y = self.data.y
        if not self.data.classes:
            return float(np.mean((y - y.mean(axis=0)) ** 2))
        shares = np.bincount(y.reshape(-1), minlength=self.data.classes) / y.size
        return float(-np.sum(shares[shares > 0] * np.log(shares[shares > 0])))

    # what subclasses build with

    def parameter(self, layer: str, shape: tuple[int, ...], deviation: float, value: float = 0.0) -> Tensor:
        """A parameter of that layer, drawn from a normal distribution."""
        drawn = self.generator.normal(0, 1, shape) * deviation + value
        tensor = Tensor(drawn.astype(np.float32))
        self.layers.setdefault(layer, []).append(tensor)
        return tensor

    def dense(self, layer: str, inputs: int, outputs: int, *, hidden: bool = True, fan_in: int = 0) -> None:
        """Weights and bias of a layer, He's or Xavier's deviation times the recipe's gain."""
        recipe = self.recipe
        factor = 2.0 if hidden and recipe.activation == "relu" else 1.0
        deviation = recipe.initialization_gain * math.sqrt(factor / (fan_in or inputs))
        self.parameter(layer, (inputs, outputs), deviation)
        self.parameter(layer, (outputs,), 0.0, recipe.bias if hidden else 0.0)

    def apply(self, layer: str, x: Tensor) -> Tensor:
        """An affine layer without activation."""
        w, b = self.layers[layer]
        return affine(x, w, b)

    def activate(self, x: Tensor) -> Tensor:
        """The recipe's activation, and dropout in training."""
        out = ACTIVATIONS[self.recipe.activation](x)
        self.hidden_values.append(out.value)
        dropout = self.recipe.dropout
        if dropout and self.training:
            kept = (self.noise.random(out.value.shape) >= dropout).astype(np.float32) / np.float32(1 - dropout)
            out = out * Tensor(kept, constant=True)
        return out

    def dense_stack(self, inputs: int, outputs: int, widths: tuple[int, ...] | None = None) -> None:
        """Hidden layers of the recipe's widths and a head."""
        width = inputs
        for i, units in enumerate(self.recipe.hidden if widths is None else widths):
            self.dense(f"hidden{i}", width, units)
            width = units
        self.dense("head", width, outputs, hidden=False)

    def run_stack(self, x: Tensor) -> Tensor:
        """Through the hidden layers and the head."""
        for name in self.layers:
            if name.startswith("hidden"):
                x = self.activate(self.apply(name, x))
        return self.apply("head", x)

    def seal(self) -> None:
        """Make all parameters views of one vector, and their gradients views of another."""
        tensors = [t for held in self.layers.values() for t in held]
        self.parameters: Array = np.concatenate([t.value.reshape(-1) for t in tensors])
        self.gradient: Array = np.zeros_like(self.parameters)
        self.slices: list[tuple[int, int]] = []
        at = 0
        for held in self.layers.values():
            begun = at
            for t in held:
                end = at + t.value.size
                t.gradient = self.gradient[at:end].reshape(t.value.shape)
                t.value = self.parameters[at:end].reshape(t.value.shape)
                t.learned = True
                at = end
            self.slices.append((begun, at))

    # what the training loop asks

    def loss_of(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[Tensor, Array]:
        """The loss of a batch, recorded for ``backward``, and the outputs."""
        self.hidden_values = []
        outputs = self.forward(x)
        return self.criterion(outputs, y), outputs.value

    def evaluate(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[float, dict[str, float]]:
        """Loss and metrics without dropout."""
        self.training = False
        loss, outputs = self.loss_of(x, y)
        forget()
        self.training = True
        return float(loss.value), self.metrics(outputs, y)


def recipe_of(program: type[Program], seed: int) -> Recipe:
    """The family's healthy recipe of that seed: fields drawn from what the family may be."""
    draw = np.random.default_rng([seed, zlib.crc32(program.__name__.encode()), 3])
    fields = {name: values[int(draw.integers(len(values)))] for name, values in program.spread.items()}
    return replace(program.base, seed=seed, **fields)
