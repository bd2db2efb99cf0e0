"""Short, spaced and odd runs, one for each seed: what no rule was calibrated on, and each must survive."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from losswatch_server.monitor.model_facts import ModelFacts
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Context, Point

Values = list[float | None]
Rng = np.random.Generator


class Late(NamedTuple):
    """A validation loss that came after its step."""

    point: Point


class Attempt(NamedTuple):
    """A resume from a checkpoint."""

    number: int
    step: int


Entry = Point | Late | Attempt | Context


@dataclass(frozen=True)
class OddRun:
    """What a run's monitor is given, in order."""

    context: Context
    entries: tuple[Entry, ...]


SCALES = (1.0, 1.0, 1.0, 1.0, 1e-3, 1e3, 1e-8, 1e8, 1e30, 1e-30, 1e100, 1e-100, 1e140, 1e150, 1e154, 1e155, 1e200,
          1e300, 1e307, 1e-150, 1e-160, 1e-300, 5e-324)  # fmt: skip
ODD = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 1e308, 1e-308)


def _constant(rng: Rng, n: int) -> np.ndarray:
    return np.full(n, rng.choice([0.0, 1.0, 0.693147, 2.302585, -1.0, 0.1, 7.0]))


def _noise(rng: Rng, n: int) -> np.ndarray:
    return rng.choice([0.0, 1.0, 2.0]) + rng.choice([0.01, 0.1, 1.0]) * rng.normal(size=n)


def _walk(rng: Rng, n: int) -> np.ndarray:
    return 1.0 + np.cumsum(rng.normal(size=n)) * rng.choice([0.01, 0.1, 1.0])


def _falling(rng: Rng, n: int) -> np.ndarray:
    level = rng.choice([0.0, 0.3]) + 2.0 * np.exp(-np.arange(n) / (n / rng.uniform(0.5, 8)))
    return level * np.exp(rng.choice([0.0, 0.01, 0.1]) * rng.normal(size=n))


def _geometric(rng: Rng, n: int) -> np.ndarray:
    return np.exp(np.minimum(np.arange(n) * rng.choice([1e-16, 1e-9, 1e-3, 0.05, 0.3, 1.0, 5.0, 40.0]), 709.0))


def _linear(rng: Rng, n: int) -> np.ndarray:
    return rng.choice([0.0, 0.1, 1.0]) + np.arange(n) * rng.choice([1e-4, -1e-4, 1e-2, 0.1, -0.1, 1.0])


def _quadratic(rng: Rng, n: int) -> np.ndarray:
    return np.arange(n) ** 2.0 * rng.choice([1e-4, 1e-2, 1.0]) + rng.choice([0.0, 1e-3, 1.0])


def _alternating(rng: Rng, n: int) -> np.ndarray:
    return rng.choice([0.0, 1.0]) + rng.choice([0.1, 1.0]) * (-1.0) ** np.arange(n)


def _periodic(rng: Rng, n: int) -> np.ndarray:
    return np.resize(rng.normal(size=int(rng.integers(2, 12))), n) + rng.choice([0.0, 3.0])


def _integers(rng: Rng, n: int) -> np.ndarray:
    return rng.integers(0, int(rng.choice([2, 3, 10])), n).astype(float)


def _magnitudes(rng: Rng, n: int) -> np.ndarray:
    return 10.0 ** rng.uniform(*rng.choice([(-320, 308), (-10, 10), (-3, 3)]), size=n)


def _flat_printed(rng: Rng, n: int) -> np.ndarray:
    return np.round(rng.choice([0.693, 2.303, 1.0, 0.0]) + 0.001 * rng.normal(size=n), 3)


CURVES: tuple[Callable[[Rng, int], np.ndarray], ...] = (
    _constant, _noise, _walk, _falling, _falling, _geometric, _linear, _quadratic, _alternating, _periodic, _integers,
    _magnitudes, _flat_printed,
)  # fmt: skip


def _curve(rng: Rng, n: int) -> np.ndarray:
    values = CURVES[rng.integers(len(CURVES))](rng, n)
    if n > 3 and rng.random() < 0.4:  # what follows is another curve
        cut = int(rng.integers(1, n))
        values = np.concatenate([values[:cut], CURVES[rng.integers(len(CURVES))](rng, n - cut)])
    for _ in range(int(rng.choice([0, 0, 0, 1, 1, 2, 4]))):  # jumps
        place, length = int(rng.integers(n)), int(rng.choice([1, 1, 2, 5, 1000]))
        factor, more = rng.choice([0.0, 3.0, 10.0, 1e3, 1e30]), rng.choice([0.0, 1.0, 9.4])
        values[place : place + length] = values[place] * factor + more
    return values


