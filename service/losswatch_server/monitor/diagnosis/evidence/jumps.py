"""Evidence in what comes after a jump of the loss, and in a climb that has no jumps."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    BAD_BATCH,
    DEAD,
    LABELS,
    RATE_HIGH,
    UNSCALED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.events import BLOWN_UP, product
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, RATE
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.start import ACUTE
from losswatch_server.monitor.sentences import number

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


def _first_factor(seen: Seen) -> float | None:
    jump = seen.measured.jump
    return math.log(jump.value / jump.before) if jump and jump.value > 0 and jump.before > 0 else None


def _jump_step(seen: Seen) -> int | None:
    return seen.measured.jump.step if seen.measured.jump else None


def _sharpness(seen: Seen) -> float | None:
    """The sharpness that the growth implies for gradient descent at its learning rate."""
    rate, implied = seen.measured.learning_rate, product(seen)
    return implied / rate if rate and implied is not None else None


JUMPS: tuple[Evidence, ...] = (
    Evidence(
        name="climbs_steadily", group="events", needs=(BEGINNING,),
        when=(*above(_top_share, 0.5, 0.04), *below(_roughness, 0.13, 0.012)),
        means="the loss was never clearly below its start and climbs steadily, without the jumps of steps that are too "
        "long: the updates go up",
        says=lambda s: (
            f"the loss was never clearly below its start and climbs steadily to {number(losses.of(s).now)}, with a "
            f"scatter of {number(losses.of(s).noise)}: the updates go up"
        ),
        for_={WRONG_LOSS: STRONG}, against={RATE_HIGH: PLAIN, ACCUMULATING: PLAIN, BAD_BATCH: PLAIN},
    ),
    Evidence(
        name="little_beyond_stability", group="start", when=within(product, 2.0, 5.0, 0.1),
        means="the growth implies a learning rate of up to two and a half times the stable limit of gradient descent: "
        "inputs that are not scaled usually bring it much farther beyond",
        says=lambda s: (
            f"the growth implies learning rate x sharpness = {number(product(s))}, near the limit of 2: inputs that "
            "are not scaled usually bring it far beyond"
        ),
        against={UNSCALED: WEAK},
    ),
    Evidence(
        name="sharpness_is_ordinary", group="start", needs=(RATE,), when=below(_sharpness, 20.0, 4.0),
        means="the growth implies a sharpness (how strongly the loss curves) that ordinary inputs give: it rises with "
        "the square of the inputs' size, and unscaled ones give hundreds and more",
        says=lambda s: (
            f"the growth implies a sharpness of {number(_sharpness(s) or 0.0)} (how strongly the loss curves): inputs "
            "that are not scaled give hundreds and more"
        ),
        against={UNSCALED: PLAIN},
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
        name="jump_goes_on", group="events",
        when=(*above(_after, 2.2, 0.2), *below(_first_factor, math.log(10), 0.2)),
        means="the loss jumped to no more than ten times its level, and went on rising from there",
        says=lambda s: f"the loss jumped at step {_jump_step(s)} and went on rising from there",
        for_={RATE_HIGH: PLAIN}, against={BAD_BATCH: STRONG, LABELS: PLAIN},
    ),
)  # fmt: skip
