"""Evidence in how a run broke: what was not finite first, and how a spike rose."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    BAD_BATCH,
    BAD_DATA,
    INIT,
    LABELS,
    MOMENTUM,
    PRECISION,
    RATE_HIGH,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Limit,
    Seen,
    above,
    below,
    decades,
    holds,
)  # fmt: skip
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.known import START_STRIDES
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import Condition


def from_the_first_step(finding: Finding) -> bool:
    """Whether the run broke within the first two strides of its log. No finite loss says where it begins."""
    onset, count = finding.onset_step, finding.evidence.get("consecutive")
    strides = count - 1 if isinstance(count, int) and count > 1 else math.inf
    return onset <= 1 or onset <= START_STRIDES * (finding.last_step - onset) / strides


def _broke(*kinds: str) -> tuple[Limit, ...]:
    """The first point that was not finite was of one of these kinds (see ``Memory.first_break``)."""

    def known(seen: Seen) -> bool | None:
        first = seen.measured.first_break
        return first in kinds if first and seen.finding.condition is Condition.NON_FINITE else None

    return holds(known)


CALM_POINTS = 8
"""Finite points from which a run was calm before it broke: a single step at a rate of 1 takes a network's softmax from
2.4 to 0 x log 0, which is NaN at once as well."""
CALM_RISE = 1.5
"""Times its level that the loss may have been shortly before."""


NORM_ROSE = 3.0
"""Tenfolds by which a gradient norm above the first ones announces that a run will break."""


def norm_decades(seen: Seen) -> float:
    """Tenfolds of the highest gradient norm over the first ones; 0 where there is none."""
    gradient = seen.measured.gradient
    return decades(gradient.peak / gradient.first) if gradient and gradient.first > 0 < gradient.peak else 0.0


def _broke_from_calm(seen: Seen) -> bool | None:
    """Loss and gradient norm were NaN at the same point, and nothing had announced it."""
    loss = seen.measured.loss
    if seen.measured.first_break != "nan/nan" or seen.finding.condition is not Condition.NON_FINITE:
        return None
    if loss is None or loss.points < CALM_POINTS or loss.tail_rise is None:
        return None
    return loss.tail_rise <= CALM_RISE and not seen.measured.risen and norm_decades(seen) < NORM_ROSE


def _peak_over_first(seen: Seen) -> float | None:
    """log of the spike's peak over its first point; unknown where its points are no longer told apart."""
    jump, peak = seen.measured.jump, seen.finding.evidence.get("peak")
    if seen.finding.condition is not Condition.LOSS_SPIKE or not isinstance(peak, float):
        return None
    if jump is None or jump.step is None or jump.among > 1:
        return None
    return math.log(peak / jump.value) if peak > 0 and jump.value > 0 else None


BREAKS: tuple[Evidence, ...] = (
    Evidence(
        name="gradient_overflowed_first", group="first break", when=_broke("finite/inf"),
        means="at the first point that was not finite the loss was finite and the gradient norm infinite: numbers "
        "grew too large on the way back, and nothing was missing",
        says=lambda s: "the gradient overflowed (infinite) while the loss was finite: no value was missing",
        for_={PRECISION: PLAIN, RATE_HIGH: WEAK}, against={BAD_DATA: STRONG, BAD_BATCH: WEAK},
    ),
    Evidence(
        name="nan_from_nothing", group="first break", when=holds(_broke_from_calm),
        means="after at least eight points without a rise, loss and gradient norm were NaN at the same point, and "
        "neither had been infinite before: what overflows is infinite first, what is missing is NaN at once",
        says=lambda s: "loss and gradient norm turned NaN together, and neither had been infinite before",
        for_={BAD_DATA: STRONG}, against={PRECISION: PLAIN, RATE_HIGH: PLAIN, INIT: WEAK},
    ),
    Evidence(
        name="loss_overflowed", group="first break",
        when=_broke("inf/nan", "inf/inf", "inf/-", "inf/finite"),
        means="the first loss that was not finite was infinite: it overflowed, and nothing was missing",
        says=lambda s: "the loss overflowed (infinite) before anything was NaN: no value was missing",
        for_={BAD_BATCH: WEAK, RATE_HIGH: WEAK}, against={BAD_DATA: STRONG, PRECISION: WEAK},
    ),
    Evidence(
        name="spike_highest_at_once", group="onset", when=below(_peak_over_first, 0.05, 0.01),
        means="the spike was highest at its first point, as what one batch does is",
        says=lambda s: "the spike was highest at its first point",
        for_={BAD_BATCH: WEAK, LABELS: WEAK}, against={RATE_HIGH: WEAK, MOMENTUM: PLAIN},
    ),
    Evidence(
        name="spike_grew", group="onset", when=above(_peak_over_first, math.log(2), 0.1),
        means="the spike went on growing from point to point to twice its first point or more, as steps that are too "
        "long make it",
        says=lambda s: (
            f"the spike grew from point to point, to {number(s.finding.evidence['peak'])} after it had begun with "
            f"{number(s.measured.jump.value if s.measured.jump else None)}"
        ),
        for_={RATE_HIGH: PLAIN, MOMENTUM: PLAIN}, against={BAD_BATCH: PLAIN, LABELS: PLAIN},
    ),
)  # fmt: skip
