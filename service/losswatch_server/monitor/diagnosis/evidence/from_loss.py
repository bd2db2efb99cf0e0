"""Signs in the loss and the validation loss: level, shape, noise, repetition."""

from __future__ import annotations

import math
from collections.abc import Iterator

from losswatch_server.monitor.diagnosis.evidence.signs import Sign, between, soft, times
from losswatch_server.monitor.diagnosis.facts import Facts
from losswatch_server.monitor.diagnosis.jump_facts import JumpFacts
from losswatch_server.monitor.diagnosis.series_facts import LossFacts, ValidationFacts
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import ClosedBy, Condition

FROZE = 5
"""So many equal validation losses in a row are no accident unless they are printed with few digits."""
MANY_DIGITS = 12
"""A validation loss of so many digits was not rounded by a log, so that equal ones are of equal parameters."""
RUNAWAY = 50.0
"""Beyond this many times its start a loss runs away, and its differences are growth, not noise."""
EXACT = 3e-4
"""Outputs that are all equal give ln K to the last printed digits, whatever the labels."""
ACUTE = (
    Condition.DIVERGING,
    Condition.NON_FINITE,
    Condition.LOSS_SPIKE,
    Condition.EXPLODING_GRADIENT,
    Condition.OSCILLATION,
)
_FLOOR_CLASSES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 50, 100, 1000)
_VARIANCE_CLASSES = (2, 10, 100, 1000)
"""Few and far apart: any level is near the label variance of some number of classes."""


def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    """Every sign that the losses and the finding itself give."""
    loss = facts.loss
    if loss is not None and loss.points >= 3:
        yield from _start(facts, loss)
        yield from _shape(facts, loss)
        yield from _level(facts, loss)
        yield from _noise(loss)
        yield from _repetition(facts, loss)
    if facts.validation is not None:
        yield from _validation(facts, facts.validation)
    yield from _events(facts, finding)


def _start(facts: Facts, loss: LossFacts) -> Iterator[Sign]:
    share = facts.first_over_chance
    if share is not None and facts.chance is not None and not facts.chance_inferred and facts.starts_untrained:
        share = min(share, loss.very_first / facts.chance, key=lambda s: abs(s - 1))
        text = f"the first loss was {number(loss.first)}; guessing gives {number(facts.chance)}"
        yield Sign("loss_huge_at_start", soft(math.log(max(share, 1e-9)), math.log(2.5), 0.15), text)
        exact = abs(loss.very_first / facts.chance - 1) < EXACT
        yield Sign("loss_ordinary_at_start", (not exact) * between(share, 0.75, 1.5, 0.05), text)
        yield Sign("loss_below_chance_at_start", soft(share, 0.6, -0.05), text)
        yield Sign("starts_exactly_at_chance", float(exact), f"{text}: every output is the same before training")
    else:
        decades = math.log10(max(abs(loss.first), 1e-30))
        text = f"the first loss was {number(loss.first)}; inputs and targets of ordinary size give a few units at most"
        ordinary = f"the first loss was {number(loss.first)}, which is ordinary"
        yield Sign("loss_huge_at_start", soft(decades, 1.3, 0.15), text)
        yield Sign("loss_enormous_at_start", soft(decades, 2.3, 0.2), text)
        yield Sign("loss_ordinary_at_start", 0.8 * soft(decades, 0.7, -0.1), ordinary)


