"""exploding_gradient: the gradient norm leaves its range upwards, or starts far out of any range.

Two rules. *Rise*: the median of the last 8 norms is far above the median of the earlier ones, and not falling back.
*Start*: the first norms and the first loss are both far above where the loss settles at once (or above chance
level), the mark of an initialisation that is too large. Pascanu, Mikolov and Bengio 2013.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.stats.trend import median
from losswatch_server.monitor.vocabulary import Condition, Severity

START_POINTS = 8
"""A poor start must last for half of these points: a network that recovers at once needs no advice."""
LARGEST_CHANCE = math.log(128256)
"""Cross-entropy of guessing over the largest vocabulary in common use; stands in where the classes are not known."""


@dataclass(slots=True)
class GradientState:
    """``base`` is the median norm at the last review while nothing was wrong."""

    base: float = 0.0
    onset: int = -1
    due: int = 0
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplodingGradient:
    """Warning at 30 times the running median (median of 8 points), critical at 1000 times."""

    condition: ClassVar[Condition] = Condition.EXPLODING_GRADIENT
    series: ClassVar[str] = "grad_norm"
    every_point: ClassVar[bool] = True
    warning_ratio: float = 30.0
    critical_ratio: float = 1000.0
    warmup: int = 32
    recovered_share: float = 0.99
    large_inputs: float = 300.0
    """Standardised inputs of d features have a norm of sqrt d: 300 stands for ninety thousand of them."""
    above_chance: float = 6.0
    """A first loss this many times the chance level means weights that are far too large."""

    def start(self) -> GradientState:
        return GradientState()

    def step(self, state: GradientState, view: View) -> Verdict:
        track = view.memory.grad_norm
        if view.point.grad_norm is None or not math.isfinite(view.point.grad_norm) or view.point.rank:
            return UNSURE
        if track.n == START_POINTS:
            return self._start(state, view)
        if state.initial:
            return self._settled(state, view)
        if track.n < self.warmup:
            return Waiting(self.warmup - track.n)
        if track.n % 4:
            return UNSURE
        last = median(track.recent[-8:])
        if track.n >= state.due:
            earlier = median(track.recent[: max(24, len(track.recent) - 32)])
            state.base = max(earlier, state.base) if state.base else earlier
            state.due = track.n + 32
        ratio = last / state.base if state.base > 0 else 0.0
        if ratio < self.warning_ratio:
            if state.onset < 0 or ratio < self.warning_ratio / 3:
                state.onset = -1
                return QUIET
            return UNSURE
        if state.onset < 0:
            state.onset = track.recent_steps[-8]
        return Alarm(
            onset_step=state.onset,
            confidence=min(0.99, 0.7 + 0.1 * math.log10(ratio / self.warning_ratio + 1)),
            severity=Severity.CRITICAL if ratio >= self.critical_ratio else Severity.WARNING,
            evidence={"ratio": ratio, "median_before": state.base, "median_now": last, "start": False},
        )

    def _start(self, state: GradientState, view: View) -> Verdict:
        losses = view.memory.loss
        if losses.n != START_POINTS or losses.head_steps[0] > 1:
            return Waiting(self.warmup - START_POINTS)
        loss = median(losses.head)
        chance = view.shape.chance
        size = self._input_size(view)
        if size is not None and size > self.large_inputs:
            state.initial = True
            state.onset = losses.head_steps[0]
            return self._initial_alarm(view, None, size)
        if chance is None and view.kind.family is Family.CROSS_ENTROPY and not view.context.num_classes:
            chance = LARGEST_CHANCE / self.above_chance * 2
        if chance is None or loss < self.above_chance * chance:
            return Waiting(self.warmup - START_POINTS)
        state.initial = True
        state.onset = losses.head_steps[0]
        return self._initial_alarm(view, loss / chance, size)

    def _input_size(self, view: View) -> float | None:
        """A lower bound on the norm of the inputs of a layer, for a mean squared error; None for other losses.

        The gradient of the mean of r**2 with r = w x - y is the mean of 2 r x, so by Cauchy and Schwarz its norm is at
        most 2 sqrt(loss) times the root mean square of |x|. Rescaling the targets changes neither side.
        """
        losses, norms = view.memory.loss.head, view.memory.grad_norm.head
        if not view.kind.squares or len(norms) < START_POINTS or min(losses) <= 0:
            return None
        return median([g / (2 * math.sqrt(v)) for g, v in zip(norms, losses, strict=False)])

    def _settled(self, state: GradientState, view: View) -> Verdict:
        shape = view.shape
        if (shape.chance is not None and shape.now < 1.5 * shape.chance) or shape.share > self.recovered_share:
            state.initial = False
            return QUIET
        return UNSURE

    def _initial_alarm(self, view: View, ratio: float | None, size: float | None) -> Alarm:
        return Alarm(
            onset_step=view.memory.loss.head_steps[0],
            confidence=0.8,
            severity=Severity.WARNING,
            evidence={
                "loss_over_chance": ratio,
                "input_size": size,
                "first_norm": view.memory.grad_norm.head[0],
                "start": True,
            },
        )
