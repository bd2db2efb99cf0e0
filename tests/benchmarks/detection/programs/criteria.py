"""Losses: the right ones, and the wrong ones that people pick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.programs.autodiff import (
    Tensor,
    exp,
    log_softmax,
    mean,
    part,
    picked,
    relu,
    sigmoid,
    square,
    tensor,
    transpose,
)

Targets = NDArray[Any]


def cross_entropy(z: Tensor, y: Targets) -> Tensor:
    """Mean negative log-likelihood of the labels, z (..., classes)."""
    return mean(picked(log_softmax(z), y)) * -1.0


def squared_error(z: Tensor, y: Targets) -> Tensor:
    """Mean squared error."""
    return mean(square(z - tensor(y)))


def double_softmax(z: Tensor, y: Targets) -> Tensor:
    """The softmax is already in the model."""
    return cross_entropy(exp(log_softmax(z)), y)


def likelihood_without_logarithm(z: Tensor, y: Targets) -> Tensor:
    """The negative probability of the labels: a negative loss whose gradient is faint where the model is wrong."""
    return mean(picked(exp(log_softmax(z)), y)) * -1.0


def softmax_over_batch(z: Tensor, y: Targets) -> Tensor:
    """The softmax runs over the samples instead of the classes."""
    flat = z if z.value.ndim == 2 else part(z, (slice(None), -1))
    labels = y if y.ndim == 1 else y[:, -1]
    return mean(picked(transpose(log_softmax(transpose(flat))), labels)) * -1.0


def class_numbers(z: Tensor, y: Targets) -> Tensor:
    """A squared error against the numbers of the classes, of the first output."""
    return mean(square(part(z, (..., 0)) - tensor(y)))


def squashed(z: Tensor, y: Targets) -> Tensor:
    """A sigmoid before a squared error whose targets are not in 0..1."""
    return squared_error(sigmoid(z), y)


def clipped_output(z: Tensor, y: Targets) -> Tensor:
    """A ReLU after the output layer: half of the targets are out of reach."""
    return squared_error(relu(z), y)


def broadcast(z: Tensor, y: Targets) -> Tensor:
    """A column of answers against a row of targets: every answer is held to every target."""
    return mean(square(part(z, (slice(None), slice(0, 1))) - tensor(y[:, :1].T)))


def signed_error(z: Tensor, y: Targets) -> Tensor:
    """The error is not squared: the loss has no floor."""
    return mean(z - tensor(y))


WRONG: dict[str, Callable[[Tensor, Targets], Tensor]] = {
    f.__name__: f
    for f in (
        double_softmax,
        likelihood_without_logarithm,
        softmax_over_batch,
        class_numbers,
        squashed,
        clipped_output,
        broadcast,
        signed_error,
    )
}
BELIEVED_OUTPUT = {"double_softmax": "softmax", "likelihood_without_logarithm": "softmax", "squashed": "sigmoid"}
"""What an integration sees the model end with."""


def softmax_of(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row by row, of plain arrays."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    out: NDArray[np.float32] = e / e.sum(axis=-1, keepdims=True)
    return out