def _series(rng: Rng, n: int, *, positive: bool = False) -> Values:
    with np.errstate(all="ignore"):
        values = _curve(rng, n) * rng.choice(SCALES)
        if rng.random() < 0.1:
            values = values - float(np.median(values))
        if rng.random() < 0.08:
            values = -values
        if rng.random() < 0.3:
            values = np.round(values, int(rng.integers(0, 5)))
        if positive and rng.random() < 0.8:
            values = np.abs(values)
    series: Values = values.tolist()
    for _ in range(int(rng.choice([0, 0, 0, 1, 3]))):  # bursts of what is not finite, or at the edge
        place, length = int(rng.integers(n)), int(rng.choice([1, 2, 4, 20]))
        series[place : place + length] = [float(rng.choice(ODD))] * len(series[place : place + length])
    if rng.random() < 0.15:
        share = rng.choice([0.1, 0.5, 0.9])
        series = [None if rng.random() < share else value for value in series]
    return series


def _steps(rng: Rng, n: int) -> list[int]:
    first = int(rng.choice([0, 0, 0, 1, 1, 20, 211, 10**6, 2**52]))
    if rng.random() < 0.2:
        return (first + np.cumsum(rng.integers(1, int(rng.choice([3, 50, 5000])), n))).tolist()
    return (first + np.arange(n) * int(rng.choice([1, 1, 1, 2, 5, 10, 10, 20, 50, 100, 1000]))).tolist()


def _pick(rng: Rng, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def odd_context(rng: Rng) -> Context:
    """Any context that a client may send; empty in a third of the runs."""
    if rng.random() < 0.35:
        return Context()
    return Context(
        optimizer=_pick(rng, None, "sgd", "SGD", "adam", "AdamW", "momentum", "lion", "x", ""),
        learning_rate=_pick(rng, None, None, 0.1, 1e-3, 0.0, 1e300, 1e-300, 5e-324),
        momentum=_pick(rng, None, None, 0.0, 0.9, 0.999999, 1.0, 5.0, 1e300),
        nesterov=_pick(rng, None, True, False),
        batch_size=_pick(rng, None, 0, 1, 2, 4, 32, 2**53 - 1),
        loss_name=_pick(
            rng, None, "mse", "cross_entropy", "bce", "gaussian_nll", "wgan", "hinge", "squared", "nll", ""
        ),
        num_classes=_pick(rng, None, 0, 1, 2, 3, 10, 128256, 2**53 - 1),
        total_steps=_pick(rng, None, 0, 1, 10, 40, 1000, 2**53 - 1),
        weight_decay=_pick(rng, None, 0.0, 0.1, 10.0, 1e300),
        warmup_steps=_pick(rng, None, None, 0, 1, 10, 2**53 - 1),
        grad_clip=_pick(rng, None, None, 0.0, 1.0, 1e-300, 1e300),
        grad_norm_is=_pick(rng, None, "before_clip", "after_clip"),
        step_unit=_pick(rng, None, "step", "epoch", "epoch"),
        steps_per_epoch=_pick(rng, None, 0, 1, 100, 2**53 - 1),
        steps_per_point=_pick(rng, None, None, 0, 1, 10, 2**53 - 1),
        full_batch=_pick(rng, None, True, False),
        precision=_pick(rng, None, "fp16", "bf16-mixed", "torch.float32", "fp64", "odd", ""),
        objective=_pick(rng, None, None, None, "minimize", "none"),
        layer_order=_pick(rng, None, None, ("a", "b", "c"), ("c", "a"), ("z",), ()),
        baseline_loss=_pick(rng, None, None, None, 0.0, -1.0, 0.69, 5e-324, 1e300),
        facts=odd_facts(rng),
    )


def odd_facts(rng: Rng) -> ModelFacts:
    """Facts alone or together, each also at the end of its range: a client may know any one of them."""
    share = float(rng.choice([0.0, 0.05, 0.5]))
    known = {name: _pick(rng, *values) for name, values in FACTS.items() if rng.random() < share}
    return ModelFacts(**known)


_COUNTS = (0, 1, 10, 10**6, 2**53 - 1)
_SIZES = (0.0, -1.0, 1e-300, 1.0, 255.0, 1e300, math.nan, math.inf)
_NAMES = ("linear", "relu", "sigmoid", "softmax", "odd", "")
FACTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("parameters", "trainable_parameters", "optimizer_parameters", "dataset_size"), _COUNTS),
    **dict.fromkeys(("input_mean", "input_std", "input_max_abs", "target_mean", "target_std"), _SIZES),
    **dict.fromkeys(("initial_loss", "update_to_weight", "loss_scale"), _SIZES),
    **dict.fromkeys(("dead_unit_share", "saturated_unit_share"), (0.0, 0.5, 1.0)),
    **dict.fromkeys(("shuffled", "overfits_one_batch", "gradients_cleared"), (True, False)),
    "hidden_activations": ((), ("linear",), ("relu", "linear"), ("sigmoid", "sigmoid"), ("odd",)),
    "output_activation": _NAMES,
    "loss_expects": ("logits", "probabilities", "values", "odd"),
    "target_kind": ("classes", "values", "odd"),
    "class_shares": ((), (1.0,), (0.5, 0.5), (0.0, 1.0), (0.9, 0.1)),
    "normalization": ((), ("batch_norm",), ("odd",)),
}


