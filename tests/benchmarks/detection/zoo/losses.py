"""Losses and their gradients with respect to the network's outputs; the right ones, and the wrong ones people pick."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.zoo.tasks import Array

KERAS_EPSILON = 1e-7


def softmax(z: Array) -> Array:
    """Row by row."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    out: Array = e / e.sum(axis=1, keepdims=True)
    return out


def loss(name: str, z: Array, y: NDArray[np.generic]) -> tuple[float, Array]:
    """The mean loss of a batch and its gradient.

    cross_entropy, mse: the right ones. ascent_*: the sign of the gradient is wrong. double_softmax: the softmax is
    already in the model. single_softmax: a softmax over one output, so that the answer is always 1 and Keras' clipped
    cross entropy is constant. sigmoid_mse: a sigmoid before a squared error whose targets are not in 0..1.
    gaussian: negative log-likelihood of a normal with a learned spread, a sound loss that becomes negative.
    """
    n = len(z)
    rows = np.arange(n)
    if name in ("cross_entropy", "ascent_cross_entropy"):
        p = softmax(z)
        labels = y.astype(np.int64)
        top = z - z.max(axis=1, keepdims=True)
        value = float(np.mean(np.log(np.exp(top).sum(axis=1)) - top[rows, labels]))
        p[rows, labels] -= 1
        return value, (p if name == "cross_entropy" else -p) / np.float32(n)
    if name in ("mse", "ascent_mse"):
        error = z - y
        gradient = 2 * error / np.float32(error.size)
        return float(np.mean(np.square(error))), gradient if name == "mse" else -gradient
    if name == "double_softmax":
        p = softmax(z)
        value, inner = loss("cross_entropy", p.copy(), y)
        return value, p * (inner - np.sum(inner * p, axis=1, keepdims=True))
    if name == "single_softmax":
        value = float(np.mean(np.where(y.astype(np.int64) == 0, -np.log(KERAS_EPSILON), KERAS_EPSILON)))
        return value, np.zeros_like(z)
    if name == "sigmoid_mse":
        p = 0.5 * (1 + np.tanh(0.5 * z))
        error = p - y
        return float(np.mean(np.square(error))), 2 * error * p * (1 - p) / np.float32(error.size)
    if name == "gaussian":
        mean, log_spread = z[:, :1], np.clip(z[:, 1:], -6, 6)
        scaled = (y - mean) * np.exp(-log_spread)
        value = float(np.mean(0.5 * np.square(scaled) + log_spread))
        gradient = np.concatenate([-scaled * np.exp(-log_spread), 1 - np.square(scaled)], axis=1)
        return value, (gradient / np.float32(n)).astype(np.float32)
    raise ValueError(f"no loss named {name}")