def _shape(facts: Facts, loss: LossFacts) -> Iterator[Sign]:
    if loss.first > 0 and loss.peak > 0:
        height = loss.peak / loss.first
        grown = soft(math.log(height), math.log(2.5), 0.15)
        back = soft(loss.now / loss.peak, 0.5, -0.06)
        text = f"the loss rose to {number(loss.peak)} ({times(height)} its start) at step {loss.peak_step}"
        yield Sign(
            "blew_up_early_and_settled", grown * back * soft(loss.peak_place, 0.3, -0.04), text + ", then settled"
        )
        yield Sign("never_above_start", soft(height, 1.5, -0.08), "the loss never rose much above its start")
    moved = max(abs(loss.change or 0.0), abs(loss.early_change or 0.0))
    still = loss.identical or (loss.change is not None and loss.early_change is not None)
    if still and loss.points >= 12:
        text = f"from the first quarter to the last the loss moved by {abs(loss.change or 0.0):.1f} standard errors"
        strength = 1.0 if loss.identical else soft(moved, 2.8, -0.3)
        yield Sign("never_moved", strength, text)
        early = soft(loss.early_change or 0.0, 4.0, 0.5) * soft(abs(loss.late_change or 0.0), 2.5, -0.4)
        yield Sign("fell_at_once_then_flat", early * (not loss.identical), "the loss fell at once, then stayed flat")
        creeping = (
            soft(loss.change or 0.0, 4.0, 0.5) * soft(loss.fall, 0.25, -0.04) * soft(loss.late_change or 0, 1.5, 0.3)
        )
        yield Sign("creeping", creeping, f"the loss keeps falling, but only {loss.fall:.1%} in all")
    # coming down from a bad start to the loss of guessing is no progress
    gained = 1 - 0.5 * _near_guessing(facts.now_over_chance)
    plain = (
        gained * soft(max(loss.change or 0.0, loss.early_change or 0.0), 4.0, 0.5) if loss.change is not None else 0.7
    )
    flat = soft(abs(loss.late_change or 0.0), 3.0, -0.5)
    if loss.late_share is not None:
        flat = max(flat, soft(abs(loss.late_share), 0.01, -0.002))
    floor = plain * soft(loss.fall, 0.12, 0.02) * flat
    yield Sign(
        "floor_after_progress", floor, f"the loss fell by {loss.fall:.0%} and then stopped at {number(loss.now)}"
    )


def _near_guessing(share: float | None) -> float:
    return 0.0 if share is None else math.exp(-(min(abs((share - 1) / 0.012), 20.0) ** 2))


def _level(facts: Facts, loss: LossFacts) -> Iterator[Sign]:
    chance, share = facts.chance, facts.now_over_chance
    if chance is not None and share is not None:
        text = f"the loss is {number(loss.now)}; guessing gives {number(chance)}"
        yield Sign("rests_at_chance", _near_guessing(share), text)
        if facts.above_chance is not None:
            above = soft(facts.above_chance, 5.0, 0.7) * soft(share, 1.1, -0.015)
            yield Sign(
                "above_chance",
                above,
                f"{text}: any training at all reaches that by predicting the same for every sample",
            )
        yield Sign("a_little_under_chance", between(share, 0.78, 0.985, 0.004), text + ", a little less")
        yield Sign("well_under_chance", soft(share, 0.75, -0.03), text + ": something was learned")
    if loss.best_level > 0 and loss.very_first > 0:
        lost = soft(loss.now / loss.best_level, 2.2, 0.15) * soft(loss.now / loss.very_first, 0.3, 0.04)
        lost *= soft(loss.best_level / loss.very_first, 0.6, -0.05)
        high = max(loss.very_first, loss.now)
        yield Sign(
            "lost_what_it_had",
            lost * soft(loss.peak / high, 4.0, -0.4),
            f"the loss is {number(loss.now)} after it had come down to {number(loss.best_level)}",
        )
    cross = facts.cross_entropy
    for classes in _FLOOR_CLASSES:
        doubled = math.log(math.e + classes - 1) - 1
        known = facts.chance is not None and not facts.chance_inferred
        if cross is not False and (not known or abs(math.log(classes) - (chance or 0)) < 1e-9) and loss.fall > 0.1:
            near = between(loss.best / doubled, 0.985, 1.06, 0.008) * soft(loss.now / doubled, 1.12, -0.02)
            if near > 0.3:
                text = (
                    f"the loss stops just above {number(doubled)}, the least that {classes} classes allow "
                    "when softmax is applied twice"
                )
                yield Sign("rests_at_double_softmax", near, text)
            within = known and loss.first_step <= 1 and loss.fall > 0.04 and loss.points >= 20
            if within and facts.gradient is not None:
                bounded = soft(loss.peak / (doubled + 1), 1.01, -0.01) * soft(loss.best / doubled, 1.0, 0.01)
                small = soft(math.log10(max(facts.gradient.first, 1e-30)), -0.35, -0.08)
                text = (
                    f"every loss lies between {number(doubled)} and {number(doubled + 1)}, where softmax applied twice "
                    f"keeps {classes} classes, and the first gradient norms are only {number(facts.gradient.first)}"
                )
                yield Sign("within_double_softmax", bounded * small, text)
        if cross is False and classes in _VARIANCE_CLASSES:
            variance = (1 / classes) * (1 - 1 / classes)
            near = math.exp(-(min(abs((loss.now / variance - 1) / 0.04), 20.0) ** 2))
            if near > 0.3 and loss.now > 0:
                text = f"the loss rests near {number(variance)}, the variance of one-hot labels of {classes} classes"
                yield Sign("rests_at_label_variance", near, text)