def _rates(rng: Rng, n: int) -> Values:
    if rng.random() < 0.2:
        return _series(rng, n)
    rates = np.full(n, rng.choice([0.1, 1e-3, 0.0, 1e-300, 1e300]))
    if rng.random() < 0.5:
        rates[int(rng.integers(n)) :] *= rng.choice([0.0, 0.1, 4.0, 10.0])
    return rates.tolist()


def _length(rng: Rng) -> int:
    kind = rng.random()
    return int(rng.integers(1, 41) if kind < 0.85 else rng.integers(41, 120) if kind < 0.97 else rng.integers(120, 301))


def odd_run(seed: int, length: int | None = None) -> OddRun:
    """The run of a seed: the same on every machine, up to the last digit of its curves. It draws its own length, unless
    one is given."""
    rng = np.random.default_rng(seed)
    n = length or _length(rng)
    steps, empty = _steps(rng, n), [None] * n
    losses = _series(rng, n)
    norms: Values = list(empty)
    if rng.random() < 0.5:
        norms = _series(rng, n, positive=True) if rng.random() < 0.7 else [abs(v or 0.0) ** 0.5 for v in losses]
    rates = _rates(rng, n) if rng.random() < 0.4 else empty
    validations: Values = list(empty)
    if rng.random() < 0.4:
        every = int(rng.choice([1, 1, 2, 5]))
        validations = [v if i % every == 0 else None for i, v in enumerate(_series(rng, n))]
    layers: list[dict[str, float] | None] = [None] * n
    if rng.random() < 0.3:
        names = [str(name) for name in rng.permutation(["a", "b", "c", "d"])[: rng.integers(1, 5)]]
        columns = {name: _series(rng, n, positive=True) for name in names}
        layers = [{name: v for name in names if (v := columns[name][i]) is not None} or None for i in range(n)]
    late = rng.random() < 0.1
    nulls = rng.random() < 0.1
    entries: list[Entry] = []
    for i, step in enumerate(steps):
        point = Point(
            step,
            losses[i],
            norms[i],
            rates[i],
            None if late else validations[i],
            layers=layers[i],
            loss_is_null=nulls and losses[i] is None,
        )
        entries.append(point)
        if late and validations[i] is not None:
            entries.append(Late(Point(step, validation_loss=validations[i])))
        if rng.random() < 0.01:
            entries.append(Point(step, float(rng.choice(ODD)), float(rng.choice(ODD)), rank=int(rng.integers(1, 4))))
        if rng.random() < 0.01:
            entries.append(odd_context(rng))
        if rng.random() < 0.005:
            entries.append(Attempt(2 + i, step + 1))
    return OddRun(odd_context(rng), tuple(entries))


def follow(monitor: Monitor, entry: Entry) -> None:
    """Give the monitor the next entry of a run."""
    match entry:
        case Late():
            monitor.see_late(entry.point)
        case Attempt():
            monitor.begin_attempt(entry.number, entry.step)
        case Context():
            monitor.see_context(entry)
        case _:
            monitor.see(entry)


def begun(run: OddRun) -> Monitor:
    """A monitor that knows the run's context and nothing else."""
    monitor = Monitor("odd")
    monitor.see_context(run.context)
    return monitor
