"""Runs in which nothing is wrong, by construction: nine kinds of noise on three healthy shapes.

The noise families are those on which sequential tests are known to fail: correlated, long-memory, heavy-tailed,
modulated, periodic and rounded. Every alarm on them is false, but for what a shape itself deserves (``deserved``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from benchmarks.detection.labels import HEALTHY, Label, LabelledRun
from losswatch_server.monitor.points import Context, Point

Array = NDArray[np.float64]
SPREAD = 0.05
"""Marginal standard deviation of the loss's noise; the shapes start at 5 (the flat one rests at 2)."""
QUANTUM = 0.05


def correlated(phi: float) -> Callable[[np.random.Generator, int], Array]:
    """A first-order autoregression of marginal variance 1."""

    def make(generator: np.random.Generator, n: int) -> Array:
        shocks = generator.normal(0, np.sqrt(1 - phi * phi), n)
        shocks[0] = generator.normal()
        out: Array = lfilter([1.0], [1.0, -phi], shocks)
        return out

    return make


def long_memory(generator: np.random.Generator, n: int) -> Array:
    """White noise and a slow autoregression on top of it."""
    return (generator.normal(0, 1, n) + 0.7 * correlated(0.98)(generator, n)) / np.sqrt(1.49)


def heavy_tailed(generator: np.random.Generator, n: int) -> Array:
    """Student's t with three degrees of freedom, variance 1."""
    return generator.standard_t(3, n) / np.sqrt(3)


def modulated(generator: np.random.Generator, n: int) -> Array:
    """White noise whose standard deviation swings between 1.8 and 1/1.8 with a period of 5600 points."""
    swing = np.sin(2 * np.pi * (np.arange(n) / 5600 + generator.random()))
    return generator.normal(0, 1, n) * 1.8**swing


def sawtooth(generator: np.random.Generator, n: int) -> Array:
    """A rise within every epoch of 97 points and a fall at its end, with white noise."""
    phase = (np.arange(n) + generator.integers(97)) % 97 / 97
    return (generator.normal(0, 1, n) + 2 * (phase - 0.5)) / np.sqrt(1 + 1 / 3)


FAMILIES: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "white": correlated(0.0),
    "ar-0.5": correlated(0.5),
    "ar-0.9": correlated(0.9),
    "ar-0.98": correlated(0.98),
    "white+ar-0.98": long_memory,
    "t3": heavy_tailed,
    "modulated": modulated,
    "sawtooth": sawtooth,
    "rounded": correlated(0.0),
}

NOT_MOVING = ("not_learning", "plateau", "slow_convergence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The level of the loss and of the gradient norm; ``deserved`` may fairly be said of it."""

    level: Callable[[Array, int], Array]
    gradient: Callable[[Array, int], Array]
    deserved: tuple[str, ...] = ()


SHAPES: dict[str, Shape] = {
    "learning": Shape(level=lambda t, n: 2 + 3 * (t + 1) ** -0.4, gradient=lambda t, n: 0.5 + (t + 1) ** -0.4),
    "settled": Shape(
        level=lambda t, n: 0.3 + 4.7 * np.exp(-20 * t / n), gradient=lambda t, n: 0.3 + np.exp(-20 * t / n)
    ),
    "flat": Shape(level=lambda t, n: 2 + 0 * t, gradient=lambda t, n: 0.5 + 0 * t, deserved=NOT_MOVING),
}


def null_run(family: str, shape: str, n: int, seed: int) -> LabelledRun:
    """One run of n points with loss, gradient norm (log-normal about its level) and some validation losses."""
    generator = np.random.default_rng([seed, sorted(FAMILIES).index(family), sorted(SHAPES).index(shape), n])
    noise, form, t = FAMILIES[family], SHAPES[shape], np.arange(n, dtype=float)
    loss = form.level(t, n) + SPREAD * (0.3 if family == "rounded" else 1.0) * noise(generator, n)
    norm = form.gradient(t, n) * np.exp(0.15 * noise(generator, n))
    held = form.level(t, n) + 0.1 + 0.2 * SPREAD * generator.normal(0, 1, n)
    if family == "rounded":
        loss = QUANTUM * np.round(loss / QUANTUM)
    every = max(1, n // 40)
    points = tuple(
        Point(
            step=i,
            loss=float(loss[i]),
            grad_norm=float(norm[i]),
            validation_loss=float(held[i]) if i % every == every - 1 else None,
        )
        for i in range(n)
    )
    label = Label(condition=HEALTHY, also_ok=form.deserved, why=f"{family} noise on a {shape} level")
    return LabelledRun(
        id=f"null-{family}-{shape}-{n}-{seed}",
        points=points,
        context=Context(),
        label=label,
        family=family,
        notes={"shape": shape},
    )


def null_runs(lengths: tuple[int, ...], seeds: range) -> list[LabelledRun]:
    """Every family on every shape, length and seed."""
    return [
        null_run(family, shape, n, seed) for n in lengths for seed in seeds for family in FAMILIES for shape in SHAPES
    ]
