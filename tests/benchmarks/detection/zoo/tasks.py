"""The data sets of the zoo: small, synthetic, seeded, each with a known difficulty.

All inputs have mean 0 and variance 1 a column, regression targets variance 1; a recipe's ``input_scale``,
``input_offset`` and ``target_scale`` undo that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
TRAIN, HELD_OUT = 4096, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """``x`` (n, d), ``y`` (n, 1) for regression or (n,) class numbers; the last 512 rows are held out."""

    name: str
    x: Array
    y: NDArray[np.float32] | NDArray[np.int64]
    classes: int
    """0 for regression."""

    @property
    def outputs(self) -> int:
        """Output units: one for regression, one a class otherwise."""
        return max(1, self.classes)

    def chance(self) -> float:
        """The loss of the best constant: the targets' variance, or the entropy of the classes."""
        if self.classes == 0:
            return float(np.var(self.y[:TRAIN]))
        shares = np.bincount(self.y[:TRAIN].astype(np.int64), minlength=self.classes) / TRAIN
        return float(-np.sum(shares * np.log(np.maximum(shares, 1e-12))))


def standardized(values: NDArray[np.float64]) -> Array:
    """Mean 0, variance 1 a column."""
    return ((values - values.mean(axis=0)) / (values.std(axis=0) + 1e-12)).astype(np.float32)


def rings(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Three concentric rings in a plane, six noise columns beside."""
    y = generator.integers(0, 3, n)
    angle = generator.uniform(0, 2 * np.pi, n)
    radius = 1.0 + y + generator.normal(0, 0.12, n)
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return np.hstack([plane, generator.normal(0, 1, (n, 6))]), y, 3


def glyphs(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Twelve random 7x7 patterns, shifted by up to one pixel and noisy: a small picture classification."""
    patterns = generator.random((12, 7, 7)) < 0.4
    y = generator.integers(0, 12, n)
    shifts = generator.integers(-1, 2, (n, 2))
    x = np.stack([np.roll(patterns[k], tuple(s), axis=(0, 1)) for k, s in zip(y, shifts, strict=True)])
    return x.reshape(n, 49) + generator.normal(0, 0.35, (n, 49)), y, 12


def tokens(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Next-token-like: 24 classes from a noisy non-linear teacher; the best loss is far from 0."""
    x = generator.normal(0, 1, (n, 16))
    hidden = np.tanh(x @ generator.normal(0, 0.6, (16, 24)))
    logits = 1.6 * hidden @ generator.normal(0, 0.7, (24, 24))
    y = np.argmax(logits + generator.gumbel(0, 1, (n, 24)), axis=1)
    return x, y, 24


def checkerboard(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Two classes on a 4x4 checkerboard: nothing linear helps, the start is flat."""
    x = generator.uniform(-2, 2, (n, 2))
    return x, (np.floor(x[:, 0]) + np.floor(x[:, 1])).astype(np.int64) % 2, 2


def friedman(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Friedman (1991) regression: 10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5 + noise, ten columns."""
    x = generator.random((n, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return x, y + generator.normal(0, 0.7, n), 0


def chirp(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """A sine of growing frequency on one input: a line explains next to nothing."""
    x = generator.uniform(-1, 1, (n, 1))
    return x, np.sin(2.5 * np.pi * (x[:, 0] + 0.4 * x[:, 0] ** 2)) + generator.normal(0, 0.1, n), 0


def teacher(generator: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Regression on a random two-layer tanh teacher of 12 correlated inputs (condition number about 30)."""
    x = generator.normal(0, 1, (n, 12)) @ (generator.normal(0, 0.45, (12, 12)) + np.eye(12))
    hidden = np.tanh(x @ generator.normal(0, 0.5, (12, 20)))
    return x, hidden @ generator.normal(0, 1, 20) + generator.normal(0, 0.15, n), 0


MAKERS = {f.__name__: f for f in (rings, glyphs, tokens, checkerboard, friedman, chirp, teacher)}


@lru_cache(maxsize=64)
def task(name: str, seed: int) -> Task:
    """The task of that name; another seed draws other patterns, teachers and samples."""
    generator = np.random.default_rng([seed, sorted(MAKERS).index(name)])
    x, y, classes = MAKERS[name](generator, TRAIN + HELD_OUT)
    target = y.astype(np.int64) if classes else standardized(y.astype(np.float64)[:, None])
    return Task(name=name, x=standardized(x), y=target, classes=classes)
