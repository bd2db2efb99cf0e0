"""Reverse-mode differentiation over NumPy arrays: as little of it as the programs of the zoo need.

Every operation appends the function that hands its gradient on to one tape; ``backward`` runs the tape from its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_TAPE: list[Callable[[], None]] = []


class Tensor:
    """A value and its gradient. ``learned``: the gradient is a buffer that is added to, as a parameter's is."""

    __slots__ = ("constant", "gradient", "learned", "value")

    def __init__(self, value: Any, *, constant: bool = False, gradient: Array | None = None) -> None:
        self.value = value
        self.gradient = gradient
        self.learned = gradient is not None
        self.constant = constant

    def take(self, gradient: Array) -> None:
        """Add to the gradient, summed over what was broadcast."""
        if self.constant:
            return
        shape = self.value.shape
        if gradient.shape != shape:
            gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
            repeated = tuple(i for i, n in enumerate(shape) if n == 1 and gradient.shape[i] != 1)
            gradient = gradient.sum(axis=repeated, keepdims=True) if repeated else gradient
        if self.learned:
            self.gradient += gradient
        else:
            self.gradient = gradient if self.gradient is None else self.gradient + gradient

    def __add__(self, other: Tensor | float) -> Tensor:
        return add(self, tensor(other))

    __radd__ = __add__

    def __neg__(self) -> Tensor:
        return self * -1.0

    def __sub__(self, other: Tensor | float) -> Tensor:
        return add(self, tensor(other) * -1.0)

    def __rsub__(self, other: float) -> Tensor:
        return tensor(other) - self

    def __mul__(self, other: Tensor | float) -> Tensor:
        return multiply(self, tensor(other))

    __rmul__ = __mul__

    def __matmul__(self, other: Tensor) -> Tensor:
        return matmul(self, other)


def tensor(value: Any) -> Tensor:
    """The tensor itself, or a constant."""
    return value if isinstance(value, Tensor) else Tensor(np.asarray(value, np.float32), constant=True)


def forget() -> None:
    """Empty the tape: what was computed will not be differentiated."""
    _TAPE.clear()


def backward(out: Tensor, seed: float = 1.0) -> None:
    """The gradient of a scalar (times ``seed``) into everything it was made of; empties the tape."""
    out.gradient = np.full_like(out.value, seed)
    for hand_on in reversed(_TAPE):
        hand_on()
    _TAPE.clear()


def record(value: Any, hand_on: Callable[[Array], None]) -> Tensor:
    """A new tensor of that value; ``hand_on`` gets its gradient."""
    out = Tensor(value)

    def step() -> None:
        if out.gradient is not None:
            hand_on(out.gradient)

    _TAPE.append(step)
    return out


def add(a: Tensor, b: Tensor) -> Tensor:
    """a + b, broadcast."""

    def hand_on(g: Array) -> None:
        a.take(g)
        b.take(g)

    return record(a.value + b.value, hand_on)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """a * b, broadcast."""

    def hand_on(g: Array) -> None:
        if not a.constant:
            a.take(g * b.value)
        if not b.constant:
            b.take(g * a.value)

    return record(a.value * b.value, hand_on)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a @ b over the last two axes."""

    def hand_on(g: Array) -> None:
        if not a.constant:
            a.take(g @ np.swapaxes(b.value, -1, -2))
        if not b.constant:
            b.take(np.swapaxes(a.value, -1, -2) @ g)

    return record(a.value @ b.value, hand_on)


def affine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x @ w + b for x of shape (..., inputs)."""

    def hand_on(g: Array) -> None:
        flat = g.reshape(-1, g.shape[-1])
        w.take(x.value.reshape(-1, x.value.shape[-1]).T @ flat)
        b.take(flat.sum(axis=0))
        if not x.constant:
            x.take(g @ w.value.T)

    return record(x.value @ w.value + b.value, hand_on)


def elementwise(value: Array, slope: Callable[[], Array], x: Tensor) -> Tensor:
    """A function of each element; its slope is computed only when asked for."""
    return record(value, lambda g: x.take(g * slope()))


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return elementwise(np.maximum(x.value, 0), lambda: (x.value > 0).astype(np.float32), x)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    y = np.tanh(x.value)
    return elementwise(y, lambda: 1 - y * y, x)


