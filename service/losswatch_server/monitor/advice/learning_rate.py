"""Which learning rate to try next: from the growth of the loss, from a jump, or from what is usual."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.measures import Measured, steps_per_unit
from losswatch_server.monitor.diagnosis.optimizers import fine_tunes, peak_rate, rate_for_adam, usual
from losswatch_server.monitor.findings import Advice, Finding
from losswatch_server.monitor.learning_rate_limit import STEADY_SPREAD, StabilityLimit, limit_from_growth
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number, percent
from losswatch_server.monitor.vocabulary import Condition

NEVER_HIGHER = frozenset(
    {
        Condition.NON_FINITE,
        Condition.DIVERGING,
        Condition.EXPLODING_GRADIENT,
        Condition.LOSS_SPIKE,
        Condition.OSCILLATION,
        Condition.OVERFITTING,
    }
)
"""Conditions that no higher rate ever helped."""


def rounded(value: float, digits: int = 3) -> float:
    """To so many significant digits."""
    return float(f"{value:.{digits - 1}e}") if value and math.isfinite(value) else value


FINE_TUNING = 1e-4
"""Rates up to here are usual for Adam on a model that was trained before, where hundreds of times as much would undo
that: unless it is known to begin from nothing, or learns nothing, ten times as much is tried at a time."""
UNTRAINED = 0.9
"""Share of chance level at which a model that was not trained before begins."""
LOWERED = 3.0
"""So many times lower without effect is enough to look elsewhere."""
ADAM_REACH = 3.0
"""How far Adam should be able to move a weight in a whole run, in units of the usual sizes of weights: it moves each
by about the learning rate a step. In five healthy kinds of Adam runs the rate times the steps was 1, 1.5, 1.5, 8 and
8; this is their geometric mean."""
HIGHEST_IN_SHORT_RUNS = 10.0
"""Times what is usual that is advised at most for a run that is short."""


def usual_rate(context: Context) -> float | None:
    """What is usual for the optimiser; for Adam and kin up to ten times that in short runs; None for unknown ones."""
    known = usual(context)
    if known is None:
        return None
    steps, scale = (context.total_steps or 0) * steps_per_unit(context), rate_for_adam(context)
    if scale is not None and steps and not fine_tunes(context):
        return min(max(ADAM_REACH / steps / scale, known.rate), max(HIGHEST_IN_SHORT_RUNS * known.rate, known.high))
    return known.rate


def lower(finding: Finding, measured: Measured, context: Context) -> Advice | None:
    """A lower rate: half the stable limit where the growth tells it, else the rate before the jump, else a tenth.

    None where it was lowered since the trouble began and the trouble stayed: to say it again would go in circles.
    """
    rate = measured.learning_rate if measured.learning_rate else None
    if measured.rate_lowered and measured.rate_lowered > LOWERED:
        return None
    limit = _limit(finding, rate, measured, context)
    if limit is not None and limit.geometric:
        return _half_the_limit(limit, rate)
    jump = measured.rate_jump
    former = rate / jump if rate and jump and jump > 2 else measured.rate_before_rise
    if rate and former and former < rate:
        before = rounded(former)
        return Advice(
            action="set_learning_rate",
            value=before,
            current=rate,
            summary=f"Go back to the learning rate from before the trouble, {number(before)}; it was raised to "
            f"{number(rate)} in the middle of the run.",
        )
    if rate is None:
        return Advice(
            action="multiply_learning_rate",
            value=0.1,
            summary="Divide the learning rate by 10. With the rate in the context, a number could be given.",
        )
    usual = usual_rate(context)
    target = rounded(min(rate / 10, usual) if usual else rate / 10)
    why = f" ({limit.reason})" if limit is not None and limit.reason else ""
    return Advice(
        action="set_learning_rate",
        value=target,
        current=rate,
        summary=f"Lower the learning rate from {number(rate)} to about {number(target)}{why}, "
        "and watch the first steps.",
    )


def _half_the_limit(limit: StabilityLimit, rate: float | None) -> Advice:
    factor = rounded(limit.recommended_factor)
    if limit.learning_rate_limit is None or limit.recommended_learning_rate is None:
        return Advice(
            action="multiply_learning_rate",
            value=factor,
            summary=f"Multiply the learning rate by {number(factor)}: the growth implies that it may be at most "
            f"{percent(limit.factor)} of what it is now; half of that leaves a margin.",
        )
    value = rounded(limit.recommended_learning_rate)
    return Advice(
        action="set_learning_rate",
        value=value,
        current=rate,
        summary=f"Lower the learning rate from {number(rate)} to about {number(value)}: the growth implies a stable "
        f"limit of {number(limit.learning_rate_limit)}.",
    )


def _limit(finding: Finding, rate: float | None, measured: Measured, context: Context) -> StabilityLimit | None:
    """The stable limit from the finding's evidence; the context may have become known after the detector ran."""
    ratio = finding.evidence.get("difference_ratio")
    spread = finding.evidence.get("ratio_spread")
    if not isinstance(ratio, float) and finding.condition is Condition.NON_FINITE and measured.loss is not None:
        ratio, spread = measured.loss.tail_growth, STEADY_SPREAD
    if not isinstance(ratio, float):
        return None
    stride = finding.evidence.get("steps_per_rise")
    rises = finding.evidence.get("rises")
    return limit_from_growth(
        ratio,
        rate,
        context.momentum,
        context.nesterov,
        round(stride * (context.steps_per_point or 1)) if isinstance(stride, int | float) else context.steps_per_point,
        points=rises + 1 if isinstance(rises, int) else 5,
        ratio_spread=spread if isinstance(spread, float) else math.inf,
        optimizer=context.optimizer,
        full_batch=context.full_batch,
    )


