"""Which learning rate to try next: from the growth of the loss, from a jump, or from what is usual."""

from __future__ import annotations

import math

from losswatch_server.monitor.facts import Facts
from losswatch_server.monitor.findings import Advice, Finding
from losswatch_server.monitor.learning_rate_limit import StabilityLimit, limit_from_growth
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.sentences import number


def rounded(value: float, digits: int = 3) -> float:
    """To so many significant digits."""
    return float(f"{value:.{digits - 1}e}") if value and math.isfinite(value) else value


def usual_rate(facts: Facts, context: Context) -> float | None:
    """1e-3 for Adam and kin, 0.1 (1 - momentum) for SGD; None when the optimiser is not known."""
    if facts.adaptive:
        return 1e-3
    if facts.adaptive is False or context.momentum is not None:
        return 0.1 * (1 - min(max(context.momentum or 0.0, 0.0), 0.95))
    return None


def lower(finding: Finding, facts: Facts, context: Context) -> Advice:
    """A lower rate: half the stable limit where the growth tells it, else the rate before the jump, else a tenth."""
    rate = facts.learning_rate if facts.learning_rate else None
    limit = _limit(finding, rate, context)
    if limit is not None and limit.geometric:
        return _half_the_limit(limit, rate)
    if rate and facts.rate_jump is not None and facts.rate_jump > 2:
        before = rounded(rate / facts.rate_jump)
        return Advice(
            action="set_learning_rate",
            value=before,
            current=rate,
            summary=f"Go back to the learning rate from before the trouble, {number(before)}; it was raised to "
            f"{number(rate)} shortly before.",
        )
    if rate is None:
        return Advice(
            action="multiply_learning_rate",
            value=0.1,
            summary="Divide the learning rate by 10. With the rate in the context, a number could be given.",
        )
    usual = usual_rate(facts, context)
    target = rounded(min(rate / 10, usual) if usual else rate / 10)
    why = f", {limit.reason}" if limit is not None and limit.reason else ""
    return Advice(
        action="set_learning_rate",
        value=target,
        current=rate,
        summary=f"Lower the learning rate from {number(rate)} to about {number(target)} "
        f"and watch the first steps{why}.",
    )


def _half_the_limit(limit: StabilityLimit, rate: float | None) -> Advice:
    factor = rounded(limit.recommended_factor)
    if limit.learning_rate_limit is None or limit.recommended_learning_rate is None:
        return Advice(
            action="multiply_learning_rate",
            value=factor,
            summary=f"Multiply the learning rate by {number(factor)}: the growth implies that the stable limit is "
            f"{number(limit.factor)} times the present rate; half of that leaves a margin.",
        )
    value = rounded(limit.recommended_learning_rate)
    return Advice(
        action="set_learning_rate",
        value=value,
        current=rate,
        summary=f"Lower the learning rate from {number(rate)} to about {number(value)}: the growth implies a stable "
        f"limit of {number(limit.learning_rate_limit)}.",
    )


def _limit(finding: Finding, rate: float | None, context: Context) -> StabilityLimit | None:
    """The stable limit from the finding's evidence; the context may have become known after the detector ran."""
    ratio = finding.evidence.get("difference_ratio")
    if not isinstance(ratio, float):
        return None
    spread = finding.evidence.get("ratio_spread")
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


def higher(facts: Facts, context: Context) -> Advice:
    """A higher rate: towards the usual one, at most a thousand times, at least ten times the present."""
    rate = facts.learning_rate if facts.learning_rate else None
    if rate is None:
        return Advice(
            action="multiply_learning_rate",
            value=10.0,
            summary="Multiply the learning rate by 10, and again by 10 while the loss falls smoothly.",
        )
    usual = usual_rate(facts, context)
    # a third of the usual rate: on the safe side of a rate that is only known to be usual
    target = rate * 10 if usual is None else min(max(usual / 3, rate * 10), rate * 1000)
    target = rounded(target, 2)
    return Advice(
        action="set_learning_rate",
        value=target,
        current=rate,
        summary=f"Raise the learning rate from {number(rate)} to about {number(target)}; "
        "go on by factors of 3 while the loss falls smoothly.",
    )


def warmup(facts: Facts, context: Context) -> Advice:
    """A warm-up over 5 % of the steps."""
    total = context.total_steps or (facts.loss.points * 10 if facts.loss else 1000)
    steps = max(10, round(0.05 * total))
    return Advice(
        action="add_warmup",
        value=float(steps),
        summary=f"Let the learning rate rise from 0 to its full value over the first {steps} steps: "
        "the first gradients are the largest and the least reliable.",
    )
