"""oscillation: bounded, but swinging, without net progress.

Three rules. *Period*: the loss repeats itself every 4 points or more (an autocorrelation above 0.55 at the period,
and at twice the period): data in a fixed order, or a limit cycle. *Alternation*, on the second half: the lag-1
correlation of the latest 64 values, detrended, is below -0.55 (white noise: under 0.1 % false alarms at 64 values;
batches drawn without replacement reach -0.4 on small data sets; alternating signs of differences fire on 81-99 % of
white noise and are no evidence). *Swings*, on the second half: block means spread more than 3 times wider than the
noise of single points allows, by a large part of the level, and return: the autocorrelation of their logarithms rises
again after it dipped. Steady progress excludes all: gradient descent at the edge of stability oscillates and learns
(Cohen et al. 2021). From 1000 points on the swings must go on until there are half as many again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.known import Need, Needs, Noise
from losswatch_server.monitor.points import SMALLEST
from losswatch_server.monitor.precision import precision
from losswatch_server.monitor.rules.base import QUIET, Alarm, Test, Verdict, View, Waiting
from losswatch_server.monitor.rules.flat_levels import no_clear_metric
from losswatch_server.monitor.rules.minimum_runtime import patience_over
from losswatch_server.monitor.stats.trend import slope_test
from losswatch_server.monitor.vocabulary import Condition, Severity

Array = NDArray[np.float64]


SCATTER = Noise("loss", 32)
LEAST_SWING = 0.2
"""Of the level: waves that are smaller are no period that matters."""


@cache
def _cubics(n: int) -> NDArray[np.float64]:
    """An orthonormal basis of the cubic polynomials on n places, shape (n, 4)."""
    basis: NDArray[np.float64] = np.linalg.qr(np.vander(np.linspace(-1, 1, n), 4))[0]
    return basis


@dataclass(slots=True)
class OscillationState:
    """``since`` is the count of points at which swings were first seen, 0 while there are none."""

    since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Oscillation:
    """Alternating or swinging losses over the second half, without a fall."""

    condition: ClassVar[Condition] = Condition.OSCILLATION
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    needs: ClassVar[Mapping[str, Needs]] = {
        "period": (Need.MINIMISED, SCATTER),
        "alternation": (Need.MINIMISED, SCATTER, (Need.CHANCE, Need.START)),
        "swings": (Need.MINIMISED, SCATTER, (Need.CHANCE, Need.START)),
    }
    least_points: int = 32
    lag1: float = -0.55
    amplitude: float = 0.5
    wider_than_noise: float = 3.0
    period_correlation: float = 0.55
    certain_correlation: float = 0.9
    """From here on a period is data in a fixed order, whether the loss falls or not."""
    learned: float = 0.99
    """Of the first level: what is left of the loss may swing."""
    peak: float = 0.4
    """Autocorrelation of the levels at their period."""
    rate_rise: float = 1.2
    """A schedule that goes up again takes the loss with it."""
    hold: float = 1.5
    hold_points: int = 1000
    bad_share_of_chance: float = 0.45
    bad_gain: float = 0.5
    """With 0.8, and 0.35 of chance level, swings were said of 12 healthy runs of the develop half more, and of one
    faulty run more."""
    bad_gain_smooth: float = 0.9
    patience: float = 0.15

    def start(self) -> OscillationState:
        return OscillationState()

    def step(self, state: OscillationState, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        if not patience_over(view, self.patience):
            return QUIET
        evidence = self._asked(state, view)
        if evidence is None:
            return QUIET
        recent = view.memory.loss.recent
        return Alarm(
            onset_step=view.memory.loss.recent_steps[-min(len(recent), shape.n // 2)],
            confidence=precision(self.condition, evidence["rule"]),
            severity=Severity.WARNING,
            evidence=evidence | {"level": shape.now, "progress_share": shape.share, "noise": shape.noise},
        )

    def _asked(self, state: OscillationState, view: View) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = []
        if (wave := _wave(view)) is not None and view.holds("period", self._repeats(view, wave)):
            found.append(
                {
                    "rule": "period",
                    "amplitude": wave.amplitude,
                    "period": float(wave.lag),
                    "period_correlation": wave.correlation,
                }
            )
        quiet = not view.explains and (view.shape.t_half < -2 or view.shape.t_log_half < -2)
        if (
            not quiet
            and (pair := _pairs(view)) is not None
            and view.holds("alternation", self._alternates(view, pair), self.needs["alternation"])
        ):
            found.append({"rule": "alternation", "lag1": pair.lag1, "amplitude": pair.swing, "period": 2.0})
        swings = None if quiet else _swing(view)
        if swings is None or not view.holds("swings", self._swings(view, swings), self.needs["swings"]):
            state.since = 0
        else:
            state.since = state.since or view.shape.n
            if state.since < self.hold_points or view.shape.n >= self.hold * state.since:
                found.append(
                    {
                        "rule": "swings",
                        "amplitude": swings.spread,
                        "wider_than_noise": swings.wider_than_noise,
                        "period": swings.period,
                    }
                )
        return found[0] if found else None

    def _repeats(self, view: View, wave: Wave) -> Iterator[Test]:
        yield Test(
            "correlation of the loss with itself one period before",
            wave.correlation,
            self.period_correlation,
            True,
            "",
            view.memory.loss.recent_steps[0],
        )
        yield Test("the same two periods before", wave.twice, 0.7 * self.period_correlation)
        yield Test("swing", wave.amplitude, LEAST_SWING * abs(view.shape.now))
        certain = wave.correlation >= self.certain_correlation
        yield from self._much_left(view, certain=certain)
        if not certain:
            yield from self._no_fall(view)

    def _much_left(self, view: View, *, certain: bool) -> Iterator[Test]:
        """What is left of the loss may swing. In an excerpt its first value is no start; where chance level does not
        tell either, only a period beyond doubt is said."""
        shape = view.shape
        if view.known.begins_at_start:
            yield Test("share of the first level that was gained", shape.share, self.learned, False)
        elif shape.chance is not None:
            yield Test("level of the loss", shape.now / shape.chance, 1 - self.learned, True, "of chance level")
        else:
            yield Test("a period beyond doubt", float(certain), 0.5)

    def _alternates(self, view: View, pair: Pair) -> Iterator[Test]:
        n = pair.n
        yield Test(
            "correlation of the loss with the point before",
            pair.lag1,
            min(self.lag1, -(2.33 / math.sqrt(n) + 1 / n)),
            False,
            "",
            view.memory.loss.recent_steps[-n],
        )
        yield Test("swing", pair.swing, 0.05 * abs(view.shape.now))
        # means of pairs are blind to the alternation: if they fall, this is descent at the edge of stability
        yield Test("standard errors of the slope of the means of pairs", pair.slope_t, -2.0)
        yield from self._no_fall(view)
        yield from self._bad(view)

    def _swings(self, view: View, swing: Swing) -> Iterator[Test]:
        yield Test(
            "spread of the levels over the second half",
            swing.wider_than_noise,
            self.wider_than_noise,
            True,
            "times what the noise allows",
        )
        yield Test("spread of the levels", swing.spread, self.amplitude * swing.level)
        # quartiles: an isolated hump is a spike's business
        yield Test("highest level above the upper quartile", swing.hump, 2 * swing.quartiles, False)
        yield Test("crossings of the mean", float(swing.crossings), 3.0)
        yield Test("autocorrelation of the levels at their period", swing.peak, self.peak)
        yield Test("rise of the learning rate over the second half", _rate_rises(view), self.rate_rise, False, "times")
        yield from self._no_fall(view)
        yield from self._bad(view)

    def _no_fall(self, view: View) -> Iterator[Test]:
        shape = view.shape
        yield Test("standard errors of the slope over the second half", min(shape.t_half, shape.t_log_half), -2.0)
        yield from no_clear_metric(view)

    def _bad(self, view: View) -> Iterator[Test]:
        """At a level that no one would want to swing about."""
        shape = view.shape
        if shape.chance is not None:
            yield Test("level of the loss", shape.now / shape.chance, self.bad_share_of_chance, True, "of chance level")
            return
        smooth = shape.noise < 1e-3 * max(shape.progress, 0.0)
        yield Test(
            "share of the first level that was gained",
            shape.share,
            self.bad_gain_smooth if smooth else self.bad_gain,
            False,
        )


def _rate_rises(view: View) -> float:
    """How many times the learning rate rose over its lowest before, within the second half; 1 where it never did."""
    rates, track = view.memory.rates, view.memory.loss
    middle = track.head_steps[0] + (track.last_step - track.head_steps[0]) / 2
    lowest, most = math.inf, 1.0
    for step, value in zip(rates.steps, rates.values, strict=True):
        if step >= middle and 0 < lowest < math.inf:
            most = max(most, value / lowest)
        lowest = value if step < middle else min(lowest, value)
    return most


@dataclass(frozen=True, slots=True)
class Wave:
    """A period of 4 points to a fifth of the window that explains most of what is left of the trend."""

    lag: int
    correlation: float
    twice: float
    amplitude: float


def _wave(view: View) -> Wave | None:
    values = np.array(view.memory.loss.recent[-256:])
    n = len(values)
    if n < 64:
        return None
    if values.min() > 0:
        values = np.log(values)
    residual = _without_trend(values)
    swing = 2 * float(residual.std())
    amplitude = swing * abs(view.shape.now) if view.memory.loss.lowest > 0 else swing
    if amplitude < LEAST_SWING * abs(view.shape.now) and not view.explains:
        return None  # the correlations cost ten times as much as that it swings too little to matter
    every_lag = _correlations(residual)
    if every_lag is None:
        return None
    correlation = every_lag[: n // 5 + 1]
    below = np.nonzero(correlation < 0)[0]
    if len(below) == 0 or below[0] < 2:
        return None
    lag = int(below[0] + np.argmax(correlation[below[0] :]))
    if lag < 4:
        return None
    return Wave(lag, float(correlation[lag]), float(every_lag[2 * lag]), amplitude)


def _without_trend(values: Array) -> Array:
    """What is left of values without a cubic trend."""
    basis = _cubics(len(values))
    residual: Array = values - basis @ (values @ basis)
    return residual


def _correlations(residual: Array) -> Array | None:
    """The autocorrelation at every lag up to a half; None for zeros."""
    n = len(residual)
    spectrum = np.fft.rfft(residual, 2 * n)
    products: Array = np.fft.irfft(np.abs(spectrum) ** 2)[: n // 2]
    if products[0] <= 0:
        return None
    every_lag: Array = products / products[0] * n / (n - np.arange(len(products)))
    return every_lag


@dataclass(frozen=True, slots=True)
class Pair:
    """Neighbours over the latest 64 points without their trend."""

    n: int
    lag1: float
    swing: float
    slope_t: float


def _pairs(view: View) -> Pair | None:
    values = np.array(view.memory.loss.recent[-64:])
    n = len(values)
    x = np.arange(n) - (n - 1) / 2
    detrended = values - values.mean() - x * (x @ values) / (x @ x)
    power = float(detrended @ detrended)
    if power <= 0:
        return None
    means = values[n % 2 :].reshape(-1, 2).mean(axis=1)
    lag1 = float(detrended[1:] @ detrended[:-1]) / power
    return Pair(n, lag1, 2 * math.sqrt(power / n), slope_test(means)[1] if len(means) >= 5 else 0.0)


@dataclass(frozen=True, slots=True)
class Swing:
    """The block means of the second half."""

    spread: float
    wider_than_noise: float
    level: float
    hump: float
    quartiles: float
    crossings: int
    period: float
    peak: float


def _swing(view: View, dip: float = -0.2) -> Swing | None:
    shape = view.shape
    half = shape.means[len(shape.means) // 2 :]
    if len(half) < 12:
        return None
    low, high = (float(q) for q in np.quantile(half, (0.25, 0.75)))
    spread = 1.9 * (high - low)
    expected = 2.56 * shape.noise / math.sqrt(shape.per_block)
    crossings = int((np.diff(np.sign(half - half.mean())) != 0).sum())
    period = 2 * len(half) * shape.per_block / max(crossings, 1)
    every_lag = _correlations(_without_trend(np.log(half) if float(half.min()) > 0 else half))
    peak = 0.0
    if every_lag is not None:
        below = np.nonzero(every_lag < dip)[0]
        peak = float(every_lag[below[0] :].max()) if len(below) else 0.0
    return Swing(
        spread,
        spread / max(expected, SMALLEST),
        abs(float(np.median(half))),
        float(half.max()) - high,
        high - low,
        crossings,
        period,
        peak,
    )