def _noise(loss: LossFacts) -> Iterator[Sign]:
    if loss.noise_first > 0 and loss.points >= 20 and abs(loss.fall) < RUNAWAY:
        grown = loss.noise / loss.noise_first
        text = f"the noise of the loss went from {number(loss.noise_first)} to {number(loss.noise)}"
        yield Sign("noise_grown", soft(math.log(max(grown, 1e-9)), math.log(4), 0.25), text)
        if abs(loss.fall) < 0.3:
            yield Sign(
                "noise_shrunk", soft(math.log(max(grown, 1e-9)), math.log(0.4), -0.2), text + " without progress"
            )
    if loss.lag1 is not None:
        yield Sign(
            "alternating", soft(loss.lag1, -0.45, -0.04), f"the loss swings from step to step (lag-1 {loss.lag1:.2f})"
        )


def _repetition(facts: Facts, loss: LossFacts) -> Iterator[Sign]:
    pulled = facts.gradient is None or facts.gradient.now > 0
    if loss.identical:
        if pulled and facts.gradient is not None:
            norm = number(facts.gradient.now)
            text = f"every loss is {number(loss.now)} to the last digit, although the gradient norm is {norm}"
            yield Sign("frozen_with_gradient", 1.0, text)
        elif facts.gradient is not None:
            yield Sign("frozen_without_gradient", 1.0, "every loss is the same, and the gradient is exactly 0")
        else:
            yield Sign("frozen", 1.0, f"every loss is {number(loss.now)}")
    elif loss.exact_period and loss.quantum == 0:
        yield Sign("repeats_exactly", 1.0, f"the losses repeat to the last digit every {loss.exact_period} points")
    if loss.points >= 80:
        text = f"the loss repeats a pattern every {loss.period} points (correlation {loss.period_strength:.2f})"
        yield Sign("repeats", soft(loss.period_strength, 0.42, 0.04), text)
        yield Sign("no_repetition", soft(loss.period_strength, 0.3, -0.03), "the loss shows no repeating pattern")


def _validation(facts: Facts, validation: ValidationFacts) -> Iterator[Sign]:
    now = number(validation.now)
    if validation.points >= 3:
        if facts.gradient is not None and facts.gradient.peak == 0:
            pass  # without a gradient nothing moves, whatever the reason
        elif validation.equal_at_end == validation.points:
            yield Sign("validation_frozen", 1.0, f"the validation loss is {now} every time, to the last digit")
        elif validation.equal_at_end >= FROZE:
            exact = len(f"{abs(validation.now):.17g}".replace(".", "").lstrip("0")) >= MANY_DIGITS
            text = f"the last {validation.equal_at_end} validation losses are all {now}"
            text += ", to the last digit" if exact else ""
            yield Sign("validation_froze", 1.0, text)
            yield Sign("validation_stands_still", float(exact), text)
        else:
            yield Sign("validation_moves", 1.0, f"the validation loss moved from {number(validation.first)} to {now}")
    if validation.points < 4 or facts.loss is None:
        return
    rise = (validation.now - validation.best) / max(abs(validation.best), 1e-12)
    learned = soft((validation.first - validation.best) / max(abs(validation.first), 1e-12), 0.08, 0.02)
    best = number(validation.best)
    text = f"the validation loss was best ({best}) at step {validation.best_step} and is {now} now"
    train_fell = soft(facts.loss.fall, 0.05, 0.015)
    yield Sign("validation_turned", soft(rise, 0.05, 0.015) * train_fell, text)
    never = soft(rise, 0.03, 0.01) * (1 - learned) * train_fell
    yield Sign("validation_never_improved", never, f"{text}: it never got clearly better than at the start")