def higher(finding: Finding, measured: Measured, context: Context) -> Advice | None:
    """A higher rate: towards the usual one, at most a thousand times, at least ten times the present.

    None where anything blew up, where the gradient is gone, or where the log begins in the middle: what looks like a
    slow start is then no start.
    For losses that are no cross entropy a quarter of what is usual for SGD: the curvature of a squared error in the
    outputs is 2, that of a cross entropy at most 1/2, and the stable rate goes with its inverse.
    """
    if (
        measured.blew_up
        or measured.risen
        or measured.stationary
        or not measured.from_start
        or finding.condition in NEVER_HIGHER
    ):
        return None
    rate = peak_rate(measured.learning_rate, measured.rate_share) or None
    if rate is None:
        return Advice(
            action="multiply_learning_rate",
            value=10.0,
            summary="Multiply the learning rate by 10, and again by 10 while the loss falls smoothly.",
        )
    known = usual_rate(context)
    if known is not None and not measured.adaptive and not measured.cross_entropy:
        known /= 4
    if known is not None and rate >= known:
        return None  # at or above what is usual: nothing says that more would help
    target = rate * 10 if known is None else min(max(known, min(rate * 10, _most(context, known))), rate * 1000)
    learns = finding.condition is not Condition.NOT_LEARNING
    if learns and measured.adaptive and rate <= FINE_TUNING and not _from_scratch(measured):
        target = min(target, rate * 10)
    target = rounded(target, 2)
    highest = "highest " if measured.rate_share is not None and measured.rate_share < 0.5 else ""
    return Advice(
        action="set_learning_rate",
        value=target,
        current=rate,
        summary=f"Raise the {highest}learning rate from {number(rate)} to about {number(target)}; "
        "go on by factors of 3 while the loss falls smoothly.",
    )


def _most(context: Context, known: float) -> float:
    """The highest rate that is still usual, where ``known`` is the one to try."""
    of = usual(context)
    return 3 * known if of is None else max(known, of.most)


def _from_scratch(measured: Measured) -> bool:
    """Whether the model was plainly not trained before: it began at chance level, or fits values."""
    if measured.kind.squares:
        return True
    share = measured.first_over_chance
    return share is not None and not measured.chance_inferred and share > UNTRAINED


def warmup(measured: Measured, context: Context) -> Advice:
    """A warm-up over 5 % of the steps."""
    total = context.total_steps or (measured.loss.points * 10 if measured.loss else 1000)
    steps = max(10, round(0.05 * total))
    return Advice(
        action="add_warmup",
        value=float(steps),
        summary=f"Let the learning rate rise from 0 to its full value over the first {steps} steps: "
        "the first gradients are the largest and the least reliable.",
    )
