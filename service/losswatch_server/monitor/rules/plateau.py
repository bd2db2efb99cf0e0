"""plateau: progress stopped at a floor that is still bad. converged: it stopped where it should.

A floor is bad when it is near chance level (cross-entropy with known classes), or, where chance is not known, when
too little of the first level was gained. Loss and gradient norm alone cannot tell a floor of label noise from a
model that is too simple: the rule speaks only where less than half was gained, and the causes say what would tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from losswatch_server.monitor.forecast import forecast
from losswatch_server.monitor.loss_summary import Shape
from losswatch_server.monitor.rules.base import QUIET, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.rules.minimum_runtime import patience_over
from losswatch_server.monitor.rules.not_learning import falling
from losswatch_server.monitor.stats.trend import median
from losswatch_server.monitor.vocabulary import Condition, Severity


def stopped(shape: Shape) -> bool:
    """No significant fall over the second half, and the fitted one is under 3 % of all progress (or one quantum).

    A significant fall is no plateau however small it is: a power law t**-0.4 gains 1 % of its progress per doubling
    after 3000 points and goes on. Only under 0.1 % (a noise-free run on its last digits) does it count as none.
    """
    small = shape.gain_half < 0.03 * max(shape.progress, 0.0) or shape.gain_half < shape.quantum
    return small and (not falling(shape) or shape.gain_half < 1e-3 * shape.progress)


def onset_of_floor(view: View) -> int:
    """The step at which 90 % of the fall was done, to the resolution of head and pyramid."""
    track, shape = view.memory.loss, view.shape
    target = shape.first - 0.9 * shape.progress
    if track.complete():
        values, steps = track.recent, track.recent_steps
        for i in range(len(values)):
            if median(values[i : i + 5]) <= target:
                return steps[i]
        return steps[-1]
    for i in range(len(track.head) - 4):
        if median(track.head[i : i + 5]) <= target:
            return track.head_steps[i]
    for row in track.bucket_table():
        if row[1] <= target:
            return int(row[6])
    return track.last_step


def _evidence(shape: Shape) -> dict[str, Any]:
    return {
        "first_level": shape.first,
        "level": shape.now,
        "progress": shape.progress,
        "progress_share": shape.share,
        "noise": shape.noise,
        "slope_t": shape.t_half,
        "chance_level": shape.chance,
        "points": shape.n,
    }


CERTAINLY_BAD = 0.25
"""How much further the first level itself must be from having been gained, where a single first point says it was."""


def bad_floor(view: View, *, share_of_chance: float, gained: float, full_batch_gained: float) -> bool:
    """Whether the level is a floor no one would want."""
    shape = view.shape
    if shape.chance is not None:
        return shape.now > share_of_chance * shape.chance
    if residuals_look_gaussian(view):
        return False
    smooth = shape.noise < 1e-3 * max(shape.progress, 0.0)
    # a steep start is over within the points whose median is the first level: the very first one knows more of it
    start = max(shape.first, view.memory.loss.head[0])
    share = 1 - (shape.now / start) if view.memory.loss.lowest >= 0 and start > 0 else shape.share
    return min(share, shape.share + CERTAINLY_BAD) < (full_batch_gained if smooth else gained)


def residuals_look_gaussian(view: View) -> bool:
    """Whether a mean squared error fluctuates from batch to batch as that of Gaussian label noise does.

    The mean of B squared residuals of kurtosis k has a relative standard deviation of sqrt((k - 1) / B): 1.41 / sqrt B
    for Gaussian residuals, less for the bounded, structured residuals that a missing non-linearity leaves (0.71 /
    sqrt B for a sine). A floor of label noise is where training should end.
    """
    batch = view.context.batch_size
    if not batch or not view.kind.squares or view.shape.now <= 0:
        return False
    return view.shape.noise / view.shape.now * math.sqrt(batch) > 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Fell, then stopped at a bad floor for at least half of the run."""

    condition: ClassVar[Condition] = Condition.PLATEAU
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    least_points: int = 24
    share_of_chance: float = 0.6
    gained: float = 0.5
    full_batch_gained: float = 0.9
    """Without noise (full batch) a floor after 90 % of the fall can still be told from convergence to zero."""
    least_share: float = 0.05
    settling_points: int = 40
    nearly: float = 0.15
    patience: float = 0.5
    rising_patience: float = 0.7

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        if shape.share < self.least_share:
            return QUIET
        if not bad_floor(
            view,
            share_of_chance=self.share_of_chance,
            gained=self.gained,
            full_batch_gained=self.full_batch_gained,
        ):
            return QUIET
        if not patience_over(view, self.patience, rising_share=self.rising_patience):
            return QUIET
        floor = None if stopped(shape) else self._settles(view)
        if floor is None and not stopped(shape):
            return QUIET
        return Alarm(
            onset_step=onset_of_floor(view),
            confidence=0.8,
            severity=Severity.WARNING,
            evidence=_evidence(shape) | {"expected_floor": floor},
        )

    def _settles(self, view: View) -> float | None:
        """The floor of a smooth curve that has nearly arrived there, None while it has far to go.

        Nearly: within 15 % of the progress of the floor's lower bound, and closer than the run is long. A power law
        does not arrive (its steps to the floor are many times the run), so it does not count.
        """
        shape = view.shape
        smooth = shape.noise <= max(0.02 * shape.progress, 0.5 * shape.quantum)
        if shape.n < self.settling_points or not smooth or shape.gain_half > 0.35 * shape.progress:
            return None
        expected = forecast(view.memory, view.context)
        if expected.floor is None or expected.interval is None or not expected.steps_to_floor:
            return None
        track = view.memory.loss
        length = track.last_step - track.head_steps[0]
        bad = shape.first - expected.interval[0] < self.gained * abs(shape.first) or shape.chance is not None
        near = bad and track.recent[-1] - expected.interval[0] <= self.nearly * shape.progress
        return expected.floor if near and expected.steps_to_floor <= 1.2 * length else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """Information only: the loss stopped falling at a floor that is good as far as can be told."""

    condition: ClassVar[Condition] = Condition.CONVERGED
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = False
    least_points: int = 32
    gained: float = 0.9

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        good = shape.now < 0.5 * shape.chance if shape.chance is not None else shape.share >= self.gained
        if not good or not stopped(shape) or falling(shape) or view.troubled:
            return QUIET
        return Alarm(
            onset_step=onset_of_floor(view),
            confidence=0.7,
            severity=Severity.INFO,
            evidence=_evidence(shape),
        )
