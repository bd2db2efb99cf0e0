"""Thousands of made-up trainings of every kind, for tests that read what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context, Point

Rng = np.random.Generator
Curve = Callable[[Rng, int], list[float]]


def _falling(rng: Rng, n: int) -> list[float]:
    start, floor, span = 10 ** rng.uniform(-1, 2), rng.uniform(0, 0.9), n * rng.uniform(0.02, 2)
    noise = 10 ** rng.uniform(-4, -0.5)
    return [start * (floor + (1 - floor) * math.exp(-i / span)) * (1 + noise * rng.normal()) for i in range(n)]


def _flat(rng: Rng, n: int) -> list[float]:
    level = rng.choice([math.log(10), math.log(2), 10 ** rng.uniform(-2, 2)])
    return (level * (1 + 10 ** rng.uniform(-5, -1) * rng.normal(size=n))).tolist()


def _constant(rng: Rng, n: int) -> list[float]:
    return [round(10 ** rng.uniform(-2, 2), 4)] * n


def _blows_up_and_settles(rng: Rng, n: int) -> list[float]:
    top, level = 10 ** rng.uniform(2, 30), 10 ** rng.uniform(-1, 4)
    return [2.0, *(max(level * (1 + 0.02 * rng.normal()), top * 0.1**i) for i in range(n - 1))]


def _began_within_an_explosion(rng: Rng, n: int) -> list[float]:
    top = 10 ** rng.uniform(8, 30)
    return [top * math.exp(-i * rng.uniform(0.5, 0.7)) + 50.0 for i in range(n)]


def _grows(rng: Rng, n: int) -> list[float]:
    rate = rng.uniform(1.05, 4)
    return [min(rng.uniform(0.5, 3) if i == 0 else 2 * rate**i, 1e300) for i in range(n)]


def _learns_then_rises(rng: Rng, n: int) -> list[float]:
    turn, rise = int(n * rng.uniform(0.3, 0.8)), rng.uniform(0.01, 0.3)
    return [
        2.3 * math.exp(-i / (0.3 * turn + 1)) + 0.2 + 0.01 * rng.random() if i < turn
        else min(0.3 * math.exp(rise * (i - turn)), 1e200) for i in range(n)
    ]  # fmt: skip


def _spikes(rng: Rng, n: int) -> list[float]:
    losses = _falling(rng, n)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(n // 3, n))
        for k in range(min(int(rng.integers(1, 8)), n - at)):
            losses[at + k] *= 10 ** rng.uniform(0.5, 3)
    return losses


def _swings(rng: Rng, n: int) -> list[float]:
    period, size = rng.uniform(2, 40), rng.uniform(0.2, 0.9)
    return [1 + size * math.sin(2 * math.pi * i / period) + 0.05 * rng.normal() for i in range(n)]


def _wanders(rng: Rng, n: int) -> list[float]:
    return (np.abs(np.cumsum(rng.normal(0, 10 ** rng.uniform(-2, 0), n)) + 3) + 1e-3).tolist()


def _never_finite(rng: Rng, n: int) -> list[float]:
    return [math.nan] * n


def _ends_in_nan(rng: Rng, n: int) -> list[float]:
    losses = _falling(rng, n)
    at = int(rng.integers(1, n))
    return [*losses[:at], *([math.nan] * (n - at))]


def _nan_now_and_then(rng: Rng, n: int) -> list[float]:
    return [math.nan if rng.random() < 0.05 else loss for loss in _falling(rng, n)]


CURVES: tuple[Curve, ...] = (
    _falling, _flat, _constant, _blows_up_and_settles, _began_within_an_explosion, _grows, _learns_then_rises, _spikes,
    _swings, _wanders, _never_finite, _ends_in_nan, _nan_now_and_then,
)  # fmt: skip


def context(rng: Rng) -> Context:
    """What a client might say of its job; often nothing."""
    maybe = lambda values: rng.choice(np.array(values, dtype=object)) if rng.random() < 0.5 else None  # noqa: E731
    facts = None
    if rng.random() < 0.3:
        facts = ModelFacts(
            parameters=int(10 ** rng.uniform(1, 6)),
            optimizer_parameters=maybe([0, 100]),
            hidden_activations=maybe([("linear",), ("relu", "relu"), ("tanh",)]),
            output_activation=maybe(["softmax", "linear", "sigmoid"]),
            loss_expects=maybe(["logits", "probabilities", "values"]),
            input_std=maybe([1.0, 80.0, 0.001]),
            input_mean=maybe([0.0, 120.0]),
            shuffled=maybe([True, False]),
            dead_unit_share=maybe([0.0, 0.9]),
            update_to_weight=maybe([0.0, 1e-6, 1e-3, 0.2]),
        )
    return Context(
        optimizer=maybe(["sgd", "adam", "adamw", "adadelta", "lion", "muon", "odd"]),
        learning_rate=maybe([1e-6, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0]),
        momentum=maybe([0.0, 0.9, 0.999]),
        batch_size=maybe([1, 4, 32, 512]),
        loss_name=maybe(["mse", "cross_entropy", "binary_cross_entropy", "mae"]),
        num_classes=maybe([2, 10]),
        total_steps=maybe([100, 1000, 100_000]),
        weight_decay=maybe([0.0, 1e-4, 0.5]),
        warmup_steps=maybe([0, 50]),
        grad_clip=maybe([1e-3, 1.0]),
        precision=maybe(["fp16", "fp32", "bf16"]),
        step_unit=maybe(["step", "epoch"]),
        facts=facts,
    )


def trainings(count: int, seed: int = 0) -> Iterator[tuple[str, list[Point], Context]]:
    """Name, points and context of so many trainings: each is the same whenever it is asked for."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        curve = CURVES[number % len(CURVES)]
        n = int(10 ** rng.uniform(0.3, 2.5))
        losses = curve(rng, max(n, 2))
        given = context(rng)
        first, every = (int(rng.integers(0, 2)), 1) if rng.random() < 0.8 else (int(rng.integers(5000, 90_000)), 10)
        norms: list[float | None] = [None] * len(losses)
        if rng.random() < 0.6:
            drift, start = rng.uniform(-0.03, 0.03), 10 ** rng.uniform(-3, 3)
            norms = [float(start * math.exp(drift * i) * math.exp(0.2 * rng.normal())) for i in range(len(losses))]
            if rng.random() < 0.2:
                norms = [math.nan if rng.random() < 0.1 else norm for norm in norms if norm is not None]
        rates = [given.learning_rate] * len(losses)
        if given.learning_rate and rng.random() < 0.3:
            cut, factor = int(rng.integers(0, len(losses))), float(rng.choice([0.01, 0.1, 10.0]))
            rates = [given.learning_rate * (1.0 if i < cut else factor) for i in range(len(losses))]
        held = rng.random() < 0.3
        points = [
            Point(
                first + every * i,
                loss=loss,
                grad_norm=norms[i],
                learning_rate=rates[i],
                validation_loss=abs(loss) * float(rng.uniform(0.9, 2)) if held and i % 5 == 0 else None,
            )
            for i, loss in enumerate(losses)
        ]
        yield f"{curve.__name__}-{number}", points, given
