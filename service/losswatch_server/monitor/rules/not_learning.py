"""not_learning: the loss is flat from the start, or sits at the level of a model that knows nothing.

A trend is judged on block means with a standard error inflated for autocorrelation (see ``trend.slope_test``): on
raw points a Mann-Kendall test at 1 % is wrong in 55 % of runs with an AR(1) coefficient of 0.9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from losswatch_server.monitor.loss_summary import Shape
from losswatch_server.monitor.rules.base import QUIET, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.rules.minimum_runtime import gradient_rises, patience_over
from losswatch_server.monitor.vocabulary import Condition, Severity


def falling(shape: Shape, t: float = 3.0) -> bool:
    """Whether the second half (below 32 points: the whole) falls significantly, raw or logarithmic."""
    return shape.t_half < -t or shape.t_log_half < -t or shape.ordered_fall


def knows_nothing(shape: Shape, margin: float) -> bool:
    """Whether the level is within ``margin`` of chance (or above it), where chance is known."""
    return shape.chance is not None and shape.now > (1 - margin) * shape.chance


CERTAIN_POINTS = 16
"""Points after which a run that needs no patience is judged: one that blew up, or that ignores its gradients."""


def unmoved_by_gradient(view: View) -> bool:
    """Whether the loss has not moved although the gradients promised a fall far above the noise (plain SGD only).

    To first order, a step lowers the loss by learning rate x norm**2 (times 1 / (1 - momentum)). A healthy small-batch
    run realises a few per cent of it (0.056 in the reference zoo), a saddle point under heavy batch noise less: its
    gradients promised up to 13 times the loss before it fell. Hence 25 times the loss, and less than 2 % of it seen.
    """
    context, shape, track = view.context, view.shape, view.memory.grad_norm
    rate = view.memory.rates.current if view.memory.rates.current is not None else context.learning_rate
    if not (context.optimizer or "").lower().startswith("sgd") or not rate or track.n < CERTAIN_POINTS:
        return False
    if gradient_rises(view) or (context.warmup_steps and view.point.step < 2 * context.warmup_steps):
        return False
    norms = track.recent
    clip = context.grad_clip or math.inf
    per_point = sum(g * min(g, clip) for g in norms) / len(norms) * rate / (1 - min(context.momentum or 0.0, 0.99))
    promised = per_point * (context.steps_per_point or 1) * track.n
    error = shape.noise * math.sqrt(2.0 / max(1.0, shape.n / 8))
    fell = max(0.0, shape.progress) + 2 * error
    return promised > 25 * abs(shape.first) and fell < 0.02 * promised


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLearning:
    """Flat from the start: less than 5 % of the first level gained, or still at chance level."""

    condition: ClassVar[Condition] = Condition.NOT_LEARNING
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    least_points: int = 8
    least_share: float = 0.05
    blow_up: float = 3.0
    learnt: float = 0.6
    chance_margin: float = 0.05
    good_share_of_chance: float = 0.7
    """A flat loss this far below chance has learnt before (fine-tuning)."""
    patience: float = 0.5
    rising_patience: float = 0.8

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        if shape.chance is not None and shape.now < self.good_share_of_chance * shape.chance:
            return QUIET
        stuck_at_chance = knows_nothing(shape, self.chance_margin)
        track = view.memory.loss
        # a saddle never rises: a loss that went far above its start and has not come back under it needs no patience
        blown_up = (
            track.highest > self.blow_up * abs(track.head[0]) and shape.now > (1 - self.least_share) * track.head[0]
        )
        if shape.best < self.learnt * min(shape.first, track.head[0]) and track.lowest >= 0 and not stuck_at_chance:
            return QUIET  # it has learnt, and lost it again: that is diverging's to say
        flat = shape.share < self.least_share or (stuck_at_chance and shape.share < 0.98) or blown_up
        if not flat or (shape.constant and shape.now == 0):
            return QUIET
        if falling(shape) and shape.gain_half > 0.25 * max(shape.progress, 0.0) and not stuck_at_chance:
            return QUIET
        unresponsive = unmoved_by_gradient(view)
        certain = shape.constant or unresponsive or (blown_up and shape.n >= CERTAIN_POINTS)
        if not certain and not patience_over(view, self.patience, rising_share=self.rising_patience):
            return QUIET
        blocks = len(shape.means)
        error = shape.noise * math.sqrt(2.0 / max(1.0, shape.per_block * blocks / 8))
        return Alarm(
            onset_step=view.memory.loss.head_steps[0],
            confidence=0.97 if shape.constant else 0.9 if stuck_at_chance else 0.8,
            severity=Severity.WARNING,
            evidence={
                "first_level": shape.first,
                "level": shape.now,
                "progress": shape.progress,
                "progress_share": shape.share,
                "noise": shape.noise,
                "minimal_detectable": 3 * error,
                "slope_t": shape.t_half,
                "chance_level": shape.chance,
                "constant": shape.constant,
                "unmoved_by_gradient": unresponsive,
                "blown_up": blown_up,
                "points": shape.n,
            },
        )
