"""oscillation: bounded, but swinging, without net progress.

Two rules on the second half of the run. *Alternation*: the lag-1 correlation of the latest 64 values, detrended, is
below -0.4 (white noise: 0.1 % false alarms at 64 values; alternating signs of differences fire on 81-99 % of white
noise and are no evidence). *Swings*: block means spread more than 3 times wider than the noise of single points
allows, and by a large part of the level. Steady progress excludes both: gradient descent at the edge of stability
oscillates and learns (Cohen et al. 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from losswatch_server.monitor.detectors.base import QUIET, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.detectors.patience import patience_over
from losswatch_server.monitor.vocabulary import Condition, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Oscillation:
    """Alternating or swinging losses over the second half, without a fall."""

    condition: ClassVar[Condition] = Condition.OSCILLATION
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    least_points: int = 32
    lag1: float = -0.4
    amplitude: float = 0.5
    wider_than_noise: float = 3.0
    patience: float = 0.3

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        if shape.t_half < -2 or not patience_over(view, self.patience):
            return QUIET
        evidence = self._alternates(view) or self._swings(view)
        if evidence is None:
            return QUIET
        return Alarm(
            onset_step=view.memory.loss.recent_steps[-min(len(view.memory.loss.recent), shape.n // 2)],
            confidence=0.75,
            severity=Severity.WARNING,
            evidence=evidence | {"level": shape.now, "progress_share": shape.share, "noise": shape.noise},
        )

    def _alternates(self, view: View) -> dict[str, Any] | None:
        values = np.array(view.memory.loss.recent[-64:])
        n = len(values)
        x = np.arange(n) - (n - 1) / 2
        detrended = values - values.mean() - x * (x @ values) / (x @ x)
        power = float(detrended @ detrended)
        if power <= 0:
            return None
        r1 = float(detrended[1:] @ detrended[:-1]) / power
        swing = 2 * math.sqrt(power / n)
        if r1 > min(self.lag1, -(2.33 / math.sqrt(n) + 1 / n)) or swing < 0.05 * abs(view.shape.now):
            return None
        return {"lag1": r1, "amplitude": swing, "period": 2.0}

    def _swings(self, view: View) -> dict[str, Any] | None:
        shape = view.shape
        half = shape.means[len(shape.means) // 2 :]
        if len(half) < 12:
            return None
        spread = float(np.quantile(half, 0.9) - np.quantile(half, 0.1))
        expected = 2.56 * shape.noise / math.sqrt(shape.per_block)
        if spread < self.wider_than_noise * expected or spread < self.amplitude * abs(float(np.median(half))):
            return None
        crossings = np.diff(np.sign(half - half.mean())) != 0
        if crossings.sum() < 3:
            return None
        period = 2 * len(half) * shape.per_block / float(crossings.sum())
        return {"amplitude": spread, "wider_than_noise": spread / max(expected, 1e-300), "period": period}
