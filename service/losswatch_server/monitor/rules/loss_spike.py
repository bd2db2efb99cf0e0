"""loss_spike: a sudden jump of the loss far outside its noise, with or without recovery.

A Hampel filter (Hampel 1974; Davies and Gather 1993) on the last 128 values, detrended by the medians of their
quarters: a point must exceed the level by 10 robust standard deviations *and* 1.5 times the largest recent excess.
Measured as it stands, on nine kinds of noise without a jump: 0.09 alarms per 10,000 points, nearly all on Student t
noise of 3 degrees of freedom. The scale is logarithmic where the window spans a factor of 3 and is positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.stats.trend import difference_scale, median, quantum
from losswatch_server.monitor.vocabulary import Condition, Severity

WINDOW = 128
UNKNOWN_NOISE = 0.8
"""Confidence in a jump from losses of exactly 0 (a hinge at rest): no noise tells how far out it is."""


@dataclass(slots=True)
class Threshold:
    """What the next values are held against; refreshed every few points, and frozen while a spike lasts."""

    limit: float = math.inf
    recovery: float = math.inf
    centre: float = math.nan
    scale: float = math.nan
    logarithmic: bool = False
    due: int = 0


@cache
def _interpolation(n: int) -> NDArray[np.float64]:
    """Weights of the four quarter medians at each of n places, shape (n, 4): linear between the quarters' centres."""
    size = n // 4
    place = np.clip((np.arange(n) - (n - 4 * size)) / size - 0.5, 0.0, 3.0)
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(4)))


