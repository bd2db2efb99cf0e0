"""slow_convergence: the loss falls steadily, but would not arrive within the planned steps.

Straight-line extrapolation of the second half to the end of the plan (or to twice the present length): a falling
loss curve is convex, so the line is the optimistic forecast, and a run that fails it fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.rules.base import QUIET, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.rules.minimum_runtime import patience_over
from losswatch_server.monitor.rules.not_learning import falling
from losswatch_server.monitor.vocabulary import Condition, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowConvergence:
    """Significantly falling, but less than 30 % would be gained by the end of the plan."""

    condition: ClassVar[Condition] = Condition.SLOW_CONVERGENCE
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    least_points: int = 24
    gained_at_end: float = 0.3
    gained_at_end_language: float = 0.1
    """For cross-entropy without known classes: fine-tuning a language model gains 10-30 % and is done."""
    share_of_chance: float = 0.75
    patience: float = 0.6
    rising_patience: float = 0.85

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        if not (falling(shape) or shape.t_all < -3.5) or shape.slope_half >= 0:
            return QUIET
        fraction = shape.fraction if shape.fraction and shape.fraction <= 1.05 else 0.5
        remaining = max(0.0, shape.n * (1 / fraction - 1))
        at_end = shape.now + shape.slope_half * remaining
        base = shape.first - shape.progress / shape.share if shape.share > 0 else 0.0
        share_at_end = (shape.first - at_end) / max(abs(shape.first - base), 1e-300)
        language = shape.chance is None and view.kind.family is Family.CROSS_ENTROPY
        gained = self.gained_at_end_language if language else self.gained_at_end
        slow = at_end > self.share_of_chance * shape.chance if shape.chance else share_at_end < gained
        if not slow or not patience_over(view, self.patience, rising_share=self.rising_patience):
            return QUIET
        return Alarm(
            onset_step=view.memory.loss.head_steps[0],
            confidence=0.75,
            severity=Severity.WARNING,
            evidence={
                "first_level": shape.first,
                "level": shape.now,
                "progress": shape.progress,
                "progress_share": shape.share,
                "level_at_end": at_end,
                "slope_per_point": shape.slope_half,
                "slope_t": shape.t_half,
                "noise": shape.noise,
                "points": shape.n,
            },
        )
