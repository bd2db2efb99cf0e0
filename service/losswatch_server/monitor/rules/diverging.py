"""diverging: the loss grows persistently.

Four rules, from fast to slow. Together they alarm on 1 of 972 runs of pure noise of nine kinds (1.65 million points):

- *Growth* (from the 5th point): four rises in a row, each larger than the one before, to half above any earlier
  record. Geometric growth by 1.3 a point is seen at its 5th point.
- *Monotone* (6 to 64 points, logs by the epoch): Kendall's exact test upwards over the second half (at least 6 points)
  at p < 0.0015, by more than half of the lowest value, ending above everything before.
- *Ladder* (any length): the mean of the last 3 blocks of 8 * 2**k points above the lowest earlier 3-block mean by
  more than 12 robust standard deviations of such blocks (20 for blocks of 8 and 16), still rising, and at least
  half of the progress lost.
- *Lost*: the loss had fallen below 70 % of its start, and has been above its start for the last quarter of the run.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar

from losswatch_server.monitor.learning_rate_limit import limit_from_growth, overflow_step
from losswatch_server.monitor.memory.track import BLOCK, Track
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test, median
from losswatch_server.monitor.vocabulary import Condition, Severity

EPSILON = sys.float_info.epsilon


@dataclass(slots=True)
class DivergingState:
    """``evidence`` is kept while the alarm lasts; ``level`` is the loss that has to be left behind to resolve."""

    onset: int = -1
    level: float = math.inf
    start_value: float = math.nan
    rule: str = ""
    points: int = 0
    growth: list[float] = field(default_factory=list)
    opened_n: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverging:
    """The loss grows persistently. Critical when it is far above its initial level or grows geometrically."""

    condition: ClassVar[Condition] = Condition.DIVERGING
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = True
    needed: int = 5
    total_rise: float = 0.5
    ladder_sds: float = 12.0
    fine_ladder_sds: float = 20.0
    lost_progress: float = 0.5
    learnt: float = 0.7
    relative_rise: float = 0.1
    """A rise of less than a tenth of the level is drift, not divergence."""
    steady_spread: float = 1.15
    blow_up: float = 100.0

    def start(self) -> DivergingState:
        return DivergingState()

    def step(self, state: DivergingState, view: View) -> Verdict:
        loss = view.point.loss
        if loss is None or not math.isfinite(loss) or view.point.rank:
            return UNSURE
        track = view.memory.loss
        if state.onset >= 0:
            return self._during(state, view, loss)
        if track.n < self.needed:
            return Waiting(self.needed - track.n)
        recent = track.recent
        if recent[-1] > recent[-2] > recent[-3] and self._grows(track):
            return self._open(state, view, "growth", len(recent) - 5)
        if 6 <= track.n <= 64 and view.review and self._monotone(track):
            return self._open(state, view, "monotone", _lowest_late(recent))
        if view.review and track.n >= 6 * BLOCK and self._lost(view):
            return self._open(state, view, "lost", max(0, len(recent) - track.n // 4))
        if track.n % BLOCK == 0 and track.n >= 6 * BLOCK and not self._spiking(view):
            onset = self._climbs(view)
            if onset is not None:
                return self._open(state, view, "ladder", onset)
        return QUIET

    def _spiking(self, view: View) -> bool:
        """A jump makes blocks rise by itself: while it lasts, only a block above all of the one before goes on
        growing. Needs two blocks."""
        recent = view.memory.loss.recent
        return Condition.LOSS_SPIKE in view.troubled and sum(recent[-BLOCK:]) <= BLOCK * max(
            recent[-2 * BLOCK : -BLOCK]
        )

    def _grows(self, track: Track) -> bool:
        """Rule C: four convex rises to a record high, by more than half of the start."""
        a, b, c, d, e = track.recent[-5:]
        if not (b > a and c - b > b - a and d - c > c - b and e - d > d - c):
            return False
        if e < track.highest:
            return False
        before = track.recent[:-4] + track.head[: max(0, track.n - 4)]
        record = max(before)
        span = record - min(before)
        start = abs(record) if track.lowest > 0 else max(abs(a), span)
        return e - max(a, record) > self.total_rise * start

    def _monotone(self, track: Track) -> bool:
        values = track.recent[-max(6, track.n // 2) :]
        if values[-1] < track.highest or values[-1] <= max(track.head[:3]):
            return False
        s, p = kendall_test(values)
        lowest = min(values)
        return s > 0 and p < 0.0015 and values[-1] - lowest > self.total_rise * abs(lowest)

    def _lost(self, view: View) -> bool:
        """Learnt, then lost all of it for the last quarter of the run, and does not come back."""
        shape, track = view.shape, view.memory.loss
        quarter = shape.means[-max(2, len(shape.means) // 4) :]
        return (
            track.lowest >= 0
            and shape.best < self.learnt * shape.first
            and float(quarter.min()) > shape.first
            and float(quarter[-1]) > 0.9 * float(quarter[0])
        )

    def _climbs(self, view: View) -> int | None:
        """The ladder rule; the index into ``recent`` (or 0) at which the climb began, None while there is none."""
        track = view.memory.loss
        for level, count in enumerate(track.ladder_counts):
            if (track.n // BLOCK) % (1 << level) or count < 6:
                break
            log = track.lowest > 0
            blocks = track.ladder_log[level] if log else track.ladder[level]
            # a block that came before the loss turned positive for good has no logarithm
            if log and any(map(math.isnan, blocks)):
                continue
            if not blocks[-1] > blocks[-2] > blocks[-3]:
                continue
            triples = [sum(blocks[i : i + 3]) / 3 for i in range(len(blocks) - 3)]
            best = min(triples)
            scale = max(difference_scale(blocks[:-3]), 1e-9 * abs(best), 1e-12)
            sds = self.ladder_sds if level >= 2 else self.fine_ladder_sds
            now = (blocks[-1] + blocks[-2] + blocks[-3]) / 3
            if now - best <= sds * scale:
                continue
            raw = track.ladder[level]
            lowest = min(raw[:-1])
            progress = median(track.head[:4]) - lowest
            if raw[-1] - lowest <= self.lost_progress * max(progress, 0.0) or not self._material(view, raw[-1], lowest):
                continue
            return max(0, len(track.recent) - (len(blocks) - triples.index(best) - 1) * (BLOCK << level))
        return None

    def _material(self, view: View, now: float, lowest: float) -> bool:
        """More than three noise levels of single points, and not the echo of a raised learning rate."""
        rates = view.memory.rates
        track = view.memory.loss
        if rates.current is not None and rates.current > 1.2 * (rates.at(track.lowest_step) or rates.current):
            return now > 1.5 * median(track.head[:4])
        return now - lowest > 3 * view.shape.noise and now - lowest > self.relative_rise * abs(lowest)

    def _open(self, state: DivergingState, view: View, rule: str, index: int) -> Verdict:
        track = view.memory.loss
        state.rule = rule
        state.onset = track.recent_steps[index]
        state.start_value = track.recent[index]
        state.opened_n = track.n
        state.points = 0
        excess = track.recent[-1] - track.lowest
        state.level = track.lowest + 0.5 * excess
        return self._alarm(state, view)

    def _during(self, state: DivergingState, view: View, loss: float) -> Verdict:
        state.points += 1
        track = view.memory.loss
        window = track.recent[-8:]
        if median(window) < state.level and loss < state.level:
            state.onset = -1
            return QUIET
        if loss >= track.highest or view.review:
            return self._alarm(state, view)
        return UNSURE

    def _alarm(self, state: DivergingState, view: View) -> Alarm:
        track = view.memory.loss
        recent = track.recent
        initial = median(track.head[:3]) if state.onset > track.head_steps[0] else track.head[0]
        evidence: dict[str, Any] = {"rule": state.rule, **growth_evidence(track, self.steady_spread)}
        steady = bool(evidence.get("steady"))
        rise = recent[-1] / track.lowest if track.lowest > 0 else None
        evidence["rise_factor"] = rise
        over_initial = (recent[-1] - track.lowest) > 1.5 * abs(initial - track.lowest) + 0.5 * abs(initial)
        blown = track.lowest > 0 and recent[-1] > self.blow_up * initial
        growing = track.n - state.opened_n < 64
        critical = (growing and (steady or over_initial)) or blown or over_initial
        run = track.n - _index_of(track, state.onset)
        sure = steady and run >= 5 and growing
        confidence = (
            0.999 if (sure and run >= 8) or (blown and run >= 8) else 0.99 if sure else 0.95 if critical else 0.85
        )
        if not track.recent[-1] >= track.highest and confidence >= 0.99:
            confidence = 0.98
        evidence |= {"initial": initial, "current": recent[-1], "lowest": track.lowest}
        return Alarm(
            onset_step=state.onset,
            confidence=confidence,
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            evidence=evidence | implications(view, evidence),
        )


def _lowest_late(values: list[float]) -> int:
    """Index of the last minimum."""
    return max(range(len(values)), key=lambda i: (-values[i], i))


def _index_of(track: Track, step: int) -> int:
    """How many points came before a step, as far as ``recent`` knows."""
    before = sum(1 for s in track.recent_steps if s < step)
    return track.n - len(track.recent) + before


def growth_evidence(track: Track, steady_spread: float) -> dict[str, Any]:
    """The growth of the latest run of rises (at most 16 points): ratios of losses and of their differences.

    ``difference_ratio`` removes any floor and works for losses of any sign; ``steady`` says whether at least three
    successive ratios agree within ``steady_spread``, i.e. whether the loss is locally quadratic in the weights.
    """
    values, steps = track.recent, track.recent_steps
    i = len(values) - 1
    while i > 0 and values[i - 1] < values[i] and len(values) - i < 16:
        i -= 1
    rise = values[i:]
    if len(rise) < 3:
        return {"rises": len(rise) - 1, "steady": False}
    differences = [b - a for a, b in itertools.pairwise(rise)]
    ratios = [b / a for a, b in itertools.pairwise(differences) if a > 0]
    late = ratios[-8:]
    spread = max(late) / min(late) if late and min(late) > 0 else math.inf
    stride = (steps[-1] - steps[i]) / (len(rise) - 1)
    # a straight line has ratios of 1 but for the rounding of its values
    least = 1.0 + 8 * EPSILON * max(max(abs(a), abs(b)) / (b - a) for a, b in itertools.pairwise(rise))
    evidence: dict[str, Any] = {
        "rises": len(rise) - 1,
        "ratio_spread": spread if math.isfinite(spread) else None,
        "steady": len(late) >= 3 and spread <= steady_spread and min(late) > least,
        "accelerating": len(late) >= 3 and late[-1] > 1.3 * late[0],
    }
    if late:
        ratio = median(late)
        evidence["difference_ratio"] = ratio
        evidence["steps_per_rise"] = stride
        if ratio > least:
            # the rate may be too near 1 for a float64 although its logarithm is not 0
            evidence["growth_per_step"] = ratio ** (1 / stride)
            evidence["doubling_steps"] = stride * math.log(2) / math.log(ratio)
    return evidence


def implications(view: View, evidence: dict[str, Any]) -> dict[str, Any]:
    """What a growth says of the learning rate and of the step at which the loss overflows."""
    ratio, growth, context = evidence.get("difference_ratio"), evidence.get("growth_per_step"), view.context
    if ratio is None or growth is None:
        return {}
    said: dict[str, Any] = {}
    if evidence["steady"]:
        said["overflow_step"] = overflow_step(
            view.point.step, evidence["current"], growth, context.precision, context.batch_size
        )
    limit = limit_from_growth(
        ratio,
        view.memory.rates.current if view.memory.rates.current is not None else context.learning_rate,
        context.momentum,
        context.nesterov,
        context.steps_per_point,
        points=evidence["rises"] + 1,
        ratio_spread=evidence["ratio_spread"] or math.inf,
        optimizer=context.optimizer,
        full_batch=context.full_batch,
    )
    if limit is not None and limit.geometric:
        said["learning_rate_times_sharpness"] = limit.learning_rate_times_sharpness
        said["learning_rate_limit"] = limit.learning_rate_limit
        said["learning_rate_limit_interval"] = limit.interval
        said["limit_over_learning_rate"] = limit.factor
    return said
