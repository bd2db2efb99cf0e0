"""loss_spike: a sudden jump of the loss far outside its noise, with or without recovery.

A Hampel filter (Hampel 1974; Davies and Gather 1993) on the last 128 values, detrended by the medians of their
quarters, proposes: a point that exceeds the level by 10 robust standard deviations *and* 1.5 times the largest recent
excess is an *outlier* (information). It is an alarm where it exceeds what the tail of the run's own residuals allows,
about a twentieth of an exceedance in all doublings of the run together (Hill's estimate of the tail from the 32
largest residuals, shrunk to an index of 3: Hill 1975, Weissman 1978), or lasts: each of the next two points over the
8th largest residual. Either way only a rise by a tenth of the level, or by 30 % of all progress. Measured on eight
kinds of noise without a jump: 0 to 11 % of runs of 100,000 points alarm, whatever their length. The scale is
logarithmic where the window spans a factor of 3 and is positive.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar

import numpy as np

from losswatch_server.monitor.known import Need, Needs, Noise, begins_at_start
from losswatch_server.monitor.memory.stretch import Stretch
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Over, Test, Verdict, View, Waiting
from losswatch_server.monitor.rules.epoch_means import first_batch
from losswatch_server.monitor.rules.few_points import at_each, follows_by_chance
from losswatch_server.monitor.rules.spike_limits import Array, SpikeLimits, limits_of
from losswatch_server.monitor.stats.tail import tail_limit
from losswatch_server.monitor.stats.trend import difference_scale, median, quantum
from losswatch_server.monitor.vocabulary import Condition, Severity

WINDOW = 128
EVERY = 32
"""Points after which the limits of a long run are made anew."""
LARGEST_KEPT = 32
NOTABLE = 2.0
"""Standard deviations from which a residual belongs to the tail."""
EXCURSIONS = 6.0
"""Times the largest excursion so far, in the first 40 values of a loss about 0 (a quarter or more of either sign):
"twice the highest" means nothing there. Of 300 such runs of noise (Student's t of 3 degrees of freedom) 15 alarmed
without it, and 5 do with it."""
FAR = 4.0
"""Times the highest earlier loss, where a record is within 10 standard deviations of the logarithm."""
UNKNOWN_NOISE = 0.8
"""Confidence in a jump from losses of exactly 0 (a hinge at rest): no noise tells how far out it is."""


@dataclass(slots=True)
class Threshold:
    """What the next values are held against; refreshed every few points, and frozen while a spike lasts.

    ``notable`` is the loss from which a quiet point's residual is remembered.
    """

    limit: float = math.inf
    recovery: float = math.inf
    notable: float = math.inf
    centre: float = math.nan
    scale: float = math.nan
    logarithmic: bool = False
    due: int = 0

    def height(self, loss: float) -> float:
        """How far a loss is above the centre, in standard deviations; infinite where there is no noise at all."""
        if self.scale == 0:
            return math.inf
        if self.logarithmic:
            return math.log(loss / self.centre) / self.scale if loss > 0 else 0.0
        return (loss - self.centre) / self.scale

    def loss_at(self, height: float) -> float:
        """The loss that is so many standard deviations above the centre."""
        if self.logarithmic:
            return self.centre * math.exp(min(height * self.scale, 700.0))
        return self.centre + height * self.scale


@dataclass(slots=True)
class SpikeState:
    """``below`` counts the values back under the recovery level since the spike, and ``back_step`` is the step of the
    first of them after which none was above; ``largest`` are the 32 largest
    residuals of quiet points, ascending; ``new_level`` is the recovery level of a jump that did not come back."""

    threshold: Threshold = field(default_factory=Threshold)
    onset: int = -1
    length: int = 0
    below: int = 0
    back_step: int = -1
    peak: float = -math.inf
    count: int = 0
    alarming: bool = False
    above_eighth: int = 0
    """Points in a row over the 8th largest residual, the first included."""
    first_batch: float = math.nan
    """The highest loss with which a mean over the epoch may begin anew at the onset; NaN until it was asked for."""
    highest_before: float = math.inf
    new_level: float = -math.inf
    largest: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpike:
    """A jump is an *outlier* (information) until it is beyond the tail of the run's own residuals, or lasts."""

    condition: ClassVar[Condition] = Condition.LOSS_SPIKE
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Needs]] = {"jump": (Need.MINIMISED, Noise("loss", 5))}
    sds: float = 10.0
    excess: float = 1.5
    raw_sds: float = 20.0
    warmup: int = 40
    early_points: int = 4
    early_stride: int = 10
    """Single steps are too noisy for a verdict on so few points: only epochs, or points 10 steps apart or more."""
    early_share: float = 0.02
    """Of logs of noise, that may be said to jump within their first 40 points: ``few_points``' error rate."""
    early_jump: float = 1000.0
    """Times all that came before: no noise of single steps does that."""
    least_rise: float = 0.1
    """Of the level before: less is no event for who trains."""
    least_undone: float = 0.3
    """Of all progress, instead."""
    least_of_level: float = 0.05
    """Of the level, also where nearly nothing was gained yet: 30 % of that is nothing either."""
    least_of_progress: float = 0.05
    """Of all progress, also where nearly nothing is left of the loss, unless it grew by ``record`` times."""
    record: float = 2.0
    """Times the progress that a jump undoes, and the highest earlier loss that it exceeds, to be one whatever the tail
    of the noise."""
    certain_sds: float = 30.0
    """The limit while there are too few residuals to know their tail."""
    restart_points: int = 5
    """Points before a jump within which a schedule of the learning rate that begins anew makes it information."""
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
            self._refresh(state, self._limits([track.recent[-1 - WINDOW : -1]])[0])
            threshold.due = track.n + (EVERY if track.n > 2 * WINDOW else 16 if track.n > WINDOW else 4)
        if loss <= threshold.limit:
            if view.record is not None:
                view.holds("jump", self._jump(state, view, loss, threshold.limit))
            if loss > threshold.notable:
                self._remember(state, threshold.height(loss))
            if loss > state.new_level:
                return QUIET if state.new_level == -math.inf else UNSURE
            state.new_level = -math.inf
            return QUIET
        # the limits may be a few points old: hold the candidate against fresh ones before saying anything
        self._refresh(state, self._limits([track.recent[-1 - WINDOW : -1]])[0])
        if not view.holds("jump", self._jump(state, view, loss, threshold.limit)):
            return QUIET
        state.onset, state.length, state.below, state.peak, state.above_eighth = view.point.step, 1, 0, loss, 1
        state.back_step, state.first_batch = -1, math.nan
        state.count += 1
        state.highest_before = track.highest_before()
        state.alarming = self._material(state, view)
        return self._alarm(state, view)

    def _jump(self, state: SpikeState, view: View, loss: float, limit: float) -> Iterator[Test]:
        track = view.memory.loss
        yield Test("loss", loss, limit, True, "", track.recent_steps[-min(WINDOW + 1, len(track.recent))])

    def _no_noise(self, before: list[float], loss: float) -> Iterator[Test]:
        yield Test(
            "chance that noise of any spread goes on so high above its line (Student's test)",
            follows_by_chance(before, loss),
            at_each(self.early_share, len(before) + 1, self.early_points + 1),
            False,
            "probability",
        )

    def _remember(self, state: SpikeState, height: float) -> None:
        if height > NOTABLE and math.isfinite(height):
            insort(state.largest, height)
            if len(state.largest) > LARGEST_KEPT:
                del state.largest[0]

    def _early(self, state: SpikeState, view: View, loss: float) -> Verdict:
        """Up to 40 points (logs by the epoch): above twice all that came before, and 10 times its noise."""
        track = view.memory.loss
        before = track.recent[:-1]
        if len(before) < self.early_points:
            return Waiting(self.early_points + 1 - len(before))
        stride = (track.last_step - track.head_steps[0]) / len(before)
        highest = max(before)
        huge = highest > 0 and loss >= self.early_jump * highest
        if view.context.step_unit != "epoch" and stride < self.early_stride and not huge:
            return Waiting(self.warmup - len(before))
        if loss <= max(2 * highest, 0.0) and not view.record is not None:
            return QUIET
        centre = median(before[-8:])
        scale = max(difference_scale(before), 0.5 * quantum(before), 1e-3 * abs(centre), 1e-6 * abs(highest))
        limit = max(2 * highest, 0.0, centre + self.sds * scale)
        if len(before) <= 4 * sum(v < 0 for v in before) <= 3 * len(before):
            limit = max(limit, centre + EXCURSIONS * max(abs(v - centre) for v in before))
        tests = self._jump(state, view, loss, math.nextafter(limit, math.inf))
        if not view.holds("jump", tests if huge else chain(tests, self._no_noise(before, loss))):
            return QUIET
        state.threshold = Threshold(
            limit=2 * highest, recovery=max(highest, centre + 3 * scale), centre=centre, scale=scale
        )
        state.onset, state.length, state.below, state.peak, state.above_eighth = view.point.step, 1, 0, loss, 1
        state.back_step, state.first_batch = -1, math.nan
        state.count += 1
        state.alarming = not self._restarted(state, view)
        return self._alarm(state, view)

    def calm(self, state: SpikeState, view: View, point: Point) -> bool:
        threshold, loss = state.threshold, point.loss
        if loss is None:
            return True
        low = loss <= threshold.notable and loss <= threshold.limit
        return (
            low
            and state.onset < 0
            and self.warmup < view.memory.loss.n < threshold.due
            and state.new_level == -math.inf
        )

    def pass_over(self, state: SpikeState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        """Asked at the first loss over the limit that holds there."""
        n, losses, threshold = view.memory.loss.n, stretch.loss, state.threshold
        if opened or state.onset >= 0 or n <= 2 * WINDOW:
            return place
        at, past = losses.before(place), losses.before(stretch.end)
        # where nothing happens the limits are due at known counts: they are made together
        due = range(max(at, threshold.due - losses.begun - 1), past, EVERY)
        coming = iter(self._limits([losses.array[i + losses.known - WINDOW : i + losses.known] for i in due]))
        while at < past:
            if losses.begun + at + 1 >= threshold.due:
                self._refresh(state, next(coming))
                threshold.due = losses.begun + at + 1 + EVERY
            some = losses.values[at : min(past, threshold.due - losses.begun - 1)]
            over = None
            if not max(some) <= threshold.limit:
                over = next(i for i, loss in enumerate(some) if not loss <= threshold.limit)
            self._stay(state, some[:over])
            if over is not None:
                return losses.places[at + over]
            at += len(some)
        return stretch.end

    def _stay(self, state: SpikeState, losses: list[float]) -> None:
        """Losses that are not over the limit."""
        if not losses:
            return
        threshold = state.threshold
        if not max(losses) <= threshold.notable:
            for loss in losses:
                if loss > threshold.notable:
                    self._remember(state, threshold.height(loss))
        if state.new_level != -math.inf and min(losses) <= state.new_level:
            state.new_level = -math.inf

    def _limits(self, windows: Sequence[Sequence[float] | Array]) -> list[SpikeLimits]:
        """Those that windows of past values set, all of one length."""
        if not windows:
            return []
        return limits_of(np.array(windows), sds=self.sds, excess=self.excess, raw_sds=self.raw_sds)

    def _refresh(self, state: SpikeState, limits: SpikeLimits) -> None:
        threshold = state.threshold
        threshold.limit, threshold.recovery, threshold.centre, threshold.scale, threshold.logarithmic = limits
        threshold.notable = threshold.loss_at(state.largest[0] if len(state.largest) == LARGEST_KEPT else NOTABLE)

    def _restarted(self, state: SpikeState, view: View) -> bool:
        """Whether a schedule of the learning rate, or a mean over the epoch, began anew with the jump."""
        track = view.memory.loss
        near = track.recent_steps[-(state.length + self.restart_points) :]
        if math.isnan(state.first_batch):
            state.first_batch = first_batch(track.recent[: -state.length], track.n - state.length)
        return view.memory.rates.restarted(near[0], state.onset) or state.peak <= state.first_batch

    def _material(self, state: SpikeState, view: View) -> bool:
        """Whether a jump is more than one outlier of the run's own tail, and no schedule's doing."""
        threshold, track = state.threshold, view.memory.loss
        if self._restarted(state, view):
            return False
        height = threshold.height(state.peak)
        start = track.head[0]
        known = begins_at_start(view.memory)
        if not known and view.shape.chance is not None:
            start, known = max(start, view.shape.chance), True
        # of an excerpt it is the least that was gained: a jump may undo less of it than it seems, and no more
        progress = start - track.lowest
        rise = state.peak - threshold.centre
        # progress within the noise is none that a jump could undo
        noise = threshold.scale * abs(threshold.centre) if threshold.logarithmic else threshold.scale
        fell = progress > max(4 * noise, 0.0)
        undone = rise / progress if fell else 0.0
        centre = abs(threshold.centre)
        # a hinge at rest has a level of 0, and no factor to tell by
        grown = centre > 0 and state.peak > (1 + self.record) * centre
        of_level = rise >= self.least_rise * centre > 0 and (undone >= self.least_of_progress or grown or not fell)
        of_progress = known and undone >= self.least_undone and rise >= self.least_of_level * centre
        if not of_level and not of_progress:
            return False
        limit = tail_limit(state.largest, track.n, least=NOTABLE, kept=LARGEST_KEPT)
        limit = max(self.certain_sds if track.n < WINDOW else self.sds, limit)
        undoes = (undone >= self.record if known else grown) or not fell
        record = undoes and state.peak > self.record * abs(state.highest_before)
        # a loss near 0 scatters by factors: by its logarithm too it must be more than an outlier
        record = record and (height >= self.sds or state.peak > FAR * abs(state.highest_before))
        return record or limit <= height < math.inf or state.above_eighth >= self.lasting

    def _during(self, state: SpikeState, view: View, loss: float) -> Verdict:
        state.length += 1
        state.peak = max(state.peak, loss)
        if view.record is not None:
            view.holds("jump", self._jump(state, view, loss, math.nextafter(state.threshold.recovery, math.inf)))
        if loss <= state.threshold.recovery:
            state.below += 1
            if state.back_step < 0:
                state.back_step = view.point.step
            if state.below >= self.recovered_after:
                state.onset = -1
                state.new_level = -math.inf
                state.threshold.due = 0
                return Over(since_step=state.back_step, evidence={"recovered_step": state.back_step})
            return UNSURE
        state.back_step = -1
        eighth = state.largest[-8] if len(state.largest) >= 8 else 3.0
        in_a_row = state.above_eighth == state.length - 1 and state.below == 0
        if in_a_row and state.threshold.height(loss) >= eighth:
            state.above_eighth += 1
        state.alarming = state.alarming or self._material(state, view)
        if state.length > self.gives_up_after:
            state.onset = -1
            state.new_level = state.threshold.recovery
            state.threshold.due = 0
            return UNSURE
        return self._alarm(state, view)

    def _alarm(self, state: SpikeState, view: View) -> Alarm:
        threshold = state.threshold
        height = threshold.height(state.peak)
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
                "recovered_step": None,
            },
        )
