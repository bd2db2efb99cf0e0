"""The trainings: each a question that people really asked, or a fault that they really make. Pure NumPy, seeded.

Every function yields one `Measurement` a step and stops by itself; nothing here knows that it is being watched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from losswatch_server.demo.network import SGD, Adam, Array, Network, norm


class Measurement(NamedTuple):
    """What a training loop knows after a step."""

    step: int
    loss: float
    grad_norm: float
    validation_loss: float | None = None
    learning_rate: float | None = None


Training = Iterator[Measurement]


def _float32(values: object) -> Array:
    return np.asarray(values, dtype=np.float32)


def _full_batch(network: Network, optimizer: SGD | Adam, x: Array, y: Array, loss: str, steps: int) -> Training:
    """Gradient descent on all samples at once; the loss is the one before the step, as frameworks report it."""
    with np.errstate(all="ignore"):
        for step in range(1, steps + 1):
            value, gradients = network.gradients(x, y, loss)
            optimizer.step(network.parameters, gradients)
            yield Measurement(step, value, norm(gradients))


def _batches(
    network: Network,
    optimizer: SGD | Adam,
    x: Array,
    y: Array,
    loss: str,
    epochs: int,
    rng: np.random.Generator,
    batch: int = 32,
) -> Training:
    """Mini-batches, shuffled anew in each epoch; a measurement for each batch."""
    step = 0
    with np.errstate(all="ignore"):
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x), batch):
                chosen = order[start : start + batch]
                value, gradients = network.gradients(x[chosen], y[chosen], loss)
                optimizer.step(network.parameters, gradients)
                step += 1
                yield Measurement(step, value, norm(gradients))


def linear_model(learning_rate: float = 0.01, samples: int = 20, epochs: int = 500) -> Training:
    """One linear unit learns y = x/2 from x = 1..samples, as Keras does it: plain SGD, all samples in one batch.

    The Hessian's largest eigenvalue for 20 samples is 288.539: above a learning rate of 0.0069315 it must diverge.
    """
    x = _float32(np.arange(1, samples + 1)).reshape(-1, 1)
    network = Network((1, 1), ("linear",), np.random.default_rng(0))
    network.parameters[0][:] = -1.2728  # a start within Glorot's range (+-1.73)
    yield from _full_batch(network, SGD(learning_rate), x, x / 2, "mse", epochs)


def tanh_network(learning_rate: float = 1.0, epochs: int = 100, separation: float = 0.3, inputs: int = 2) -> Training:
    """Two hidden tanh layers of 128 and 64, one sigmoid, full batches; the first weights all positive and unscaled.

    In float64, as plain NumPy code is. Classes that lie further apart saturate the sigmoid, and 0 x log(0) is NaN.
    """
    rng = np.random.default_rng(4)
    y = (np.arange(1000) % 2).reshape(-1, 1).astype(np.float64)
    x = rng.normal(size=(1000, inputs)) + (y - 0.5) * separation
    network = Network((inputs, 128, 64, 1), ("tanh", "tanh", "sigmoid"), rng, np.float64)
    network.parameters[0::2] = [rng.random((inputs, 128)), rng.normal(size=(128, 64)), rng.normal(size=(64, 1))]
    yield from _full_batch(network, SGD(learning_rate), x, y, "bce", epochs)


def three_points(learning_rate: float = 1e-5, activation: str = "linear", epochs: int = 10_000) -> Training:
    """A hidden layer of ten without an activation fits three points that lie on no line: 0.0057 is its optimum."""
    x = _float32([[-1.0], [0.0], [1.0]])
    y = _float32([[-0.2445248], [0.1232554], [0.1713998]])
    network = Network((1, 10, 1), (activation, "linear"), np.random.default_rng(3))
    yield from _full_batch(network, Adam(learning_rate), x, y, "mse", epochs)


def scaled_inputs(standardised: bool = False, epochs: int = 10) -> Training:
    """Inputs up to 1000 into Dense(10, relu) and Dense(1): the scale of the inputs is all that the loss shows."""
    rng = np.random.default_rng(1)
    x = _float32(rng.random((100, 10)) * 1000)
    y = _float32(rng.random((100, 1)))
    if standardised:
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    network = Network((10, 10, 1), ("relu", "linear"), rng)
    yield from _batches(network, Adam(0.001), x, y, "mse", epochs, rng, batch=10)


def sine_targets(hidden: bool = False, epochs: int = 100) -> Training:
    """A sine of the row number from rows of noise: one linear unit stays high, two hidden layers of 50 learn it."""
    rng = np.random.default_rng(2)
    x = _float32(rng.random((100, 100)))
    y = _float32(np.sin(np.linspace(0, 10, 100))).reshape(-1, 1)
    sizes, activations = ((100, 50, 50, 1), ("relu", "relu", "linear")) if hidden else ((100, 1), ("linear",))
    network = Network(sizes, activations, rng)
    if not hidden:
        # small weights, as hand-written TensorFlow has them: Glorot's only add a start five times too high to undo
        network.parameters[0] = _float32(0.01 * rng.normal(size=(100, 1)))
    yield from _batches(network, Adam(0.001), x, y, "mse", epochs, rng)


def random_labels(loss: str = "mse", epochs: int = 100) -> Training:
    """Two classes drawn by chance, a sigmoid output: with squared error hardly anything moves."""
    rng = np.random.default_rng(5)
    x = _float32(rng.random((100, 10)))
    y = _float32(rng.integers(0, 2, (100, 1)))
    yield from _batches(Network((10, 1), ("sigmoid",), rng), Adam(0.001), x, y, loss, epochs, rng)


def _regression(rng: np.random.Generator, samples: int, noise: float) -> tuple[Array, Array]:
    x = _float32(rng.normal(size=(samples, 8)))
    y = np.tanh(x @ _float32(rng.normal(size=(8, 3)))) @ _float32(rng.normal(size=(3, 1)))
    return x, y + _float32(rng.normal(0, noise, (samples, 1)))


def bad_batch(at: int = 180, epochs: int = 24) -> Training:
    """A training that goes well until one batch comes with its targets in other units."""
    rng = np.random.default_rng(6)
    x, y = _regression(rng, 512, 0.1)
    network = Network((8, 32, 1), ("tanh", "linear"), rng)
    optimizer = SGD(0.05)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), 32):
            chosen = order[start : start + 32]
            step += 1
            targets = y[chosen] * 10 if step == at else y[chosen]
            value, gradients = network.gradients(x[chosen], targets, "mse")
            optimizer.step(network.parameters, gradients)
            yield Measurement(step, value, norm(gradients))


def dead_relu(steps: int = 300) -> Training:
    """Biases of -10: no unit ever fires, no gradient flows back, and the loss stands where it started."""
    rng = np.random.default_rng(7)
    x, y = _regression(rng, 256, 0.05)
    network = Network((8, 32, 1), ("relu", "relu"), rng)
    network.parameters[1][:] = -10.0
    network.parameters[3][:] = -1.0
    yield from _batches(network, SGD(0.05), x, y, "mse", steps // 8, rng)


def forgotten_zero_grad(learning_rate: float = 0.03, steps: int = 300) -> Training:
    """Gradients are added up and never cleared: each step is the sum of all steps before."""
    rng = np.random.default_rng(8)
    x, y = _regression(rng, 256, 0.05)
    network = Network((8, 32, 1), ("tanh", "linear"), rng)
    kept = [np.zeros_like(parameter) for parameter in network.parameters]
    with np.errstate(all="ignore"):
        for step in range(1, steps + 1):
            chosen = rng.integers(0, len(x), 32)
            value, gradients = network.gradients(x[chosen], y[chosen], "mse")
            for total, gradient in zip(kept, gradients, strict=True):
                total += gradient
            SGD(learning_rate).step(network.parameters, kept)
            yield Measurement(step, value, norm(kept))


def overfitting(epochs: int = 400) -> Training:
    """Forty noisy samples and a network of hundreds of weights: it learns them by heart, and validation turns."""
    rng = np.random.default_rng(9)
    x, y = _regression(rng, 440, 0.5)
    x, x_valid, y, y_valid = x[:40], x[40:], y[:40], y[40:]
    network = Network((8, 64, 1), ("tanh", "linear"), rng)
    optimizer = Adam(0.01)
    for epoch in range(1, epochs + 1):
        value, gradients = network.gradients(x, y, "mse")
        optimizer.step(network.parameters, gradients)
        yield Measurement(epoch, value, norm(gradients), validation_loss=network.loss(x_valid, y_valid, "mse"))