def _events(facts: Facts, finding: Finding) -> Iterator[Sign]:
    evidence, loss = finding.evidence, facts.loss
    if finding.condition is Condition.LOSS_SPIKE:
        if finding.closed_by is ClosedBy.RESOLVED:
            yield Sign("spike_recovered", 1.0, "the loss came back after the spike")
        elif finding.last_step > finding.onset_step + 20:
            yield Sign("spike_stayed", 1.0, "the loss has not come back since the jump")
    growth, product = evidence.get("growth_per_step"), evidence.get("learning_rate_times_sharpness")
    if finding.condition is Condition.NON_FINITE and loss is not None and loss.tail_growth is not None:
        text = f"before it overflowed the loss grew at a constant rate, {times(loss.tail_growth)} per point"
        yield Sign("grows_geometrically", 1.0, text)
        if facts.adaptive is not True:
            text = "growth at a constant rate is what gradient descent does beyond its stable learning rate"
            yield Sign("beyond_stability", 1.0, text)
    elif evidence.get("steady") is True and isinstance(growth, float):
        yield Sign("grows_geometrically", 1.0, f"the loss grows at a constant rate, {times(growth)} per step")
    if isinstance(product, float) and product > 2:
        text = f"the growth implies learning rate x sharpness = {number(product)}; gradient descent is stable up to 2"
        yield Sign("beyond_stability", 1.0, text)
    if finding.condition is Condition.NON_FINITE and loss is not None and loss.tail_rise is not None:
        rise = max(loss.tail_rise, 1e-9)
        text = f"just before, the loss was {times(rise)} its level"
        yield Sign("grew_before_overflow", soft(math.log(rise), math.log(4), 0.25), text)
        yield Sign("sudden_overflow", soft(math.log(rise), math.log(2.5), -0.15), f"{text}: nothing announced it")
    if facts.ascent is not None and finding.condition in (Condition.DIVERGING, Condition.NON_FINITE):
        text = "the loss rises by what the gradient promises as a fall: the steps go uphill"
        yield Sign("goes_uphill", between(facts.ascent, 0.6, 1.6, 0.06), text)
        yield Sign("overshoots", soft(abs(facts.ascent), 0.35, -0.06), "the loss rises as overshooting makes it rise")
    blown_up = finding.condition in (Condition.DIVERGING, Condition.NON_FINITE)
    if loss is not None and blown_up and loss.points >= 8 and loss.first > 0 and loss.peak > 2 * loss.first:
        text = f"the loss rose from the start and was never below {number(loss.best)}, where it began"
        yield Sign("rises_from_the_first_step", soft(loss.best / loss.first, 0.87, 0.02), text)
    if facts.jump is not None and loss is not None:
        yield from _onset(facts, facts.jump, loss, finding)


def _onset(facts: Facts, jump: JumpFacts, loss: LossFacts, finding: Finding) -> Iterator[Sign]:
    """What the loss did where the finding began, if that was after it had learned."""
    if finding.condition not in ACUTE or loss.very_first <= 0:
        return
    learned = soft(jump.before / loss.very_first, 0.7, -0.05)
    text = f"before, the loss had come down from {number(loss.very_first)} to {number(jump.before)}"
    yield Sign("learned_before", learned, text)
    if jump.step is None:
        return
    text = (
        f"until step {jump.step} the loss was calm at {number(jump.before)}; "
        f"there it was {number(jump.value)} at one stroke"
    )
    if finding.condition is not Condition.LOSS_SPIKE:
        yield Sign("jumped_at_one_stroke", soft(math.log(jump.height), math.log(20), 0.12), text)
    # untrained, a squared error begins at up to three times the targets' variance
    least, guessing = (0.5, facts.chance) if facts.chance else (0.35, loss.very_first)
    like_new = between(loss.now / guessing, least, 1.8, 0.06) * between(jump.stays, 0.3, 1.7, 0.06)
    text = f"{text}, and it has stayed near what a model without knowledge gives ({number(guessing)})"
    # labels that tell nothing keep pulling at the model, dead units do not
    ratio = facts.gradient.ratio if facts.gradient is not None else None
    pulled = 1.0 if ratio is None else soft(math.log10(max(ratio, 1e-30)), -0.8, 0.08)
    yield Sign("jumped_to_guessing", learned * like_new * pulled, text)
