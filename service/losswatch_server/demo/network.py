"""A fully connected network in NumPy, with the losses and optimizers that the trainings need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""float32 as frameworks have it, or float64 as plain NumPy code has it; a network keeps to one."""


class Gradients(NamedTuple):
    """One pass forward and back: the loss, and the gradient of every parameter, in the order of the parameters."""

    loss: float
    parameters: list[Array]


def norm(gradients: list[Array]) -> float:
    """The L2 norm over all parameters."""
    return float(np.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients)))


class Network:
    """Dense layers. ``activations`` names one for each layer: ``linear``, ``relu``, ``tanh`` or ``sigmoid``.

    Weights (inputs, outputs) start as Glorot uniform and biases at zero, as in Keras; ``parameters`` is the list
    W1, b1, W2, b2, … and may be overwritten.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        activations: tuple[str, ...],
        rng: np.random.Generator,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> None:
        self.activations = activations
        self.parameters: list[Array] = []
        for inputs, outputs in pairwise(sizes):
            limit = np.sqrt(6.0 / (inputs + outputs))
            self.parameters.append(rng.uniform(-limit, limit, (inputs, outputs)).astype(dtype))
            self.parameters.append(np.zeros(outputs, dtype))

    def predict(self, x: Array) -> Array:
        """The output for ``x`` (samples, inputs)."""
        return self._forward(x)[-1]

    def gradients(self, x: Array, y: Array, loss: str) -> Gradients:
        """``mse`` or ``bce`` (binary cross-entropy, after a sigmoid) of a batch, and its gradients."""
        outputs = self._forward(x)
        value, delta = _loss(loss, outputs[-1], y)
        found: list[Array] = []
        for layer in reversed(range(len(self.activations))):
            delta = delta * _slope(self.activations[layer], outputs[layer + 1])
            found[:0] = [outputs[layer].T @ delta, delta.sum(axis=0)]
            delta = delta @ self.parameters[2 * layer].T
        return Gradients(value, found)

    def loss(self, x: Array, y: Array, loss: str) -> float:
        """The loss alone, for validation."""
        return _loss(loss, self.predict(x), y)[0]

    def _forward(self, x: Array) -> list[Array]:
        outputs = [x]
        for layer, activation in enumerate(self.activations):
            weighted = outputs[-1] @ self.parameters[2 * layer] + self.parameters[2 * layer + 1]
            outputs.append(_activate(activation, weighted))
        return outputs


def _activate(name: str, z: Array) -> Array:
    if name == "relu":
        return np.maximum(z, 0)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-z))
    return z


def _slope(name: str, output: Array) -> Any:
    """The derivative of an activation, by its output."""
    if name == "relu":
        return (output > 0).astype(output.dtype)
    if name == "tanh":
        return 1 - output * output
    if name == "sigmoid":
        return output * (1 - output)
    return 1.0


def _loss(name: str, output: Array, y: Array) -> tuple[float, Array]:
    """A loss, averaged over samples and outputs, and its derivative by the output."""
    count = output.size
    if name == "mse":
        error = output - y
        return float(np.mean(error * error)), 2 * error / count
    value = -np.mean(y * np.log(output) + (1 - y) * np.log(1 - output))
    return float(value), (output - y) / (output * (1 - output)) / count


@dataclass
class SGD:
    """Gradient descent, with heavy-ball momentum where it is given."""

    learning_rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        self._velocity: list[Any] = []

    def step(self, parameters: list[Array], gradients: list[Array]) -> None:
        """Moves the parameters in place."""
        self._velocity = self._velocity or [np.zeros_like(p) for p in parameters]
        for parameter, gradient, velocity in zip(parameters, gradients, self._velocity, strict=True):
            velocity *= self.momentum
            velocity += gradient
            parameter -= self.learning_rate * velocity


@dataclass
class Adam:
    """Kingma and Ba, "Adam: a method for stochastic optimization" (2015), with the constants of Keras."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        self._moments: list[tuple[Any, Any]] = []
        self._count = 0

    def step(self, parameters: list[Array], gradients: list[Array]) -> None:
        """Moves the parameters in place."""
        self._moments = self._moments or [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
        self._count += 1
        rate = self.learning_rate * math.sqrt(1 - self.beta2**self._count) / (1 - self.beta1**self._count)
        for parameter, gradient, (mean, square) in zip(parameters, gradients, self._moments, strict=True):
            mean += (1 - self.beta1) * (gradient - mean)
            square += (1 - self.beta2) * (gradient * gradient - square)
            parameter -= rate * mean / (np.sqrt(square) + self.epsilon)
