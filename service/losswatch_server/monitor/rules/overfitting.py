"""overfitting: the validation loss turned up while the training loss kept falling.

z = (mean of the latest validation losses - mean around the minimum - 0.6 s) / (1.3 s sqrt(1/k + 1/3)), with s the
noise of the validation series and 0.6 s the optimism of a minimum over noise. At z > 3 the false-alarm rate on 150
healthy curves of 30 epochs was 0-1 %, against 81-100 % for "patience 3" and "one worse epoch".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.points import SMALLEST
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test, quantum
from losswatch_server.monitor.vocabulary import Condition, Severity


def train_level(track: Track, step: int, count: int = 5) -> float | None:
    """Mean of the training losses around a step, from the finest memory that reaches it."""
    near = [v for s, v in zip(track.recent_steps, track.recent, strict=True) if s <= step][-count:]
    if not near:
        near = [v for s, v in zip(track.head_steps, track.head, strict=True) if s <= step][-count:]
        for row in track.bucket_table():
            if row[7] <= step and (not near or row[6] > track.head_steps[-1]):
                near = [float(row[1])]
    return sum(near) / len(near) if near else None


def _running_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of three neighbours, of two at the ends; shape (n,), n >= 3."""
    left, middle, right = values[:-2], values[1:-1], values[2:]
    inner = np.maximum(np.minimum(left, middle), np.minimum(np.maximum(left, middle), right))
    return np.concatenate([[values[:2].mean()], inner, [values[-2:].mean()]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """The validation loss is significantly and materially above its minimum, and the training loss below."""

    condition: ClassVar[Condition] = Condition.OVERFITTING
    series: ClassVar[str] = "validation_loss"
    every_point: ClassVar[bool] = True
    least_points: int = 5
    z_warning: float = 3.0
    material: float = 0.05
    memorised: float = 0.003
    few_points: int = 10
    few_rise: float = 0.15
    few_total_rise: float = 0.5
    """Where the first epoch was the best, nothing shows that the model ever generalised: only a large rise counts."""

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        if view.point.validation_loss is None:
            return UNSURE
        track = view.memory.validation
        if track.n < self.least_points:
            return Waiting(self.least_points - track.n)
        values, steps = track.recent, track.recent_steps
        a = int(np.argmin(_running_medians(np.array(values))))
        after = values[a + 1 :]
        if len(after) < 3:
            return QUIET
        scale = max(difference_scale(values), 0.5 * quantum(values), 1e-9 * abs(values[a]), SMALLEST)
        k = max(3, len(after) // 2)
        around = values[max(0, a - 1) : a + 2]
        minimum = sum(around) / len(around)
        latest = sum(after[-k:]) / k
        z = (latest - minimum - 0.6 * scale) / (1.3 * scale * math.sqrt(1 / k + 1 / 3))
        rise = latest - minimum
        s, p = kendall_test(after[-64:])
        fall_before = max(values[0] - minimum, 0.0)
        train_then = train_level(view.memory.loss, steps[a])
        train_now = train_level(view.memory.loss, steps[-1])
        if train_then is None or train_now is None:
            return QUIET
        train_falls = train_now < train_then - 0.1 * rise or (train_then - train_now) > 0.05 * abs(train_then)
        material = rise > self.material * abs(minimum) and rise > 2 * self.material * fall_before
        few = len(values) < self.few_points and view.memory.loss.n <= 2 * len(values)
        fell = (a >= 1 and (few or fall_before > 2 * scale)) or (few and rise > self.few_total_rise * abs(minimum))
        # without a fall first, only training data learnt by heart tells overfitting from a narrow curriculum
        fell = fell or train_now < self.memorised * view.memory.loss.head[0]
        if few:
            # too few to know the noise: an unbroken rise by a sixth, three epochs long
            turned = after == sorted(after) and after[0] > values[a] and rise > self.few_rise * abs(minimum)
        else:
            turned = len(after) >= 4 and z > self.z_warning and s > 0 and p <= 0.1
        if not (turned and material and train_falls and fell):
            return QUIET
        return Alarm(
            onset_step=steps[a],
            confidence=min(0.97, 0.7 + 0.03 * z),
            severity=Severity.WARNING,
            evidence={
                "best_step": steps[a],
                "best_validation": minimum,
                "validation_now": latest,
                "rise": rise,
                "z": z,
                "train_then": train_then,
                "train_now": train_now,
            },
        )
