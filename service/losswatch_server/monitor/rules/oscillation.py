"""oscillation: bounded, but swinging, without net progress.

Three rules. *Period*: the loss repeats itself every 4 points or more (an autocorrelation above 0.55 at the period,
and at twice the period): data in a fixed order, or a limit cycle. *Alternation*, on the second half: the lag-1
correlation of the latest 64 values, detrended, is below -0.55 (white noise: under 0.1 % false alarms at 64 values;
batches drawn without replacement reach -0.4 on small data sets; alternating signs of differences fire on 81-99 % of
white noise and are no evidence). *Swings*, on the second half: block means spread more than 3 times wider than the
noise of single points allows, and by a large part of the level. Steady progress excludes both: gradient descent at
the edge of stability oscillates and learns (Cohen et al. 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.points import SMALLEST
from losswatch_server.monitor.rules.base import QUIET, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.rules.minimum_runtime import patience_over
from losswatch_server.monitor.rules.plateau import bad_floor
from losswatch_server.monitor.stats.trend import slope_test
from losswatch_server.monitor.vocabulary import Condition, Severity


@cache
def _cubics(n: int) -> NDArray[np.float64]:
    """An orthonormal basis of the cubic polynomials on n places, shape (n, 4)."""
    basis: NDArray[np.float64] = np.linalg.qr(np.vander(np.linspace(-1, 1, n), 4))[0]
    return basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Oscillation:
    """Alternating or swinging losses over the second half, without a fall."""

    condition: ClassVar[Condition] = Condition.OSCILLATION
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    least_points: int = 32
    lag1: float = -0.55
    amplitude: float = 0.5
    wider_than_noise: float = 3.0
    period_correlation: float = 0.55
    patience: float = 0.15

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        if not patience_over(view, self.patience):
            return QUIET
        evidence = self._repeats(view) if shape.share < 0.999 else None
        if evidence is None and (shape.t_half < -2 or shape.t_log_half < -2 or not self._bad(view)):
            return QUIET
        evidence = evidence or self._alternates(view) or self._swings(view)
        if evidence is None:
            return QUIET
        return Alarm(
            onset_step=view.memory.loss.recent_steps[-min(len(view.memory.loss.recent), shape.n // 2)],
            confidence=0.75,
            severity=Severity.WARNING,
            evidence=evidence | {"level": shape.now, "progress_share": shape.share, "noise": shape.noise},
        )

    def _bad(self, view: View) -> bool:
        return bad_floor(view, share_of_chance=0.35, gained=0.8, full_batch_gained=0.9)

    def _repeats(self, view: View) -> dict[str, Any] | None:
        """A period of 4 points to a fifth of the window that explains most of what is left of the trend."""
        values = np.array(view.memory.loss.recent[-256:])
        n = len(values)
        if n < 64:
            return None
        if values.min() > 0:
            values = np.log(values)
        basis = _cubics(n)
        residual = values - basis @ (values @ basis)
        spectrum = np.fft.rfft(residual, 2 * n)
        products = np.fft.irfft(np.abs(spectrum) ** 2)[: n // 2]
        if products[0] <= 0:
            return None
        every_lag = products / products[0] * n / (n - np.arange(len(products)))
        correlation = every_lag[: n // 5 + 1]
        below = np.nonzero(correlation < 0)[0]
        if len(below) == 0 or below[0] < 2:
            return None
        lag = int(below[0] + np.argmax(correlation[below[0] :]))
        swing = 2 * float(residual.std())
        if lag < 4 or correlation[lag] < self.period_correlation:
            return None
        level = abs(view.shape.now)
        amplitude = swing * level if view.memory.loss.lowest > 0 else swing
        if every_lag[2 * lag] < 0.7 * self.period_correlation or amplitude < 0.2 * level:
            return None
        return {"amplitude": amplitude, "period": float(lag), "period_correlation": float(correlation[lag])}

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
        # means of pairs are blind to the alternation: if they fall, this is descent at the edge of stability
        if slope_test(values[n % 2 :].reshape(-1, 2).mean(axis=1))[1] < -2:
            return None
        return {"lag1": r1, "amplitude": swing, "period": 2.0}

    def _swings(self, view: View) -> dict[str, Any] | None:
        shape = view.shape
        half = shape.means[len(shape.means) // 2 :]
        if len(half) < 12:
            return None
        # quartiles: an isolated hump is a spike's business
        low, high = np.quantile(half, (0.25, 0.75))
        if half.max() - high > 2 * (high - low):
            return None
        spread = 1.9 * float(high - low)
        expected = 2.56 * shape.noise / math.sqrt(shape.per_block)
        if spread < self.wider_than_noise * expected or spread < self.amplitude * abs(float(np.median(half))):
            return None
        crossings = np.diff(np.sign(half - half.mean())) != 0
        if crossings.sum() < 3:
            return None
        period = 2 * len(half) * shape.per_block / float(crossings.sum())
        return {"amplitude": spread, "wider_than_noise": spread / max(expected, SMALLEST), "period": period}
