"""A multi-layer perceptron in NumPy: forward, backward, one flat vector of parameters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.zoo import losses
from benchmarks.detection.zoo.tasks import Array


def activate(name: str, z: Array) -> Array:
    """The activation of a hidden layer."""
    if name == "relu":
        return np.maximum(z, 0)
    if name == "leaky_relu":
        return np.where(z > 0, z, 0.05 * z)
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return 0.5 * (1 + np.tanh(0.5 * z))
    return z


def slope(name: str, a: Array) -> Array | float:
    """The derivative of the activation, from its value."""
    if name == "relu":
        return (a > 0).astype(np.float32)
    if name == "leaky_relu":
        return np.where(a > 0, np.float32(1), np.float32(0.05))
    if name == "tanh":
        return 1 - a * a
    if name == "sigmoid":
        return a * (1 - a)
    return 1.0


def half(values: Array) -> Array:
    """Rounded to float16 and back: what is beyond 65504 becomes infinite."""
    return values.astype(np.float16).astype(np.float32)


class Network:
    """Weights and biases are views of ``parameters``, their gradients views of ``gradient``; both float32."""

    def __init__(self, sizes: tuple[int, ...], activation: str, gain: float, bias: float, seed: int) -> None:
        generator = np.random.default_rng([seed, 7])
        count = sum((a + 1) * b for a, b in pairwise(sizes))
        self.activation = activation
        self.parameters: Array = np.zeros(count, np.float32)
        self.gradient: Array = np.zeros(count, np.float32)
        self.slices: list[tuple[int, int]] = []
        self.weights: list[tuple[Array, Array]] = []
        self.gradients: list[tuple[Array, Array]] = []
        spread = 2.0 if activation in ("relu", "leaky_relu") else 1.0
        at = 0
        for layer, (a, b) in enumerate(pairwise(sizes)):
            end = at + (a + 1) * b
            self.slices.append((at, end))
            for flat, views in ((self.parameters, self.weights), (self.gradient, self.gradients)):
                views.append((flat[at : at + a * b].reshape(a, b), flat[at + a * b : end]))
            last = layer == len(sizes) - 2
            deviation = gain * np.sqrt((1.0 if last else spread) / a)
            self.weights[-1][0][:] = generator.normal(0, 1, (a, b)) * deviation
            if not last:
                self.weights[-1][1][:] = bias
            at = end

    def forward(self, x: Array, *, fp16: bool = False, masks: list[Array] | None = None) -> list[Array]:
        """The values of every layer: the inputs first, the outputs (no activation) last."""
        values = [half(x) if fp16 else x]
        for layer, (w, b) in enumerate(self.weights):
            z = values[-1] @ (half(w) if fp16 else w) + b
            if layer < len(self.weights) - 1:
                z = activate(self.activation, z)
                if masks is not None:
                    z = z * masks[layer]
            values.append(half(z) if fp16 else z)
        return values

    def loss(self, x: Array, y: NDArray[np.generic], loss_name: str) -> float:
        """The mean loss of a batch."""
        return losses.loss(loss_name, self.forward(x)[-1], y)[0]

    def backward(
        self,
        x: Array,
        y: NDArray[np.generic],
        loss_name: str,
        *,
        scale: float = 1.0,
        fp16: bool = False,
        masks: list[Array] | None = None,
    ) -> float:
        """The mean loss of a batch; adds its gradient (times ``scale`` where fp16) to ``gradient``."""
        values = self.forward(x, fp16=fp16, masks=masks)
        loss, delta = losses.loss(loss_name, values[-1], y)
        if fp16:
            delta = half(delta * np.float32(scale))
        self.propagate(values, delta, fp16=fp16, masks=masks)
        return loss

    def propagate(
        self, values: list[Array], delta: Array, *, fp16: bool = False, masks: list[Array] | None = None
    ) -> Array:
        """Add the gradient for ``delta`` (the loss's slope in the outputs) to ``gradient``; the slope in the inputs."""
        for layer in range(len(self.weights) - 1, -1, -1):
            weight, bias = self.gradients[layer]
            step = values[layer].T @ delta
            weight += half(step) if fp16 else step
            bias += delta.sum(axis=0)
            delta = delta @ self.weights[layer][0].T
            if layer:
                if masks is not None:
                    delta = delta * masks[layer - 1]
                # a dropped unit's value is 0; its slope does not matter, its delta is 0
                delta = delta * slope(self.activation, values[layer])
                if fp16:
                    delta = half(delta)
        return delta
