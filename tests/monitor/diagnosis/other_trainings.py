"""Made-up trainings of the kinds that a loss curve alone does not show: negative losses, excerpts, metrics, facts,
validation without training, boosting, reinforcement learning, layers, schedules, other units and other digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.points import Context, Point
from monitor.diagnosis.odd_trainings import CURVES, context

Rng = np.random.Generator
Training = tuple[list[Point], Context]


def _length(rng: Rng, least: float = 0.6, most: float = 2.6) -> int:
    return max(3, int(10 ** rng.uniform(least, most)))


def _any(rng: Rng, n: int) -> list[float]:
    return [float(v) for v in CURVES[int(rng.integers(len(CURVES)))](rng, n)]


def _plainly(rng: Rng) -> Context:
    """Half of all trainings say nothing of themselves."""
    return context(rng) if rng.random() < 0.5 else Context()


def _digits(values: list[float], digits: int) -> list[float]:
    return [v if not math.isfinite(v) else round(v, digits) for v in values]


def _negative(rng: Rng) -> Training:
    """Log likelihoods and sums of terms: below zero, through zero, without end or to a floor."""
    n = _length(rng)
    losses = np.array(_any(rng, n))
    shift = rng.choice([0.5, 1.0, 2.0, 20.0]) * float(np.nanmedian(np.abs(losses)) if np.isfinite(losses).any() else 1)
    if rng.random() < 0.3:
        losses = -(np.arange(n) ** rng.choice([0.5, 1.0, 2.0])) * 10 ** rng.uniform(-3, 4) + rng.normal(size=n)
    elif rng.random() < 0.2:
        losses = -losses
    else:
        losses = losses - shift
    name = rng.choice([None, "nll", "gaussian_nll", "elbo", "cosine", "triplet", "total_loss"])
    return [Point(i, float(v)) for i, v in enumerate(losses)], Context(loss_name=name)


def _excerpt(rng: Rng) -> Training:
    """A log that begins in the middle, of a run that went one way or another."""
    n = _length(rng, 1.0)
    losses = _any(rng, 2 * n)[n:]
    first, every = int(rng.integers(200, 400_000)), int(rng.choice([1, 10, 50, 500]))
    norms = _norms(rng, n) if rng.random() < 0.5 else [None] * n
    return [Point(first + every * i, loss, norms[i]) for i, loss in enumerate(losses)], _plainly(rng)


def _norms(rng: Rng, n: int) -> list[float | None]:
    drift, start = rng.uniform(-0.05, 0.05), 10 ** rng.uniform(-4, 4)
    return [float(start * math.exp(drift * i + rng.choice([0.05, 0.5]) * rng.normal())) for i in range(n)]


_METRICS = ("accuracy", "val_accuracy", "acc", "eval/f1", "val_auc", "perplexity", "error", "val_error", "top1",
            "sequence_accuracy", "reward", "lr_scale", "loss_scale", "train/grad_scale")  # fmt: skip


def _metric(rng: Rng, name: str, n: int) -> list[float]:
    x = np.arange(n) / n
    shape = rng.choice(["rises", "stays", "falls", "peaks", "one"])
    low, high = sorted(rng.uniform(0, 1, 2))
    way = {"rises": 1 - np.exp(-5 * x), "stays": 0 * x + 0.5, "falls": np.exp(-3 * x), "one": 0 * x + 1,
           "peaks": np.sin(np.pi * np.minimum(1.3 * x, 1))}[str(shape)]  # fmt: skip
    values = low + (high - low) * way + 10 ** rng.uniform(-3, -1.3) * rng.normal(size=n)
    if "scale" in name:
        values = 2.0 ** np.clip(np.round(16 * values), -4, 24)
    elif "perplexity" in name:
        values = np.exp(4 * values)
    else:
        values = np.clip(values, 0, 1) * (100 if rng.random() < 0.3 else 1)
    return [float(v) for v in np.round(values, 4)]


def _with_metrics(rng: Rng) -> Training:
    """Accuracies in shares and per cent, errors, rewards, scales of a loss scaler; beside any curve."""
    n = _length(rng)
    losses = _any(rng, n)
    names = [str(name) for name in rng.choice(_METRICS, size=int(rng.integers(1, 4)), replace=False)]
    columns = {name: _metric(rng, name, n) for name in names}
    every = int(rng.choice([1, 1, 5]))
    held = [abs(v) * float(rng.uniform(0.8, 2)) for v in _any(rng, n)] if rng.random() < 0.5 else None
    points = [
        Point(
            i,
            loss,
            validation_loss=held[i] if held and i % every == 0 else None,
            metrics={name: column[i] for name, column in columns.items()} if i % every == 0 else None,
        )
        for i, loss in enumerate(losses)
    ]
    return points, _plainly(rng)


_FACTS: dict[str, Callable[[Rng], Any]] = {
    "parameters": lambda r: int(10 ** r.uniform(1, 10)),
    "trainable_parameters": lambda r: int(r.choice([0, 10, 10**5])),
    "optimizer_parameters": lambda r: int(r.choice([0, 10, 10**5])),
    "hidden_activations": lambda r: (
        (str(r.choice(["linear", "relu", "sigmoid", "tanh", "gelu"])),) * int(r.integers(4))
    ),
    "output_activation": lambda r: str(r.choice(["softmax", "sigmoid", "linear", "relu", "tanh"])),
    "loss_expects": lambda r: str(r.choice(["logits", "probabilities", "values", "log_probabilities"])),
    "input_mean": lambda r: float(r.choice([0.0, 0.5, 130.0, -1e4, math.nan])),
    "input_std": lambda r: float(r.choice([0.0, 1e-4, 0.3, 1.0, 70.0, 1e5, math.inf])),
    "input_max_abs": lambda r: float(r.choice([1.0, 4.0, 255.0, 1e6])),
    "target_kind": lambda r: str(r.choice(["classes", "values"])),
    "target_mean": lambda r: float(r.choice([0.0, 20.0, 2e5])),
    "target_std": lambda r: float(r.choice([0.0, 1e-3, 1.0, 1e5])),
    "class_shares": lambda r: tuple(float(s) for s in r.dirichlet(np.full(int(r.integers(2, 12)), 0.5))),
    "dataset_size": lambda r: int(10 ** r.uniform(0, 7)),
    "shuffled": lambda r: bool(r.random() < 0.5),
    "normalization": lambda r: ("batch_norm",) * int(r.integers(2)),
    "initial_loss": lambda r: float(10 ** r.uniform(-2, 6)),
    "dead_unit_share": lambda r: float(r.choice([0.0, 0.2, 0.7, 1.0])),
    "saturated_unit_share": lambda r: float(r.choice([0.0, 0.2, 0.7, 1.0])),
    "update_to_weight": lambda r: float(r.choice([0.0, 1e-9, 1e-5, 1e-3, 0.1, 3.0])),
    "overfits_one_batch": lambda r: bool(r.random() < 0.5),
    "loss_scale": lambda r: float(2.0 ** r.integers(-3, 20)),
    "gradients_cleared": lambda r: bool(r.random() < 0.5),
}


def _stated(rng: Rng) -> Training:
    """Any of the facts, one by one and together, beside any curve."""
    n = _length(rng)
    share = rng.choice([0.08, 0.5])
    facts = ModelFacts(**{name: draw(rng) for name, draw in _FACTS.items() if rng.random() < share})
    given = Context(
        optimizer=rng.choice([None, "sgd", "adam", "adamw", "rmsprop"]),
        learning_rate=rng.choice([None, 1e-5, 1e-3, 0.1]),
        loss_name=rng.choice([None, "mse", "cross_entropy", "binary_cross_entropy", "hinge", "poisson_nll"]),
        num_classes=rng.choice([None, 2, 10, 1000]),
        step_unit=rng.choice([None, "step", "epoch"]),
        facts=facts,
    )
    norms = _norms(rng, n) if rng.random() < 0.5 else [None] * n
    return [Point(i, loss, norms[i]) for i, loss in enumerate(_any(rng, n))], given


def _validation_alone(rng: Rng) -> Training:
    """No training loss was ever sent."""
    n = _length(rng, 0.6, 1.8)
    metrics = _metric(rng, "accuracy", n)
    return [
        Point(i, validation_loss=v, metrics={"val_accuracy": metrics[i]} if rng.random() < 0.5 else None)
        for i, v in enumerate(_any(rng, n))
    ], _plainly(rng)


def _boosting(rng: Rng) -> Training:
    """Both losses in every round, smooth, of a booster that fits or overfits."""
    n = _length(rng, 1.0, 2.7)
    speed, floor = rng.uniform(0.005, 0.3), rng.uniform(0, 0.5)
    x = np.arange(1, n + 1)
    train = floor + (0.69 - floor) * np.exp(-speed * x)
    turn = rng.uniform(0.05, 2) * n
    held = train + rng.uniform(0, 0.1) + rng.uniform(0, 0.002) * np.maximum(x - turn, 0)
    digits = int(rng.integers(3, 7))
    losses, validations = _digits(train.tolist(), digits), _digits(held.tolist(), digits)
    given = Context(
        loss_name=str(rng.choice(["logloss", "rmse", "binary_logloss", "mlogloss", "l2", "mphe"])),
        step_unit=rng.choice([None, "epoch"]),
        framework=str(rng.choice(["xgboost", "lightgbm"])),
        learning_rate=rng.choice([None, 0.05, 0.3]),
    )
    first = int(rng.integers(2))
    return [Point(first + i, losses[i], validation_loss=validations[i]) for i in range(n)], given


def _reinforcement(rng: Rng) -> Training:
    """Losses about zero beside rewards; known by the names of columns, by the objective, or not at all."""
    n = _length(rng)
    losses = rng.normal(0, 10 ** rng.uniform(-3, 2), n) + rng.choice([0.0, 0.1, -0.05])
    reward = np.cumsum(rng.normal(0.1, 1, n))
    named = rng.choice(["objective", "columns", "nothing", "loss"])
    given = Context(
        objective="none" if named == "objective" else None,
        loss_name=str(rng.choice(["policy_loss", "critic_loss", "td_loss", "ppo"])) if named == "loss" else None,
    )
    names = ("rollout/ep_rew_mean", "reward") if named == "columns" else ("reward",)
    with_them = named != "nothing" or rng.random() < 0.5
    return [
        Point(
            2048 * i,
            math.nan if rng.random() < 0.005 else float(v),
            metrics=dict.fromkeys(names, float(reward[i])) if with_them else None,
        )
        for i, v in enumerate(losses)
    ], given


def _layered(rng: Rng) -> Training:
    """Gradient norms by layer: alike, vanishing towards the first, dead, or exploding."""
    n = _length(rng)
    depth = int(rng.integers(2, 12))
    slope, drift = rng.uniform(-4, 2), rng.uniform(-0.05, 0.05)
    dead = set(rng.integers(0, depth, int(rng.integers(0, depth + 1))).tolist()) if rng.random() < 0.3 else set()
    losses = _any(rng, n)
    points = []
    for i, loss in enumerate(losses):
        layers = {
            f"layer{k}": 0.0 if k in dead and i > n * 0.3
            else float(math.exp(slope * (depth - k) + drift * i + 0.2 * rng.normal())) for k in range(depth)
        }  # fmt: skip
        total = math.sqrt(sum(v * v for v in layers.values()))
        points.append(Point(i, loss, total, layers=layers))
    order = tuple(f"layer{k}" for k in range(depth)) if rng.random() < 0.5 else None
    return points, Context(layer_order=order, loss_name=rng.choice([None, "cross_entropy"]), num_classes=10)


def _scheduled(rng: Rng) -> Training:
    """Warm-ups, cosines, restarts, steps down: the rate moves, and so may the loss."""
    n = _length(rng, 1.2)
    peak, kind = 10 ** rng.uniform(-6, 0), rng.choice(["warmup", "cosine", "restarts", "steps", "raised"])
    x = np.arange(n) / n
    rates = (
        peak
        * {
            "warmup": np.minimum(1, 10 * x + 1e-3),
            "cosine": 0.5 * (1 + np.cos(np.pi * x)),
            "restarts": 0.5 * (1 + np.cos(np.pi * (4 * x % 1))),
            "steps": 0.1 ** np.floor(3 * x),
            "raised": np.where(x > 0.5, 10.0, 1.0),
        }[str(kind)]
    )
    given = Context(
        optimizer=str(rng.choice(["sgd", "adam", "adamw"])), learning_rate=peak, total_steps=int(n * rng.uniform(1, 4)),
        warmup_steps=rng.choice([None, n // 10]), batch_size=rng.choice([None, 8, 256]),
        loss_name=rng.choice([None, "mse", "cross_entropy"]),
    )  # fmt: skip
    return [Point(i, loss, learning_rate=float(rates[i])) for i, loss in enumerate(_any(rng, n))], given


def _other_units(rng: Rng) -> Training:
    """Dollars and photons, sums over a batch, whole numbers, three digits, one a thousand steps."""
    n = _length(rng)
    scale, digits = 10 ** rng.uniform(-12, 12), int(rng.integers(0, 5))
    losses = [v * scale for v in _any(rng, n)]
    if rng.random() < 0.6:
        losses = _digits(losses, digits)
    every, first = int(rng.choice([1, 10, 1000])), int(rng.integers(0, 2))
    epochs = bool(rng.random() < 0.4)
    given = Context(
        step_unit="epoch" if epochs else None, steps_per_epoch=rng.choice([None, 30, 1000]),
        steps_per_point=rng.choice([None, every]), full_batch=rng.choice([None, True]),
        baseline_loss=rng.choice([None, scale, 0.5 * scale]), loss_name=rng.choice([None, "mse", "sum_mse"]),
    )  # fmt: skip
    return [
        Point(first + (1 if epochs else every) * i, loss, epoch=float(i) if epochs else None)
        for i, loss in enumerate(losses)
    ], given


KINDS: tuple[Callable[[Rng], Training], ...] = (
    _negative, _excerpt, _with_metrics, _stated, _validation_alone, _boosting, _reinforcement, _layered, _scheduled,
    _other_units,
)  # fmt: skip


def other_trainings(count: int, seed: int = 0) -> Iterator[tuple[str, list[Point], Context]]:
    """Name, points and context of so many trainings: each is the same whenever it is asked for."""
    for number in range(count):
        rng = np.random.default_rng([7, seed, number])
        kind = KINDS[number % len(KINDS)]
        points, given = kind(rng)
        yield f"{kind.__name__}-{seed}-{number}", points, given
