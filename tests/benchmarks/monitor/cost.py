"""Processor time of the monitor by the number of points it has seen, and two yardsticks."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.snapshot import freeze
from losswatch_server.runs.offline import diagnose_bytes

LAYERS = [f"layer{number}" for number in range(32)]
BATCHES = (1, 100)
WINDOW = 1000
"""Points that are made, and then timed, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of the first ``points``: microseconds each, microseconds each of the last tenth, and bytes of the state."""

    series: str
    batch: int
    """Points that are folded at once."""
    points: int
    mean_us: float
    last_us: float
    state_bytes: int


def plain(step: int, draw: random.Random) -> Point:
    """Healthy training: a noisy loss that falls like a power law."""
    noise = math.exp(0.05 * draw.gauss(0, 1))
    return Point(step, 2.3 * (1 + step) ** -0.2 * noise, 1.5 * noise)


def everything(step: int, draw: random.Random) -> Point:
    """With the learning rate, the norms of 32 layers, and a validation loss at every tenth step."""
    point = plain(step, draw)
    validation = 2.4 * (1 + step) ** -0.2 * math.exp(0.01 * draw.gauss(0, 1)) if step % 10 == 0 else None
    layers = {name: 0.2 * math.exp(0.1 * draw.gauss(0, 1)) for name in LAYERS}
    return point._replace(learning_rate=1e-3, validation_loss=validation, layers=layers)


SERIES: dict[str, Callable[[int, random.Random], Point]] = {
    "loss, gradient norm": plain,
    "and rate, validation, 32 layers": everything,
}


def follow(name: str, counts: Sequence[int], batch: int = 1) -> Iterator[Cost]:
    """One run, a batch after the other, with its cost at each of ``counts``. Making the points is not counted."""
    draw = random.Random(1)
    monitor = Monitor("benchmark")
    make = SERIES[name]
    spent: list[float] = []
    for first in range(0, counts[-1], WINDOW):
        points = [make(step, draw) for step in range(first, first + WINDOW)]
        batches = [points[place : place + batch] for place in range(0, WINDOW, batch)] if batch > 1 else []
        began = time.process_time()
        for some in batches:
            monitor.see_all(some)
        for point in points if batch == 1 else ():
            monitor.see(point)
        spent.append(time.process_time() - began)
        seen = first + WINDOW
        if seen in counts:
            late = spent[-max(1, len(spent) // 10) :]
            yield Cost(
                series=name,
                batch=batch,
                points=seen,
                mean_us=1e6 * sum(spent) / seen,
                last_us=1e6 * sum(late) / len(late) / WINDOW,
                state_bytes=len(freeze(monitor)),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCost:
    """A log read and diagnosed: its lines, its megabytes, and the processor seconds that it took."""

    lines: int
    megabytes: float
    cpu_s: float


def log_cost(lines: int) -> LogCost:
    """A console log with a validation loss at every tenth line."""
    draw = random.Random(3)
    written = []
    for step in range(lines):
        point = everything(step, draw)
        validation = "" if point.validation_loss is None else f" val_loss={point.validation_loss:.6f}"
        written.append(f"step {step} loss={point.loss:.6f} grad_norm={point.grad_norm:.6f} lr=0.001{validation}\n")
    raw = "".join(written).encode()
    began = time.process_time()
    diagnosis = diagnose_bytes(raw)
    spent = time.process_time() - began
    assert diagnosis.assessment.points == lines
    return LogCost(lines=lines, megabytes=len(raw) / 1e6, cpu_s=spent)


def kendall_us(calls: int = 200) -> float:
    """One call of ``scipy.stats.kendalltau`` on a window of 200 points, in microseconds."""
    values = np.random.default_rng(1).normal(size=200)
    steps = np.arange(200)
    return _median_us(lambda: stats.kendalltau(steps, values), calls)


def loop_us(calls: int = 200) -> float:
    """One turn of a Python loop that adds up squares, in microseconds."""
    values = [float(number) for number in range(1000)]

    def turn() -> float:
        total = 0.0
        for value in values:
            total += value * value
        return total

    return _median_us(turn, calls) / len(values)


def _median_us(call: Callable[[], object], calls: int) -> float:
    took = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return 1e6 * sorted(took)[calls // 2]
