"""The team's runs: what each one posts, when, and how it ends. Seeded; curves that no last bit can bend."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

POST_EVERY_S = 10.0
STEPS_A_POST = 5


@dataclass(frozen=True)
class Job:
    """One run. ``obeys``: its loop ends when the report says stop. ``posts`` of ``STEPS_A_POST`` points each; every
    ``evaluates_every`` posts it pauses for four minutes; ``crash``: the error that it ends with, ``killed``: it ends
    without a word."""

    name: str
    kind: str
    starts_at: float
    loss: Callable[[int, random.Random], float]
    posts: int = 90
    context: dict[str, Any] = field(default_factory=dict)
    obeys: bool = True
    crash: str | None = None
    killed: bool = False
    evaluates_every: int | None = None


def healthy(step: int, rng: random.Random) -> float:
    return 0.1 + 2.0 * math.exp(-step / 120) + abs(0.02 * rng.gauss(0, 1))


def diverging(step: int, rng: random.Random) -> float:
    return healthy(step, rng) if step < 60 else 0.5 * 1.35 ** (step - 60)


def breaks(step: int, rng: random.Random) -> float:
    return healthy(step, rng) if step < 150 else math.nan


def spikes(step: int, rng: random.Random) -> float:
    return healthy(step, rng) * (60.0 if step == 200 else 1.0)


def stuck(step: int, rng: random.Random) -> float:
    return math.log(10) + 0.003 * rng.gauss(0, 1)


def team(count: int, seed: int) -> list[Job]:
    """``count`` runs over eight hours: two in five in sweeps of thirty, of which the ten largest rates diverge."""
    return list(_jobs(count, random.Random(seed)))


def _jobs(count: int, rng: random.Random) -> Iterator[Job]:
    day = 8 * 3_600.0 * count / 250
    sweep = 0
    left = count
    while left >= 30 and left > 0.6 * count:
        begins, left, sweep = rng.uniform(0, day), left - 30, sweep + 1
        for index in range(30):
            rate = 0.001 * 1.2**index
            context = {"group": f"lr-scan-{sweep}", "learning_rate": rate, "optimizer": "sgd"}
            loss, kind = (diverging, "diverges in a sweep") if index >= 20 else (healthy, "healthy in a sweep")
            yield Job(f"scan{sweep}-{index:02}", kind, begins + rng.uniform(0, 40), loss, context=context)
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("healthy", {"loss": healthy}), ("healthy", {"loss": healthy}), ("healthy", {"loss": healthy}),
        ("healthy with evaluations", {"loss": healthy, "evaluates_every": 30, "posts": 120}),
        ("diverges and obeys", {"loss": diverging}),
        ("diverges and goes on", {"loss": diverging, "obeys": False, "posts": 40}),
        ("loss becomes NaN", {"loss": breaks}),
        ("spikes and recovers", {"loss": spikes}),
        ("does not learn", {"loss": stuck, "context": {"loss_name": "cross_entropy", "num_classes": 10}}),
        ("crashes", {"loss": healthy, "crash": "OutOfMemoryError: CUDA out of memory.", "posts": 40}),
        ("is killed", {"loss": healthy, "killed": True, "posts": 40}),
    ]  # fmt: skip
    for index in range(left):
        kind, more = kinds[index % len(kinds)]
        yield Job(f"run-{index:03}", kind, rng.uniform(0, day), **more)
