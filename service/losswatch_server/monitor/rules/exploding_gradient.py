"""exploding_gradient: the gradient norm leaves its range upwards, or starts far out of any range.

Two rules. *Rise*: the median of the last 8 norms is far above what it was while nothing was wrong, and back near the
norms of the start or with a loss that rose too. *Start*: the first norms and the first loss are both far above where
the loss settles at once (or above chance level), the mark of an initialisation that is too large. Pascanu, Mikolov
and Bengio 2013.

Norms from after clipping (``grad_norm_is``) end at the clip: they can show no rise, and are not asked for one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from losswatch_server.monitor.known import Need, Needs, Noise
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.loss_summary import reduced_alike
from losswatch_server.monitor.memory.stretch import Stretch
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.precision import precision
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Test, Verdict, View, Waiting
from losswatch_server.monitor.stats.trend import Array, difference_scale, median, middle
from losswatch_server.monitor.vocabulary import Condition, Severity

START_POINTS = 8
"""A poor start must last for half of these points: a network that recovers at once needs no advice."""
REST = 32
"""Norms after which the bases are taken anew, while nothing is wrong."""
LARGEST_CHANCE = math.log(128256)
"""Chance level over the largest vocabulary in common use; stands in where the classes are not known."""


@dataclass(slots=True)
class GradientState:
    """``base`` is the median norm while nothing was wrong, ``loss_base`` that of the loss; both stand still while
    something is."""

    base: float = 0.0
    loss_base: float = math.inf
    onset: int = -1
    due: int = 0
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplodingGradient:
    """Warning at 30 times the running median (median of 8 points), critical at 1000 times."""

    condition: ClassVar[Condition] = Condition.EXPLODING_GRADIENT
    series: ClassVar[str] = "grad_norm"
    every_point: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Needs]] = {
        "rise": (Need.MINIMISED, Need.GRADIENTS, Need.UNCLIPPED, Noise("gradient norm", 32)),
        "inputs": (Need.MINIMISED, Need.GRADIENTS, Need.START),
        "start": (Need.MINIMISED, Need.GRADIENTS, Need.START),
    }
    warning_ratio: float = 30.0
    critical_ratio: float = 1000.0
    warmup: int = 32
    near_the_start: float = 0.3
    """A norm that fell by orders and comes back to less than this share of its start, with no harm to the loss, is the
    late phase of a run that fits its data exactly."""
    harmed: float = 1.1
    recovered_share: float = 0.99
    stays: float = 0.6
    """Of the first two losses, that is left of the first 8: what comes down at once may be a loss in a large unit."""
    large_inputs: float = 300.0
    """Standardised inputs of d features have a norm of sqrt d: 300 stands for ninety thousand of them."""
    scatters: float = 0.1
    """Of the loss, from one of the first to the next, where it begins so high that it may have been summed."""
    scaled: float = 1e4
    """Times chance level: a loss that begins higher is in another unit."""
    above_chance: float = 6.0
    """A first loss this many times the chance level means weights that are far too large."""

    def start(self) -> GradientState:
        return GradientState()

    def step(self, state: GradientState, view: View) -> Verdict:
        track = view.memory.grad_norm
        norm = view.point.grad_norm
        if norm is None or not math.isfinite(norm) or view.point.rank:
            return UNSURE
        if track.n == START_POINTS or view.record is not None:
            verdict = self._start(state, view)
            if track.n == START_POINTS:
                return verdict
        if state.initial:
            return self._settled(state, view)
        if track.n < self.warmup:
            return Waiting(self.warmup - track.n)
        if track.n % 4 or not view.has(Need.UNCLIPPED):
            return UNSURE
        last = median(track.recent[-8:])
        # the test that fails nearly always is made for an explanation alone where it does
        risen = view.record is not None or (state.base > 0 and last / state.base >= self.warning_ratio)
        if not risen or not view.holds("rise", self._rise(state, view, last), self.needs["rise"]):
            if state.onset >= 0 and state.base > 0 and last >= self.warning_ratio / 3 * state.base:
                return UNSURE
            state.onset = -1
            if track.n >= state.due:
                self._rest(state, track.n, np.array(track.recent), np.array(view.memory.loss.recent))
            return QUIET
        if state.onset < 0:
            state.onset = track.recent_steps[-8]
        ratio = last / state.base
        return Alarm(
            onset_step=state.onset,
            confidence=min(0.99, 0.7 + 0.1 * math.log10(ratio / self.warning_ratio + 1)),
            severity=Severity.CRITICAL if ratio >= self.critical_ratio else Severity.WARNING,
            evidence={"ratio": ratio, "median_before": state.base, "median_now": last, "start": False},
        )

    def calm(self, state: GradientState, view: View, point: Point) -> bool:
        track = view.memory.grad_norm
        n = track.n
        if point.grad_norm is None:
            return True
        if state.initial or n < self.warmup:
            return False
        if n % 4 or view.context.grad_norm_is == "after_clip":
            return True
        if state.onset >= 0 or n >= state.due or not state.base > 0:
            return False
        # a median is no more than the largest
        return max(track.recent[-8:]) / state.base < self.warning_ratio

    def _rest(self, state: GradientState, n: int, norms: Array, losses: Array) -> None:
        """Nothing is wrong at the ``n``-th norm: take the bases anew from the latest values."""
        state.base = middle(norms[: max(24, len(norms) - 32)])
        earlier = losses[:-32] if len(losses) > 32 else losses
        state.loss_base = middle(earlier) if len(earlier) else math.inf
        state.due = n + REST

    def pass_over(self, state: GradientState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        """Asked at each fourth norm that a norm out of range, or a finding, makes matter."""
        norms, losses = stretch.grad_norm, stretch.loss
        at, past = norms.before(place), norms.before(stretch.end)
        if at < past and (state.initial or view.memory.grad_norm.n < self.warmup):
            return place
        if view.context.grad_norm_is == "after_clip":
            return stretch.end
        if at < past and not opened and self._rests(state, view, stretch, at, past):
            return stretch.end
        begun, values = at, view.memory.grad_norm.recent[-7:] + norms.values[at:past]
        while at < past:
            # the counts at which it looks are multiples of 4; at the first of them past ``due`` it takes new bases
            first, last = _fourth(norms.begun + at + 1), _fourth(max(norms.begun + at + 1, state.due))
            until = min(past, last - norms.begun)
            ask = opened or state.onset >= 0
            if not ask and state.base > 0:
                some = values[at - begun : until - begun + 7]  # with the 7 before
                if not max(some) / state.base < self.warning_ratio:
                    ask = True
                    high = next(i for i, v in enumerate(some) if not v / state.base < self.warning_ratio)
                    first = max(first, _fourth(norms.begun + at - 7 + high + 1))
            if ask:
                index = first - norms.begun - 1
                return norms.places[index] if index < past else stretch.end
            if until == last - norms.begun:
                seen = losses.before(norms.places[until - 1] + 1)
                near = losses.recent_at(seen) if seen else np.array(view.memory.loss.recent)
                self._rest(state, last, norms.recent_at(until), near)
            at = until
        return stretch.end

    def _rests(self, state: GradientState, view: View, stretch: Stretch, at: int, past: int) -> bool:
        """Whether no norm of these is out of any range that could be taken there: then the last bases stand for all."""
        norms, losses = stretch.grad_norm, stretch.loss
        if state.onset >= 0 or state.base <= 0:
            return False
        # a median is no less than the least value
        least = min(state.base, float(norms.array.min()))
        highest = max(max(norms.values[at:past]), max(view.memory.grad_norm.recent[-7:]))
        if not (least > 0 and highest / least < self.warning_ratio):
            return False
        last = _fourth(max(norms.begun + at + 1, state.due))
        if last - norms.begun <= past:
            last += (norms.begun + past - last) // REST * REST
            until = last - norms.begun
            seen = losses.before(norms.places[until - 1] + 1)
            near = losses.recent_at(seen) if seen else np.array(view.memory.loss.recent)
            self._rest(state, last, norms.recent_at(until), near)
        return True

    def _rise(self, state: GradientState, view: View, last: float) -> Iterator[Test]:
        track = view.memory.grad_norm
        ratio = last / state.base if state.base > 0 else 0.0
        yield Test(
            "median of the last 8 gradient norms over the median before",
            ratio,
            self.warning_ratio,
            True,
            "times",
            track.recent_steps[-8],
        )
        early = median(track.head[: self.warmup])
        # the first norms of an excerpt are not those that training began with
        over = 0.0 if not view.known.begins_at_start else last / early if early > 0 else math.inf
        harm = max(over, self.near_the_start if self._harms(state, view) else 0.0)
        yield Test(
            "the same over the norms at the start (or a loss that rose too)", harm, self.near_the_start, True, "times"
        )

    def _harms(self, state: GradientState, view: View) -> bool:
        losses = view.memory.loss.recent[-8:]
        return bool(losses) and median(losses) - state.loss_base > (self.harmed - 1) * abs(state.loss_base)

    def _start(self, state: GradientState, view: View) -> Verdict:
        losses = view.memory.loss
        if losses.n < START_POINTS:
            return Waiting(self.warmup - START_POINTS)
        size = self._input_size(view)
        if size is not None and view.holds("inputs", self._inputs(view, size), self.needs["inputs"]):
            return self._initial(state, view, None, size)
        # by the median of the first losses: a single one may be so high that the loss seems to be in another unit
        first = median(losses.head[:START_POINTS])
        chance = reduced_alike(view.kind, first, losses.head[:START_POINTS], view.context.batch_size)
        unit_known = chance is not None
        if chance is None and view.kind.classifies and not view.kind.summed:
            chance = view.kind.chance
        if chance is None and view.kind.family is Family.CROSS_ENTROPY and not view.context.num_classes:
            chance, unit_known = LARGEST_CHANCE / self.above_chance * 2, True
        tests = self._far_above_chance(view, chance, unit_known=unit_known) if chance is not None else ()
        if chance is None or not view.holds("start", tests, self.needs["start"]):
            return Waiting(self.warmup - START_POINTS)
        return self._initial(state, view, median(losses.head[:START_POINTS]) / chance, size)

    def _inputs(self, view: View, size: float) -> Iterator[Test]:
        yield Test(
            "least size of the inputs that the first norms allow",
            size,
            self.large_inputs,
            True,
            "",
            view.memory.loss.head_steps[0],
        )
        head = view.memory.loss.head
        left = median(head[START_POINTS // 2 : START_POINTS]) / median(head[:2])
        yield Test("losses of the latter first points over the first two", left, self.stays, True, "times")

    def _far_above_chance(self, view: View, chance: float, *, unit_known: bool) -> Iterator[Test]:
        """Of a loss whose unit is not known: one that was scaled, or summed, begins at chance level, where samples cost
        much the same; the wrong answers of weights that are too large cost as they come."""
        losses = view.memory.loss
        yield Test(
            "median of the first losses",
            median(losses.head[:START_POINTS]) / chance,
            self.above_chance,
            True,
            "times chance level",
            losses.head_steps[0],
        )
        # not where nothing is learned either: a gradient of exactly 0 explodes nowhere
        yield Test("largest of the first gradient norms", max(view.memory.grad_norm.head[:START_POINTS]), 1e-30)
        if not unit_known:
            head = losses.head[:START_POINTS]
            yield Test("the same", median(head) / chance, self.scaled, False, "times chance level")
            scatter = difference_scale([math.log(loss) for loss in head]) if min(head) > 0 else 0.0
            yield Test("scatter of the first losses from one to the next", scatter, self.scatters, True, "of the loss")

    def _input_size(self, view: View) -> float | None:
        """A lower bound on the norm of the inputs of a layer, for a mean squared error; None for other losses.

        The gradient of the mean of r**2 with r = w x - y is the mean of 2 r x, so by Cauchy and Schwarz its norm is at
        most 2 sqrt(loss) times the root mean square of |x|. Rescaling the targets changes neither side.
        """
        losses, norms = view.memory.loss.head[:START_POINTS], view.memory.grad_norm.head[:START_POINTS]
        if not view.kind.squares or len(norms) < START_POINTS or min(losses) <= 0:
            return None
        return median([g / (2 * math.sqrt(v)) for g, v in zip(norms, losses, strict=False)])

    def _settled(self, state: GradientState, view: View) -> Verdict:
        shape = view.shape
        if (shape.chance is not None and shape.now < 1.5 * shape.chance) or shape.share > self.recovered_share:
            state.initial = False
            return QUIET
        return UNSURE

    def _initial(self, state: GradientState, view: View, ratio: float | None, size: float | None) -> Alarm:
        if view.memory.grad_norm.n == START_POINTS:
            state.initial = True
            state.onset = view.memory.loss.head_steps[0]
        return Alarm(
            onset_step=view.memory.loss.head_steps[0],
            confidence=precision(self.condition, "start"),
            severity=Severity.WARNING,
            evidence={
                "loss_over_chance": ratio,
                "input_size": size,
                "first_norm": view.memory.grad_norm.head[0],
                "start": True,
            },
        )


def _fourth(count: int) -> int:
    """The next multiple of 4, the count itself included."""
    return count + -count % 4
