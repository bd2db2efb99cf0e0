"""Evidence in the finding itself: how it began, how it grew, whether anything was finite before."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.breaks import NORM_ROSE, from_the_first_step, norm_decades
from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    BAD_BATCH,
    BAD_DATA,
    DEAD,
    INIT,
    LABELS,
    MOMENTUM,
    NO_WARMUP,
    PRECISION,
    RATE_HIGH,
    RATE_LOW,
    SMALL_DATA,
    TINY_BATCH,
    UNSCALED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, NORMS, RATE, SETTING
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    decades,
    holds,
    times,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.start import ACUTE
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import ClosedBy, Condition

BLOWN_UP = frozenset({Condition.DIVERGING, Condition.NON_FINITE})
DIGITS_LEFT = 20
"""Points after a spike within which it has to come back."""


def _is(seen: Seen, condition: Condition) -> bool:
    return seen.finding.condition is condition


def product(seen: Seen) -> float | None:
    """Learning rate times sharpness, as the growth implies it for gradient descent."""
    product = seen.finding.evidence.get("learning_rate_times_sharpness")
    if isinstance(product, float):
        return product
    growth = _growth_before_overflow(seen)
    return None if growth is None or seen.measured.adaptive else 1 + math.sqrt(growth)


def _growth_before_overflow(seen: Seen) -> float | None:
    return losses.of(seen).tail_growth if _is(seen, Condition.NON_FINITE) else None


def _steady(seen: Seen) -> bool | None:
    if _is(seen, Condition.NON_FINITE):
        return _growth_before_overflow(seen) is not None
    return seen.finding.evidence.get("steady")


def _steady_text(seen: Seen) -> str:
    before = _growth_before_overflow(seen)
    if before is not None:
        return f"before it overflowed the loss grew at a constant rate, {times(before)} per point"
    growth = seen.finding.evidence.get("growth_per_step")
    return f"the loss grows at a constant rate, {times(growth)} per step" if growth else "the loss grows steadily"


def _rise_before_overflow(seen: Seen) -> float | None:
    loss, series = seen.measured.loss, seen.finding.series
    if not _is(seen, Condition.NON_FINITE) or loss is None or loss.tail_rise is None:
        return None
    if series == "validation_loss" or (series != "loss" and not seen.measured.loss_nonfinite):
        return None
    return math.log(max(loss.tail_rise, 1e-9))


def _tail_rise(seen: Seen) -> float:
    loss = seen.measured.loss
    return 1.0 if loss is None or loss.tail_rise is None else loss.tail_rise


def _rise_text(seen: Seen) -> str:
    ratio = _tail_rise(seen)
    above = "no higher than" if ratio <= 1 else f"at most {times(ratio)}"
    return f"the last finite losses were {above} the level before"


def _decades_before_overflow(seen: Seen) -> float | None:
    loss = seen.measured.loss
    known = _is(seen, Condition.NON_FINITE) and seen.finding.series == "loss"
    return decades(loss.latest) if known and loss is not None else None


def _none_finite(seen: Seen) -> bool | None:
    if not _is(seen, Condition.NON_FINITE) or seen.finding.series not in ("loss", "validation_loss"):
        return None
    return seen.measured.loss is None and seen.measured.loss_nonfinite > 0


def _of_many_steps(seen: Seen) -> bool:
    """Whether the first value comes after many updates: a mean over an epoch, or one in the middle of the run."""
    by_epoch = seen.context.step_unit == "epoch" and seen.context.steps_per_epoch != 1
    return by_epoch or not from_the_first_step(seen.finding)


def _never_finite(seen: Seen) -> bool | None:
    return None if _of_many_steps(seen) else _none_finite(seen)


def _no_epoch_finite(seen: Seen) -> bool | None:
    return _none_finite(seen) if _of_many_steps(seen) else None


def _validation_alone(seen: Seen) -> bool | None:
    """The validation loss is not finite, and every training loss is."""
    if not _is(seen, Condition.NON_FINITE) or seen.finding.series != "validation_loss":
        return None
    return seen.measured.loss is not None and not seen.measured.loss_nonfinite and not seen.measured.grad_nonfinite


def _without_bound(seen: Seen) -> bool:
    """A loss that only falls, far below zero, is said to diverge for this alone."""
    loss = losses.of(seen)
    return _is(seen, Condition.DIVERGING) and (
        seen.finding.evidence.get("rule") == "unbounded" or (loss.now < 0 and loss.now < loss.first)
    )


def _zero_loss(seen: Seen) -> bool | None:
    """A loss of exactly 0 beside gradients that are not finite: the numbers are too small or too large to be held."""
    m = seen.measured
    if not m.grad_nonfinite or m.loss is None:
        return None
    return m.loss.now == 0


def _gradient_first(seen: Seen) -> bool | None:
    """Gradients that are not finite while the loss still is."""
    if not _is(seen, Condition.NON_FINITE):
        return None
    return seen.finding.series == "grad_norm" and seen.measured.loss_nonfinite == 0 and seen.measured.loss is not None


def _comes_back(seen: Seen) -> bool | None:
    """Single losses that are not finite, with finite ones between them: it comes with some of the data."""
    if not _is(seen, Condition.NON_FINITE) or seen.measured.loss is None:
        return None
    finding = seen.finding
    single = finding.last_step > finding.onset_step and finding.evidence.get("consecutive") == 1
    return finding.closed_by is ClosedBy.RESOLVED or single


def _recovered(seen: Seen) -> bool | None:
    return seen.finding.evidence.get("recovered_step") is not None if _is(seen, Condition.LOSS_SPIKE) else None


def _stayed(seen: Seen) -> bool | None:
    if not _is(seen, Condition.LOSS_SPIKE):
        return None
    f = seen.finding
    return f.evidence.get("recovered_step") is None and f.last_step > f.onset_step + DIGITS_LEFT


def _ascent(seen: Seen) -> float | None:
    return seen.measured.ascent if seen.finding.condition in BLOWN_UP else None


FIRST_STRIDES, FIRST_SHARE = 1.5, 0.03
"""Strides of the log, or share of it, within which a rise began with the run."""
FASTEST_ASCENT = 2.25
"""(1 + rate x sharpness)^2 at a quarter of the stable limit: a loss that grows faster, by a constant factor, does not
climb its gradient at a sound rate. The rate is too high."""
LONG_RISE = 30
"""Points of a rise to what is not finite from which on it is no rate that is too high: those are there sooner."""


def _lowest_share(seen: Seen) -> float | None:
    """The lowest loss over the first, where the rise began with the first two points: of the develop half's ascents of
    the gradient all did, of other blow-ups that never came below their start a quarter began later."""
    loss = losses.of(seen)
    if seen.finding.condition not in BLOWN_UP or loss.points < 8 or not seen.measured.from_start:
        return None
    growth = _growth_before_overflow(seen) or seen.finding.evidence.get("growth_per_step")
    if _steady(seen) and growth and growth > FASTEST_ASCENT:
        return None
    late = (seen.finding.onset_step - loss.first_step) / max(loss.stride, 1e-9)
    rose = _is(seen, Condition.NON_FINITE) and loss.points >= LONG_RISE and loss.best_level >= loss.first
    if late > max(FIRST_STRIDES, FIRST_SHARE * loss.points) and not rose:
        return None
    return loss.best / loss.very_first if loss.very_first > 0 and loss.peak > 2 * loss.very_first else None


def _before(seen: Seen) -> float | None:
    """The level just before the finding began, over the first loss."""
    m, loss = seen.measured, losses.of(seen)
    if m.jump is None or seen.finding.condition not in ACUTE or not loss.very_first > 0:
        return None
    return m.jump.before / loss.very_first


def _height(seen: Seen) -> float | None:
    jump = seen.measured.jump
    if jump is None or jump.step is None or seen.finding.condition not in ACUTE - {Condition.LOSS_SPIKE}:
        return None
    return math.log(jump.height) if jump.height > 0 else None


def _like_untrained(seen: Seen) -> float | None:
    """The loss now over that of a model that knows nothing: chance level, or where the run began."""
    m, loss = seen.measured, losses.of(seen)
    if m.jump is None or m.jump.step is None or seen.finding.condition not in ACUTE or not loss.very_first > 0:
        return None
    return loss.now / (m.chance or loss.very_first)


def _stays(seen: Seen) -> float | None:
    jump = seen.measured.jump
    return None if jump is None or jump.step is None else jump.stays


def _still_pulled(seen: Seen) -> bool:
    """Labels that tell nothing keep pulling at the model, dead units do not."""
    gradient = seen.measured.gradient
    return gradient is None or gradient.ratio is None or gradient.ratio > 0.15


def _jump_text(seen: Seen) -> str:
    jump = seen.measured.jump
    assert jump is not None
    many = f"within {jump.among} points" if jump.among > 1 else "in one step"
    return f"the loss was stable at {number(jump.before)} and jumped to {number(jump.value)} {many} ({jump.step})"


EVENTS: tuple[Evidence, ...] = (
    Evidence(
        name="grows_geometrically", group="shape", when=holds(_steady),
        means="the loss grows at a constant rate",
        says=_steady_text, for_={RATE_HIGH: PLAIN, UNSCALED: WEAK}, against={BAD_BATCH: PLAIN, BAD_DATA: STRONG},
    ),
    Evidence(
        name="beyond_stability", group="learning rate",
        when=(*above(product, 2.0, 0.01), *holds(lambda s: not s.measured.adaptive)),
        means="the growth implies a learning rate beyond the stable limit of gradient descent",
        says=lambda s: (
            f"the growth implies learning rate x sharpness = {number(product(s))}; gradient descent is stable up to 2 "
            "(sharpness: how strongly the loss curves)"
        ),
        for_={RATE_HIGH: STRONG}, against={RATE_LOW: STRONG},
    ),
    Evidence(
        name="grew_before_overflow", group="shape", when=above(_rise_before_overflow, math.log(4), 0.25),
        means="the loss had risen several times above its level before it was not finite",
        says=lambda s: f"just before, the loss was {times(_tail_rise(s))} its level",
        for_={RATE_HIGH: PLAIN, UNSCALED: WEAK, INIT: WEAK},
        against={PRECISION: PLAIN, BAD_BATCH: PLAIN, BAD_DATA: STRONG},
    ),
    Evidence(
        name="falls_without_bound", group="loss function",
        when=holds(_without_bound),
        means="the loss falls below zero without end: what is minimised has no lower bound",
        says=lambda s: (
            f"the loss has come down to {number(s.finding.evidence.get('current', losses.of(s).latest))}: what is "
            "minimised has no lower bound"
        ),
        for_={WRONG_LOSS: STRONG},
        against={RATE_HIGH: PLAIN, ACCUMULATING: STRONG, TINY_BATCH: STRONG, MOMENTUM: PLAIN},
    ),
    Evidence(
        name="enormous_before_overflow", group="shape", when=above(_decades_before_overflow, 12.0, 0.5),
        means="the last finite loss was above 1e12: it had blown up before it was not finite, or before it was printed",
        says=lambda s: f"the last finite loss was {number(s.measured.loss.latest if s.measured.loss else None)}",
        for_={RATE_HIGH: STRONG, UNSCALED: PLAIN, INIT: WEAK},
        against={PRECISION: PLAIN, BAD_BATCH: PLAIN, BAD_DATA: STRONG},
    ),
    Evidence(
        name="sudden_overflow", group="shape",
        when=(*below(_rise_before_overflow, math.log(2.5), 0.15), *below(norm_decades, NORM_ROSE, 0.2)),
        means="the loss was at its usual level up to the step at which it was not finite, and no gradient announced it",
        says=lambda s: f"{_rise_text(s)}: nothing announced it",
        for_={BAD_BATCH: WEAK, BAD_DATA: PLAIN, PRECISION: WEAK}, against={RATE_HIGH: PLAIN, UNSCALED: WEAK},
    ),
    Evidence(
        name="never_finite", group="before any update", when=holds(_never_finite),
        means="not one loss was finite, not even that of the first step, before any update",
        says=lambda s: "not one loss was finite, not even the first, before any update was made",
        for_={BAD_DATA: STRONG, INIT: WEAK},
        against={RATE_HIGH: STRONG, NO_WARMUP: STRONG, MOMENTUM: STRONG, ACCUMULATING: STRONG, BAD_BATCH: WEAK,
                 TINY_BATCH: STRONG},
    ),
    Evidence(
        name="no_epoch_finite", group="before any update", when=holds(_no_epoch_finite),
        means="by the epoch or in an excerpt not one loss was finite: the data are not, or it blew up before the first",
        says=lambda s: "not one loss was finite: the data are not, or it blew up before the first one came",
        for_={BAD_DATA: STRONG, UNSCALED: PLAIN, RATE_HIGH: WEAK, INIT: WEAK},
        against={BAD_BATCH: WEAK},
    ),
    Evidence(
        name="not_finite_now_and_then", group="before any update", when=holds(_comes_back),
        means="single losses are not finite, with finite ones between them",
        says=lambda s: "finite losses followed: it comes with some of the batches",
        for_={BAD_DATA: PLAIN, BAD_BATCH: PLAIN}, against={RATE_HIGH: STRONG},
    ),
    Evidence(
        name="validation_broke_alone", group="before any update", when=holds(_validation_alone),
        means="the validation loss is not finite while every training loss is: it is in the validation data",
        says=lambda s: "every training loss is finite: what is not finite comes from the validation data",
        for_={BAD_DATA: STRONG, BAD_BATCH: WEAK},
        against={RATE_HIGH: STRONG, NO_WARMUP: STRONG, MOMENTUM: STRONG, ACCUMULATING: STRONG, UNSCALED: PLAIN,
                 INIT: PLAIN, TINY_BATCH: STRONG},
    ),
    Evidence(
        name="zero_loss_with_broken_gradient", group="precision", when=holds(_zero_loss),
        means="the loss is exactly 0 although the gradients are not finite: the precision is broken",
        says=lambda s: "the loss is exactly 0 although the gradients are not finite",
        for_={PRECISION: STRONG}, against={RATE_HIGH: PLAIN, BAD_DATA: WEAK},
    ),
    Evidence(
        name="gradient_broke_before_loss", group="precision", when=holds(_gradient_first),
        means="the gradients were not finite while every loss was",
        says=lambda s: f"{s.measured.grad_nonfinite} gradient norm(s) were not finite while every loss was",
        for_={PRECISION: PLAIN}, against={BAD_DATA: PLAIN},
    ),
    Evidence(
        name="spike_recovered", group="events", when=holds(_recovered),
        means="the loss came back after the spike",
        says=lambda s: "the loss came back after the spike", for_={BAD_BATCH: PLAIN},
    ),
    Evidence(
        name="spike_stayed", group="events", when=holds(_stayed),
        means="the loss has not come back since the spike",
        says=lambda s: "the loss has not come back since the spike",
        for_={RATE_HIGH: WEAK, LABELS: WEAK, DEAD: WEAK},
    ),
    Evidence(
        name="ascends_gradient", group="events", needs=(NORMS, RATE, SETTING), when=within(_ascent, 0.6, 1.6, 0.06),
        means="plain SGD: the loss rises by what the gradient predicts as a fall: the updates follow +gradient",
        says=lambda s: "the loss rises by as much as the gradient predicts as a fall: the updates follow +gradient",
        for_={WRONG_LOSS: STRONG}, against={RATE_HIGH: PLAIN, UNSCALED: PLAIN, ACCUMULATING: PLAIN},
    ),
    Evidence(
        name="overshoots_minimum", group="events", needs=(NORMS, RATE, SETTING),
        when=below(lambda s: None if _ascent(s) is None else abs(_ascent(s) or 0.0), 0.35, 0.06),
        means="plain SGD: the loss rises as steps that overshoot the minimum make it rise",
        says=lambda s: "the loss rises as steps that overshoot the minimum make it rise",
        for_={RATE_HIGH: WEAK}, against={WRONG_LOSS: PLAIN},
    ),
    Evidence(
        name="rises_from_first_step", group="events", needs=(BEGINNING,), when=above(_lowest_share, 0.87, 0.02),
        means="the loss rose from the first steps on and was never clearly below its start",
        says=lambda s: (
            f"the loss rose from the first steps on: it began at {number(losses.of(s).very_first)} and was never below "
            f"{number(losses.of(s).best)}"
        ),
        for_={WRONG_LOSS: STRONG},
        against={RATE_HIGH: WEAK, ACCUMULATING: PLAIN, MOMENTUM: WEAK, BAD_BATCH: PLAIN, LABELS: WEAK, NO_WARMUP: WEAK},
    ),
    Evidence(
        name="learned_before", group="onset", when=below(_before, 0.7, 0.05),
        means="the loss had come down before the trouble began",
        says=lambda s: (
            f"before, the loss had come down from {number(losses.of(s).very_first)} to "
            f"{number(s.measured.jump.before if s.measured.jump else None)}"
        ),
        against={INIT: STRONG, UNSCALED: STRONG, NO_WARMUP: STRONG, WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="single_step_jump", group="onset", when=above(_height, math.log(20), 0.12),
        means="the loss left a stable level in a single step",
        says=_jump_text, for_={BAD_BATCH: STRONG, LABELS: WEAK},
        against={RATE_HIGH: WEAK, MOMENTUM: PLAIN, ACCUMULATING: WEAK, SMALL_DATA: PLAIN},
    ),
    Evidence(
        name="jumped_to_untrained_level", group="onset",
        when=(*below(_before, 0.7, 0.05), *within(_like_untrained, 0.45, 1.8, 0.06), *within(_stays, 0.3, 1.7, 0.06),
              *holds(_still_pulled)),
        means="in a single step the loss jumped to that of a model that knows nothing, and has stayed there",
        says=lambda s: (
            f"{_jump_text(s)}, and has stayed near that of a model that knows nothing "
            f"({number(s.measured.chance or losses.of(s).very_first)})"
        ),
        for_={LABELS: STRONG, DEAD: WEAK}, against={BAD_BATCH: PLAIN, RATE_HIGH: WEAK},
    ),
)  # fmt: skip