def _limit(
    values: NDArray[np.float64], *, sds: float, excess: float, floor: float
) -> tuple[float, float, float, float]:
    """Alarm limit, recovery limit, centre and scale of a window.

    Residuals are taken about the line through the medians of the window's quarters: without that a falling loss
    widens the scale by its own fall, 2.5 nats over 128 points of a normal start.
    """
    n = len(values)
    size = n // 4
    quarters = np.sort(values[n - 4 * size :].reshape(4, size), axis=1)
    medians = 0.5 * (quarters[:, (size - 1) // 2] + quarters[:, size // 2])
    residuals = values - _interpolation(n) @ medians
    deviations = np.sort(np.abs(residuals))
    scale = max(1.4826 * 0.5 * float(deviations[(n - 1) // 2] + deviations[n // 2]), floor)
    centre = float(medians[-1])
    return centre + max(sds * scale, excess * max(float(residuals.max()), 0.0)), centre + 3 * scale, centre, scale


def refresh(threshold: Threshold, values: list[float], *, sds: float, excess: float, raw_sds: float) -> None:
    """Recompute the limits from a window of past values (at least 8), in the values' own unit.

    On the logarithmic scale, ``raw_sds`` standard deviations and twice the excess on the raw scale suffice too: a
    loss near 0 has a heavy lower tail, which widens the logarithmic scale and says nothing about jumps up.
    """
    low, high = min(values), max(values)
    raw_floor = max(0.5 * quantum(values), 1e-6 * abs(high))
    raw = np.array(values)
    threshold.logarithmic = low > 0 and high > 3 * low
    if not threshold.logarithmic:
        limits = _limit(raw, sds=sds, excess=excess, floor=raw_floor)
        threshold.limit, threshold.recovery, threshold.centre, threshold.scale = limits
        return
    limit, recovery, centre, scale = _limit(np.log(raw), sds=sds, excess=excess, floor=1e-6)
    raw_limit, raw_recovery, _, _ = _limit(raw, sds=raw_sds, excess=2 * excess, floor=raw_floor)
    threshold.limit = min(math.exp(min(limit, 700.0)), raw_limit)
    threshold.recovery = max(math.exp(min(recovery, 700.0)), raw_recovery)
    threshold.recovery = min(threshold.recovery, threshold.limit)
    threshold.centre, threshold.scale = math.exp(centre), scale


@dataclass(slots=True)
class SpikeState:
    """``below`` counts the values back under the recovery level since the spike."""

    threshold: Threshold = field(default_factory=Threshold)
    onset: int = -1
    length: int = 0
    below: int = 0
    peak: float = -math.inf
    count: int = 0
    alarming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpike:
    """A jump is an *outlier* (information) until it undoes all progress, exceeds 30 sd, or lasts for 3 points."""

    condition: ClassVar[Condition] = Condition.LOSS_SPIKE
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = True
    sds: float = 10.0
    excess: float = 1.5
    raw_sds: float = 20.0
    warmup: int = 40
    early_points: int = 4
    early_stride: int = 10
    """Single steps are too noisy for a verdict on so few points: only epochs, or points 10 steps apart or more."""
    certain_sds: float = 30.0
    undone_in_a_heavy_tail: float = 2.0
    """Times the progress that a jump within 10 sd must undo: batches of a few samples throw single losses up to it."""
    lasting: int = 3
    recovered_after: int = 3
    gives_up_after: int = 200
    """Points after which a jump without recovery is the new level: it stays reported, the limits follow."""

    def start(self) -> SpikeState:
        return SpikeState()

    def step(self, state: SpikeState, view: View) -> Verdict:
        loss = view.point.loss
        track = view.memory.loss
        if loss is None or not math.isfinite(loss) or view.point.rank:
            return UNSURE
        threshold = state.threshold
        if state.onset >= 0:
            return self._during(state, view, loss)
        if track.n <= self.warmup:
            return self._early(state, view, loss)
        if track.n >= threshold.due:
            self._refresh(threshold, track)
            threshold.due = track.n + (32 if track.n > 2 * WINDOW else 16 if track.n > WINDOW else 4)
        if loss <= threshold.limit:
            return QUIET
        # the limits may be a few points old: hold the candidate against fresh ones before saying anything
        self._refresh(threshold, track)
        if loss <= threshold.limit:
            return QUIET
        state.onset, state.length, state.below, state.peak = view.point.step, 1, 0, loss
        state.count += 1
        state.alarming = self._material(state, track)
        return self._alarm(state, view)

    def _early(self, state: SpikeState, view: View, loss: float) -> Verdict:
        """Up to 40 points (logs by the epoch): above twice all that came before, and 10 times its noise."""
        track = view.memory.loss
        before = track.recent[:-1]
        if len(before) < self.early_points:
            return Waiting(self.early_points + 1 - len(before))
        stride = (track.last_step - track.head_steps[0]) / len(before)
        if view.context.step_unit != "epoch" and stride < self.early_stride:
            return Waiting(self.warmup - len(before))
        highest = max(before)
        if loss <= max(2 * highest, 0.0):
            return QUIET
        centre = median(before[-8:])
        scale = max(difference_scale(before), 0.5 * quantum(before), 1e-3 * abs(centre), 1e-6 * abs(highest))
        if loss - centre <= self.sds * scale:
            return QUIET
        state.threshold = Threshold(limit=2 * highest, recovery=highest, centre=centre, scale=scale)
        state.onset, state.length, state.below, state.peak = view.point.step, 1, 0, loss
        state.count += 1
        state.alarming = True
        return self._alarm(state, view)

    def _refresh(self, threshold: Threshold, track: Track) -> None:
        window = track.recent[-1 - WINDOW : -1]
        refresh(threshold, window, sds=self.sds, excess=self.excess, raw_sds=self.raw_sds)

    def _material(self, state: SpikeState, track: Track) -> bool:
        """Whether a jump is more than one outlier of a heavy tail: all progress lost, or far out, or lasting."""
        progress = track.head[0] - track.lowest
        height = self._height(state)
        lasting = state.length >= self.lasting and state.below == 0 and height >= self.sds
        undone = (state.peak - state.threshold.centre) / progress if progress > 0 else math.inf
        far = undone >= (1 if height >= self.sds else self.undone_in_a_heavy_tail)
        return far or self.certain_sds <= height < math.inf or lasting

    def _height(self, state: SpikeState) -> float:
        """The jump in standard deviations; infinite after losses of exactly 0, which show no noise at all."""
        threshold = state.threshold
        if threshold.scale == 0:
            return math.inf
        if threshold.logarithmic:
            return math.log(state.peak / threshold.centre) / threshold.scale
        return (state.peak - threshold.centre) / threshold.scale

    def _during(self, state: SpikeState, view: View, loss: float) -> Verdict:
        state.length += 1
        state.peak = max(state.peak, loss)
        if loss <= state.threshold.recovery:
            state.below += 1
            if state.below >= self.recovered_after:
                state.onset = -1
                state.threshold.due = 0
                return QUIET
            return UNSURE
        state.alarming = state.alarming or self._material(state, view.memory.loss)
        if state.length > self.gives_up_after:
            state.onset = -1
            state.threshold.due = 0
            return UNSURE
        return self._alarm(state, view)

    def _alarm(self, state: SpikeState, view: View) -> Verdict:
        threshold = state.threshold
        height = self._height(state)
        return Alarm(
            onset_step=state.onset,
            confidence=min(0.99, 0.6 + 0.02 * height) if math.isfinite(height) else UNKNOWN_NOISE,
            severity=Severity.WARNING if state.alarming else Severity.INFO,
            evidence={
                "height": height if math.isfinite(height) else None,
                "level_before": threshold.centre,
                "peak": state.peak,
                "factor": state.peak / threshold.centre if threshold.centre > 0 else None,
                "points_above": state.length,
                "spikes": state.count,
            },
        )