def sigmoid(x: Tensor) -> Tensor:
    """Logistic."""
    y = 0.5 * (1 + np.tanh(0.5 * x.value))
    return elementwise(y, lambda: y * (1 - y), x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return elementwise(np.logaddexp(0, x.value), lambda: 0.5 * (1 + np.tanh(0.5 * x.value)), x)


def exp(x: Tensor) -> Tensor:
    """e to the x."""
    y = np.exp(x.value)
    return elementwise(y, lambda: y, x)


def log(x: Tensor) -> Tensor:
    """Natural logarithm."""
    return elementwise(np.log(x.value), lambda: 1 / x.value, x)


def square(x: Tensor) -> Tensor:
    """x squared."""
    return elementwise(x.value * x.value, lambda: 2 * x.value, x)


def absolute(x: Tensor) -> Tensor:
    """|x|."""
    return elementwise(np.abs(x.value), lambda: np.sign(x.value), x)


def reciprocal(x: Tensor) -> Tensor:
    """1 / x."""
    y = 1 / x.value
    return elementwise(y, lambda: -y * y, x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "linear": lambda x: x,
}


def mean(x: Tensor) -> Tensor:
    """The mean of all elements."""
    share = np.float32(1 / x.value.size)
    return record(x.value.sum() * share, lambda g: x.take(np.full(x.value.shape, g * share, np.float32)))


def total(x: Tensor, axis: int = -1) -> Tensor:
    """The sum over an axis."""
    return record(x.value.sum(axis=axis), lambda g: x.take(np.broadcast_to(np.expand_dims(g, axis), x.value.shape)))


def average(x: Tensor, axis: int) -> Tensor:
    """The mean over an axis."""
    return total(x, axis) * (1.0 / x.value.shape[axis])


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same elements in another shape."""
    return record(x.value.reshape(shape), lambda g: x.take(g.reshape(x.value.shape)))


def transpose(x: Tensor) -> Tensor:
    """The last two axes swapped."""
    return record(np.swapaxes(x.value, -1, -2), lambda g: x.take(np.swapaxes(g, -1, -2)))


def part(x: Tensor, index: Any) -> Tensor:
    """x[index] for an index of slices and whole numbers."""

    def hand_on(g: Array) -> None:
        spread = np.zeros_like(x.value)
        spread[index] = g
        x.take(spread)

    return record(x.value[index], hand_on)


def rows(table: Tensor, chosen: NDArray[np.int64]) -> Tensor:
    """An embedding: the rows of a table, ``chosen`` of any shape."""

    def hand_on(g: Array) -> None:
        spread = np.zeros_like(table.value)
        np.add.at(spread, chosen.reshape(-1), g.reshape(-1, g.shape[-1]))
        table.take(spread)

    return record(table.value[chosen], hand_on)


def joined(parts: list[Tensor]) -> Tensor:
    """Side by side along the last axis."""
    ends = np.cumsum([p.value.shape[-1] for p in parts])[:-1]

    def hand_on(g: Array) -> None:
        for p, piece in zip(parts, np.split(g, ends, axis=-1), strict=True):
            p.take(piece)

    return record(np.concatenate([p.value for p in parts], axis=-1), hand_on)


def convolution(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x (n, time, channels), w (width, channels, out): valid convolution over time."""
    width = w.value.shape[0]
    length = x.value.shape[1] - width + 1
    pieces = [x.value[:, k : k + length] for k in range(width)]

    def hand_on(g: Array) -> None:
        flat = g.reshape(-1, g.shape[-1])
        w.take(np.stack([p.reshape(-1, p.shape[-1]).T @ flat for p in pieces]))
        b.take(flat.sum(axis=0))
        if not x.constant:
            spread = np.zeros_like(x.value)
            for k in range(width):
                spread[:, k : k + length] += g @ w.value[k].T
            x.take(spread)

    return record(sum(p @ w.value[k] for k, p in enumerate(pieces)) + b.value, hand_on)


def log_softmax(z: Tensor) -> Tensor:
    """Over the last axis."""
    top = z.value - z.value.max(axis=-1, keepdims=True)
    out = top - np.log(np.exp(top).sum(axis=-1, keepdims=True))
    return record(out, lambda g: z.take(g - np.exp(out) * g.sum(axis=-1, keepdims=True)))


def picked(z: Tensor, labels: NDArray[np.int64]) -> Tensor:
    """z[..., label] for one label a row."""
    flat = z.value.reshape(-1, z.value.shape[-1])
    places = np.arange(len(flat)), labels.reshape(-1)

    def hand_on(g: Array) -> None:
        spread = np.zeros_like(flat)
        spread[places] = g.reshape(-1)
        z.take(spread.reshape(z.value.shape))

    return record(flat[places].reshape(labels.shape), hand_on)
