"""diverging: the loss grows persistently, or has done so before the first line was printed.

Several rules; together they alarm on 1 of 972 runs of pure noise of nine kinds (1.65 million points):

- *Growth* (from the 5th point): four rises in a row, each larger than the one before, to half above any earlier
  record. Geometric growth by 1.3 a point is seen at its 5th point.
- *Jump*, *multiplying*, *doubling*, *monotone*, *risen*, *both rise* (few points): see ``few_points``.
- *Start*: a first loss out of all proportion to any loss of its kind, or to the baseline, that has fallen since: what
  exploded did so before it was first printed, and the fall does not undo it.
- *Ladder* (any length): the mean of the last 3 blocks of 8 * 2**k points above the lowest earlier 3-block mean by
  more than 12 robust standard deviations of such blocks (20 for blocks of 8 and 16), still rising, and at least half
  of the progress lost.
- *Lost*: the loss had fallen below 70 % of its start, and has been above its start for the last quarter of the run.
- *Unbounded*: a loss that falls below zero to a million times the size of its first values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from losswatch_server.monitor.known import Need, Needs, Noise, begins_at_start
from losswatch_server.monitor.learning_rate_limit import limit_from_growth, overflow_step
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.memory.stretch import Stretch
from losswatch_server.monitor.memory.track import BLOCK, LADDER_LEVELS, Track, step_back
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Test, Verdict, View
from losswatch_server.monitor.rules.few_points import (
    DOUBLING_FROM,
    FEW,
    MONOTONE_FROM,
    RISEN_FROM,
    both_rise,
    doubles,
    doubling_count,
    jump_place,
    jumped,
    monotone,
    multiplies,
    over_scatter,
    rise_place,
    risen,
    rises_place,
)
from losswatch_server.monitor.rules.flat_parameters import of_means
from losswatch_server.monitor.rules.rises import first_climb, first_convex
from losswatch_server.monitor.rules.rises_alone import AloneParameters, learns_meanwhile, rises_alone
from losswatch_server.monitor.stats.growth import growth_evidence
from losswatch_server.monitor.stats.trend import difference_scale, median
from losswatch_server.monitor.vocabulary import Condition, Severity

LARGEST_START: dict[Family, float] = {Family.CROSS_ENTROPY: 1e6, Family.BINARY: 1e6, Family.FOCAL: 1e6}
"""No first loss of the kind is so large, averaged or summed over a batch: cross-entropy over 128 thousand words is 12,
over a batch of a hundred thousand words summed a million."""
LARGEST_START_OF_VALUES = 1e15
"""The same for losses in the unit of the targets: the square of thirty million."""
LARGEST_OVER_BASELINE = 1e6
"""Times the loss of the best constant answer, where the client states it."""


FAR, NOT_FAR = 0.85, 0.7
"""How often an alarm was right whose loss went far over its start, and one whose loss did not: of the develop half's
142 and 80 alarms 122 and 53, each drawn a little towards both together. Of 108 that grew at a constant rate or blew up
107 were."""

GRADUAL = ("growth", "doubling", "monotone", "risen", "both rise", "ladder", "lost")
"""Rules of a rise that a metric which gets better meanwhile excuses."""


@dataclass(slots=True)
class DivergingState:
    """``level`` is the loss that has to be left behind to resolve."""

    onset: int = -1
    level: float = math.inf
    start_value: float = math.nan
    rule: str = ""
    points: int = 0
    opened_n: int = 0
    started: bool = False
    """Whether the first points were held against the largest start already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverging(AloneParameters):
    """The loss grows persistently. Critical when it is far above its initial level or grows geometrically."""

    condition: ClassVar[Condition] = Condition.DIVERGING
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Needs]] = {
        **dict.fromkeys(
            ("start", "jump", "multiplying", "doubling", "growth", "monotone", "risen", "unbounded"), (Need.MINIMISED,)
        ),
        "both rise": (Need.MINIMISED, Need.VALIDATION),
        **{
            f"ladder {BLOCK << level}": (Need.MINIMISED, Noise("loss", 6 * BLOCK << level))
            for level in range(LADDER_LEVELS)
        },
        "lost": (Need.MINIMISED, Noise("loss", 6 * BLOCK), Need.START),
    }
    fell: float = 10.0
    """Times: a huge first loss that stays is no explosion, but what not_learning says."""
    ladder_sds: float = 12.0
    fine_ladder_sds: float = 20.0
    lost_progress: float = 0.5
    learned: float = 0.7
    relative_rise: float = 0.1
    """A rise of less than a tenth of the level is drift, not divergence."""
    steady_spread: float = 1.15
    blow_up: float = 100.0
    unbounded: float = 1e6

    def start(self) -> DivergingState:
        return DivergingState()

    def step(self, state: DivergingState, view: View) -> Verdict:
        loss = view.point.loss
        if loss is None or not math.isfinite(loss) or view.point.rank:
            return UNSURE
        track = view.memory.loss
        if state.onset >= 0:
            if view.record is not None:
                self._ask(view, track)
            return self._during(state, view, loss)
        found = self._ask(view, track)
        return QUIET if found is None else self._open(state, view, *found)

    def _ask(self, view: View, track: Track) -> tuple[str, int] | None:
        """The first rule that holds, and the place in ``recent`` at which the rise began."""
        recent, n = track.recent, track.n
        explains = view.record is not None
        found: list[tuple[str, int]] = []
        if view.review and n > 1 and view.holds("start", self._start(view, track)):
            found.append(("start", 0))
        if 1 < n <= self.few_points:
            at = jump_place(self, track)
            if view.holds("jump", jumped(self, track, at)):
                found.append(("jump", at))
            if n > 2:
                at = rises_place(self, track)
                if view.holds("multiplying", multiplies(self, track, at)):
                    found.append(("multiplying", at))
        rising = n > 4 and recent[-1] > recent[-2] > recent[-3] > recent[-4] > recent[-5]
        if n > 4 and (explains or rising) and self._alone(view, "growth", self._grows(track)):
            found.append(("growth", len(recent) - 5))
        if view.review:
            means = of_means(view)
            few = means and DOUBLING_FROM <= n <= self.doubling_points
            if few and self._alone(view, "doubling", doubles(self, view)):
                found.append(("doubling", len(recent) - doubling_count(track)))
            orderly = (MONOTONE_FROM if means else 12) <= n <= FEW and (explains or recent[-1] >= track.highest)
            if orderly and self._alone(view, "monotone", monotone(self, track)):
                found.append(("monotone", _lowest_late(recent)))
            if means and RISEN_FROM <= n <= FEW and self._alone(view, "risen", risen(self, track)):
                found.append(("risen", len(recent) - rise_place(self, track)[0]))
            both = 6 <= n <= FEW and view.memory.validation.n >= n - 1
            if both and self._alone(view, "both rise", both_rise(self, view)):
                found.append(("both rise", 0))
            if n >= 6 * BLOCK and self._alone(view, "lost", self._lost(view), self.needs["lost"]):
                found.append(("lost", max(0, len(recent) - n // 4)))
            if recent[-1] < 0 and view.holds("unbounded", self._falls_without_bound(track)):
                found.append(("unbounded", max(0, len(recent) - n)))
        if n % BLOCK == 0 and n >= 6 * BLOCK and not self._spiking(view):
            onset = self._climbs(view)
            if onset is not None:
                found.append(("ladder", onset))
        return found[0] if found else None

    def _alone(self, view: View, rule: str, tests: Iterator[Test], needs: Needs = ()) -> bool:
        return view.holds(rule, chain(tests, rises_alone(self, view)), needs)

    def calm(self, state: DivergingState, view: View, point: Point) -> bool:
        track = view.memory.loss
        recent = track.recent
        return (
            track.n % BLOCK > 0
            and state.onset < 0
            and track.n > self.few_points
            and not recent[-1] > recent[-2] > recent[-3] > recent[-4]
        )

    def pass_over(self, state: DivergingState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        """Asked where four convex rises end, and where a step of the ladder could be a climb."""
        track, losses = view.memory.loss, stretch.loss
        first, past = losses.before(place), losses.before(stretch.end)
        if first == past:
            return stretch.end
        if opened or state.onset >= 0 or track.n <= max(self.few_points, 8 * BLOCK):
            return place
        # at the first loss that is not positive the ladder becomes another one
        turns = past
        if track.lowest > 0 and not min(losses.values[first:past]) > 0:
            turns = next(i for i in range(first, past) if not losses.values[i] > 0)
        climb = first_climb(view, losses, turns, rise=self.relative_rise, lost=self.lost_progress)
        found = min(turns, first_convex(losses, first, past), climb)
        return losses.places[found] if found < past else stretch.end

    def _start(self, view: View, track: Track) -> Iterator[Test]:
        largest = LARGEST_START.get(view.kind.family, LARGEST_START_OF_VALUES)
        if view.kind.stated and view.kind.chance is not None and view.kind.chance > 0:
            largest = min(largest, LARGEST_OVER_BASELINE * view.kind.chance)
        first = max(track.head[:3])
        yield Test("loss at the start", first, largest, True, "", track.head_steps[0])
        yield Test(
            "loss at the start over the present one", first / max(track.recent[-1], 1e-300), self.fell, True, "times"
        )

    def _spiking(self, view: View) -> bool:
        """A jump makes blocks rise by itself: while it lasts, only a block above all of the one before goes on
        growing. Needs two blocks."""
        recent = view.memory.loss.recent
        return Condition.LOSS_SPIKE in view.troubled and sum(recent[-BLOCK:]) <= BLOCK * max(
            recent[-2 * BLOCK : -BLOCK]
        )

    def _grows(self, track: Track) -> Iterator[Test]:
        """Four convex rises to a record high, by more than half of the start."""
        a, b, c, d, e = track.recent[-5:]
        convex = 0 < b - a < c - b < d - c < e - d
        from_step = track.recent_steps[-5]
        yield Test("four rises in a row, each larger than the one before", float(convex), 0.5, True, "", from_step)
        before = track.recent[:-4] + track.head[: max(0, track.n - 4)]
        record = max(before)
        start = abs(record) if track.lowest > 0 else max(abs(a), record - min(before))
        rise = e - max(a, record)
        share = rise / start if start > 0 else math.inf if rise > 0 else 0.0
        yield Test("rise above the highest earlier loss", share, self.total_rise, True, "of that loss", from_step)
        yield from over_scatter(self, track)

    def _lost(self, view: View) -> Iterator[Test]:
        """Learnt, then lost all of it for the last quarter of the run, and does not come back."""
        shape, track = view.shape, view.memory.loss
        quarter = shape.means[-max(2, len(shape.means) // 4) :]
        yield Test("lowest loss", track.lowest, 0.0)
        yield Test("best level", shape.best, self.learned * shape.first, False)
        yield Test("lowest level over the last quarter of the run", float(quarter.min()), shape.first)
        yield Test("level now over that of a quarter ago", float(quarter[-1]), 0.9 * float(quarter[0]))

    def _falls_without_bound(self, track: Track) -> Iterator[Test]:
        size = max(map(abs, track.head[:8]))
        yield Test(
            "fall below zero over the size of the first losses",
            -track.recent[-1] / max(size, 1e-300),
            self.unbounded,
            True,
            "times",
        )

    def _climbs(self, view: View) -> int | None:
        """The ladder rule; the index into ``recent`` (or 0) at which the climb began, None while there is none."""
        track = view.memory.loss
        found = None
        for level, count in enumerate(track.ladder_counts):
            if (track.n // BLOCK) % (1 << level) or count < 6:
                break
            log = track.lowest > 0
            blocks = track.ladder_log[level] if log else track.ladder[level]
            if not view.explains and not (blocks[-1] > blocks[-2] > blocks[-3] and self._rises_enough(track, level)):
                continue
            # a block that came before the loss turned positive for good has no logarithm
            if log and any(map(math.isnan, blocks)):
                continue
            triples = [sum(blocks[i : i + 3]) / 3 for i in range(len(blocks) - 3)]
            best = min(triples)
            back = (len(blocks) - triples.index(best) - 1) * (BLOCK << level)
            rung = self._rung(view, level, blocks, best, back)
            if self._alone(view, f"ladder {BLOCK << level}", rung) and found is None:
                found = max(0, len(track.recent) - back)
        return found

    def _rises_enough(self, track: Track, level: int) -> bool:
        """Whether the latest block may pass the last test of a rung: for nearly all that rise this tells that the dear
        ones need not be made."""
        *earlier, last = track.ladder[level]
        lowest = min(earlier)
        return last - lowest >= self.relative_rise * abs(lowest) or last >= 1.5 * median(track.head[:4])

    def _rung(self, view: View, level: int, blocks: list[float], best: float, back: int) -> Iterator[Test]:
        track = view.memory.loss
        width = f" of {BLOCK << level} points"
        scale = max(difference_scale(blocks[:-3]), 1e-9 * abs(best), 1e-12)
        sds = self.ladder_sds if level >= 2 else self.fine_ladder_sds
        now = (blocks[-1] + blocks[-2] + blocks[-3]) / 3
        since = step_back(track, back) if view.explains else None
        yield Test("rise of the levels" + width, (now - best) / scale, sds, True, "standard deviations", since)
        rising = blocks[-1] > blocks[-2] > blocks[-3]
        yield Test("the last two levels" + width + " rose", float(rising), 1.0)
        raw = track.ladder[level]
        lowest = min(raw[:-1])
        progress = max(median(track.head[:4]) - lowest, 0.0) if begins_at_start(view.memory) else 0.0
        yield Test("rise above the lowest level" + width, raw[-1] - lowest, self.lost_progress * progress)
        # what a spike left in the block is no level where the loss is back below all of them
        yield Test("lowest of the last three losses", min(track.recent[-3:]), lowest)
        if min(track.head) < 0 < max(track.head):
            # about 0 from the start: a block of outliers is no level that was reached, nor the way back a climb
            yield Test("the last two levels" + width, min(raw[-2:]), max(track.head))
        rates = view.memory.rates
        if rates.current is not None and rates.current > 1.2 * (rates.at(track.lowest_step) or rates.current):
            # not the echo of a raised learning rate
            yield Test("level" + width + " after the learning rate rose", raw[-1], 1.5 * median(track.head[:4]))
        else:
            least = max(3 * view.shape.noise, self.relative_rise * abs(lowest))
            yield Test("rise above what single points scatter", raw[-1] - lowest, least)

    def _open(self, state: DivergingState, view: View, rule: str, index: int) -> Verdict:
        track = view.memory.loss
        state.rule = rule
        state.onset = track.recent_steps[index] if rule not in ("start", "unbounded") else track.head_steps[0]
        state.start_value = track.recent[index]
        state.opened_n = track.n
        state.points = 0
        # what exploded before it was printed, or has no lower end, is not undone by what follows
        state.level = -math.inf if rule in ("start", "unbounded") else 0.5 * (track.lowest + track.recent[-1])
        return self._alarm(state, view)

    def _during(self, state: DivergingState, view: View, loss: float) -> Verdict:
        state.points += 1
        track = view.memory.loss
        window = track.recent[-8:]
        back = loss < state.level and median(window) < state.level
        if back or (view.review and state.rule in GRADUAL and learns_meanwhile(self, view)):
            state.onset = -1
            return QUIET
        if loss >= track.highest or view.review:
            return self._alarm(state, view)
        return UNSURE

    def _alarm(self, state: DivergingState, view: View) -> Alarm:
        track, recent = view.memory.loss, view.memory.loss.recent
        initial = median(track.head[:3]) if state.onset > track.head_steps[0] else track.head[0]
        evidence: dict[str, Any] = {"rule": state.rule, **growth_evidence(track, self.steady_spread)}
        steady, at_once = bool(evidence.get("steady")), state.rule == "start"
        if at_once and not steady:  # how it wavers at its end is no growth, and tells no rate
            evidence = {"rule": state.rule, "rises": 0, "steady": False}
        evidence["rise_factor"] = recent[-1] / track.lowest if track.lowest > 0 else None
        over_initial = (recent[-1] - track.lowest) > 1.5 * abs(initial - track.lowest) + 0.5 * abs(initial)
        blown = track.lowest > 0 and recent[-1] > self.blow_up * initial
        growing = track.n - state.opened_n < 64
        critical = (growing and steady) or blown or over_initial or at_once
        run = track.n - _index_of(track, state.onset)
        sure = steady and run >= 5 and growing
        confidence = (
            0.999 if (sure and run >= 8) or (blown and run >= 8) else 0.99 if sure else FAR if critical else NOT_FAR
        )
        if (not recent[-1] >= track.highest or at_once) and confidence >= 0.99:
            confidence = 0.98
        evidence |= {"initial": initial, "current": recent[-1], "lowest": track.lowest} | (
            {"highest_at_start": max(track.head[:3])} if at_once else {}
        )
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
