"""Evidence in how a run broke: what was not finite first, and how a spike rose."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    BAD_BATCH,
    BAD_DATA,
    DEAD,
    INIT,
    LABELS,
    MOMENTUM,
    PRECISION,
    RATE_HIGH,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.events import BLOWN_UP
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Limit,
    Seen,
    above,
    below,
    holds,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.start import ACUTE
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


def _broke_from_calm(seen: Seen) -> bool | None:
    """Loss and gradient norm were NaN at the same point, and nothing had announced it."""
    loss = seen.measured.loss
    if seen.measured.first_break != "nan/nan" or seen.finding.condition is not Condition.NON_FINITE:
        return None
    if loss is None or loss.points < CALM_POINTS or loss.tail_rise is None:
        return None
    return loss.tail_rise <= CALM_RISE and not seen.measured.risen


def _peak_over_first(seen: Seen) -> float | None:
    """log of the spike's peak over its first point; unknown where its points are no longer told apart."""
    jump, peak = seen.measured.jump, seen.finding.evidence.get("peak")
    if seen.finding.condition is not Condition.LOSS_SPIKE or not isinstance(peak, float):
        return None
    if jump is None or jump.step is None or jump.among > 1:
        return None
    return math.log(peak / jump.value) if peak > 0 and jump.value > 0 else None


LEAST_CLIMB = 16
"""Points of a climb."""
NEVER_BELOW = 0.87
"""Share of the first loss that a climb never came below."""


def _top_share(seen: Seen) -> float | None:
    """Where the loss is now, as a share of its peak, in a run that grew to three times its start and more and was never
    below it. In 60 blow-ups of too long steps in the develop half it is below 0.4, or the scatter above 0.2."""
    loss = seen.measured.loss
    if loss is None or loss.points < LEAST_CLIMB or not seen.measured.from_start or loss.very_first <= 0:
        return None
    if seen.finding.condition not in BLOWN_UP or loss.best < NEVER_BELOW * loss.very_first or loss.now <= 0:
        return None
    return loss.now / loss.peak if loss.peak > 3 * loss.very_first and math.isfinite(loss.peak) else None


def _roughness(seen: Seen) -> float | None:
    loss = seen.measured.loss
    if loss is None or not loss.now > 0 or seen.finding.evidence.get("steady"):
        return None
    return loss.noise / loss.now


LOOKED_AT = 6
"""Points after a jump that tell whether it stayed."""


def _after(seen: Seen) -> float | None:
    """The level after a jump as a share of its height: 0 came back at once, 1 stayed, more went on rising."""
    m, jump = seen.measured, seen.measured.jump
    if jump is None or jump.step is None or jump.among > 1 or m.loss is None or seen.finding.condition not in ACUTE:
        return None
    last = m.loss.first_step + m.loss.stride * (m.loss.points - 1)
    return jump.stays if last - jump.step >= LOOKED_AT * m.loss.stride > 0 else None


def _jump_step(seen: Seen) -> int | None:
    return seen.measured.jump.step if seen.measured.jump else None


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
        name="climbs_steadily", group="events", when=(*above(_top_share, 0.5, 0.04), *below(_roughness, 0.13, 0.012)),
        means="the loss was never clearly below its start and climbs steadily, without the jumps of steps that are too "
        "long: the updates go up",
        says=lambda s: (
            f"the loss was never clearly below its start and climbs steadily to {number(losses.of(s).now)}, with a "
            f"scatter of {number(losses.of(s).noise)}: the updates go up"
        ),
        for_={WRONG_LOSS: STRONG}, against={RATE_HIGH: PLAIN, ACCUMULATING: PLAIN, BAD_BATCH: PLAIN},
    ),
    Evidence(
        name="jump_over_at_once", group="events", when=below(_after, 0.09, 0.015),
        means="the loss jumped, and was back at its level within a few points: one batch did it",
        says=lambda s: f"the loss jumped at step {_jump_step(s)} and was back at its level within a few points",
        for_={BAD_BATCH: PLAIN}, against={RATE_HIGH: WEAK, LABELS: STRONG, DEAD: PLAIN},
    ),
    Evidence(
        name="jump_stays", group="events", when=within(_after, 0.2, 1.6, 0.03),
        means="the loss jumped and stayed up: what changed is there still",
        says=lambda s: f"the loss jumped at step {_jump_step(s)} and stayed up: what changed then is there still",
        for_={LABELS: PLAIN, DEAD: WEAK}, against={BAD_BATCH: STRONG},
    ),
    Evidence(
        name="jump_goes_on", group="events", when=above(_after, 2.2, 0.2),
        means="the loss jumped and went on rising from there",
        says=lambda s: f"the loss jumped at step {_jump_step(s)} and went on rising from there",
        for_={RATE_HIGH: PLAIN}, against={BAD_BATCH: STRONG, LABELS: PLAIN},
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
