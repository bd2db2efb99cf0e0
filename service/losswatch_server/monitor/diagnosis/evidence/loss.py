"""Evidence in the course of the loss: its shape, its level, its noise, its repetition."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    CLIP,
    DEAD,
    DECAY,
    LABELS,
    LINEAR,
    MOMENTUM,
    NO_WARMUP,
    NOT_UPDATED,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    UNSCALED,
    UNSHUFFLED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, CHANCE, KIND, NORMS, SETTING, Noise
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    holds,
    times,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.series_measures import LossMeasures
from losswatch_server.monitor.sentences import number, percent

RUNAWAY = 50.0
"""Beyond this many times its start a loss runs away, and its differences are growth, not noise."""
LEAST = 3
SHORT_EPOCH = 5
"""Steps in an epoch below which every period is nearly a whole number of epochs."""
NOWHERE = LossMeasures(
    points=0, very_first=math.nan, first_step=0, first=math.nan, now=math.nan, latest=math.nan, best=math.nan,
    best_level=math.nan, peak=math.nan, peak_step=0, peak_place=math.nan, noise_first=math.nan, noise=math.nan,
    quantum=math.nan, lag1=None, identical=False, stride=math.nan, period=None, period_strength=math.nan,
    exact_period=None, early_change=None, change=None, late_change=None, late_share=None, tail_rise=None,
)  # fmt: skip
"""Of a run without losses everything is unknown."""


def of(seen: Seen) -> LossMeasures:
    """What is known of the loss."""
    loss = seen.measured.loss
    return NOWHERE if loss is None or loss.points < LEAST else loss


def _height(seen: Seen) -> float | None:
    loss = of(seen)
    if not (seen.measured.from_start and loss.first > 0 and loss.peak > 0):
        return None
    return math.log(loss.peak / loss.first)


def fall(seen: Seen) -> float | None:
    """Share of the first loss that is gone; unknown for a log that begins in the middle."""
    loss = of(seen)
    return loss.fall if seen.measured.from_start and loss.points else None


def _moved(seen: Seen) -> float | None:
    loss = of(seen)
    if loss.points < 12 or not seen.measured.from_start:
        return None
    if loss.identical:
        return 0.0
    if loss.change is None or loss.early_change is None:
        return None
    return max(abs(loss.change), abs(loss.early_change))


def _fell(seen: Seen) -> float | None:
    loss = of(seen)
    if loss.points < 12 or loss.change is None or not seen.measured.from_start:
        return None
    return max(loss.change, loss.early_change or 0.0)


def _flatness(seen: Seen) -> float | None:
    """How far the last two quarters lie apart: the smaller of 3 standard errors and 1 % of the fall, as a share."""
    loss = of(seen)
    if loss.points < 12:
        return None
    parts = [] if loss.late_change is None else [abs(loss.late_change) / 3.0]
    parts += [] if loss.late_share is None else [abs(loss.late_share) / 0.01]
    return min(parts) if parts else None


def at_chance(seen: Seen) -> float | None:
    """Distance of the loss now from chance level, relative."""
    share = seen.measured.now_over_chance
    return None if share is None else abs(share - 1)


def _from_chance(seen: Seen) -> float:
    distance = at_chance(seen)
    return 1.0 if distance is None else distance


def _over_chance(seen: Seen) -> float | None:
    return seen.measured.now_over_chance


def _above_chance(seen: Seen) -> float | None:
    return seen.measured.above_chance


def _doubled(seen: Seen) -> float | None:
    """The least loss that a softmax applied twice allows to K stated classes: ln(e + K - 1) - 1."""
    m, classes = seen.measured, seen.context.num_classes
    if not m.cross_entropy or not classes or classes < 2:
        return None
    return math.log(math.e + classes - 1) - 1


def _over_doubled(seen: Seen, value: float) -> float | None:
    floor = _doubled(seen)
    return None if floor is None else value / floor


def _lost(seen: Seen) -> float | None:
    loss = of(seen)
    return loss.now / loss.best_level if loss.best_level > 0 and loss.very_first > 0 else None


def _had(seen: Seen) -> float | None:
    loss = of(seen)
    return loss.best_level / loss.very_first if loss.very_first > 0 else None


def _noise_growth(seen: Seen) -> float | None:
    loss = of(seen)
    if not (loss.noise_first > 0 and loss.points >= 20 and abs(loss.fall) < RUNAWAY and seen.measured.from_start):
        return None
    return math.log(max(loss.noise / loss.noise_first, 1e-9))


def _repeats(seen: Seen) -> float | None:
    loss = of(seen)
    return loss.period_strength if loss.points >= 80 else None


def _epochs_a_period(seen: Seen) -> float | None:
    """The period of a repetition in epochs, where a point is one step or a few of them and the client says how long an
    epoch is."""
    c, loss = seen.context, of(seen)
    if not c.steps_per_epoch or c.steps_per_epoch < SHORT_EPOCH or c.step_unit == "epoch" or loss.period is None:
        return None
    strength = _repeats(seen)
    if strength is None or strength < 0.42:
        return None
    return loss.period * loss.stride * (c.steps_per_point or 1) / c.steps_per_epoch


def _off_epoch(seen: Seen) -> float | None:
    """How far the period is from a whole number of epochs."""
    epochs = _epochs_a_period(seen)
    return None if epochs is None else abs(epochs - max(1, round(epochs)))


def _period_text(seen: Seen) -> str:
    return f"the loss repeats a pattern every {of(seen).period} points, {number(_epochs_a_period(seen), 2)} epochs"


def _shape_text(seen: Seen) -> str:
    loss = of(seen)
    return (
        f"the loss rose to {number(loss.peak)} ({times(loss.peak / loss.first)} its start) at step {loss.peak_step:,}"
    )


def _level_text(seen: Seen) -> str:
    return f"the loss is {number(of(seen).now)}; chance level is {number(seen.measured.chance)}"


def _moved_text(seen: Seen) -> str:
    loss = of(seen)
    if loss.identical:
        return f"every one of {loss.points} losses is {number(loss.now)}"
    return f"over the whole log the loss moved by no more than its noise ({number(loss.first)} to {number(loss.now)})"


def _pulled(seen: Seen) -> bool | None:
    loss, gradient = of(seen), seen.measured.gradient
    return None if gradient is None or not loss.points else loss.identical and gradient.now > 0


def _rested(seen: Seen) -> bool | None:
    loss, gradient = of(seen), seen.measured.gradient
    return None if gradient is None or not loss.points else loss.identical and gradient.now == 0


LOSS: tuple[Evidence, ...] = (
    Evidence(
        name="blew_up_early_and_settled", group="shape", needs=(BEGINNING,),
        when=(
            *above(_height, math.log(2.5), 0.15), *below(lambda s: of(s).now / of(s).peak, 0.5, 0.06),
            *below(lambda s: of(s).peak_place, 0.3, 0.04),
        ),
        means="the loss rose to several times its start early in the run, then settled",
        says=lambda s: f"{_shape_text(s)}, then settled",
        for_={RATE_HIGH: STRONG, UNSCALED: WEAK, MOMENTUM: WEAK},
        against={LABELS: PLAIN, SMALL: PLAIN, LINEAR: PLAIN, CLIP: PLAIN, NOT_UPDATED: STRONG, RATE_LOW: STRONG,
                 SATURATED: WEAK, DEAD: WEAK},
    ),
    Evidence(
        name="blew_up_at_once_then_learned", group="shape", needs=(BEGINNING,),
        when=(
            *above(_height, math.log(1.5), 0.15), *below(lambda s: of(s).peak_place, 0.1, 0.015),
            *below(lambda s: of(s).best_level / of(s).first, 0.8, 0.04),
        ),
        means="the loss rose in the first tenth of the run and then fell below its start at the same learning rate",
        says=lambda s: f"{_shape_text(s)}, and then came down to {number(of(s).best_level)} all the same",
        for_={NO_WARMUP: STRONG}, against={RATE_LOW: PLAIN, NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="never_above_start", group="shape", needs=(BEGINNING,), when=below(_height, math.log(1.5), 0.08),
        means="the loss never rose much above its start",
        says=lambda s: "the loss never rose much above its start", against={RATE_HIGH: WEAK},
    ),
    Evidence(
        name="never_moved", group="shape", needs=(BEGINNING, Noise("loss", 12)), when=below(_moved, 2.8, 0.3),
        means="from the first quarter to the last the loss moved by no more than its noise",
        says=_moved_text,
        for_={NOT_UPDATED: PLAIN},
        against={SATURATED: WEAK, SMALL: WEAK, LINEAR: WEAK},
    ),
    Evidence(
        name="fell_at_once_then_flat", group="shape", needs=(BEGINNING,),
        when=(
            *above(lambda s: of(s).early_change if s.measured.from_start else None, 4.0, 0.5),
            *below(lambda s: None if of(s).late_change is None else abs(of(s).late_change or 0.0), 2.5, 0.4),
            *holds(lambda s: of(s).now < of(s).very_first),
        ),
        means="the loss fell within its first points and has been flat since",
        says=lambda s: f"the loss fell at once from {number(of(s).very_first)}, then stayed near {number(of(s).now)}",
        for_={LINEAR: WEAK, DECAY: WEAK},
        against={RATE_LOW: PLAIN, CLIP: PLAIN},
    ),
    Evidence(
        name="creeping", group="shape", needs=(BEGINNING,),
        when=(
            *above(lambda s: of(s).change, 4.0, 0.5), *below(fall, 0.25, 0.04),
            *above(lambda s: of(s).late_change, 1.5, 0.3), *above(fall, 0.0, 0.0005),
        ),
        means="the loss keeps falling, but by less than a quarter in all",
        says=lambda s: f"the loss keeps falling, but only by {percent(of(s).fall)} in all",
        for_={RATE_LOW: PLAIN, CLIP: WEAK, LABELS: WEAK}, against={NOT_UPDATED: STRONG, DEAD: WEAK, LINEAR: WEAK,
                                                                   SATURATED: WEAK},
    ),
    Evidence(
        name="floor_after_progress", group="shape", needs=(BEGINNING, Noise("loss", 12)),
        when=(*above(_fell, 4.0, 0.5), *above(fall, 0.12, 0.02), *below(_flatness, 1.0, 0.2),
              *above(_from_chance, 0.012, 0.004)),
        means="the loss fell by more than 12 % and then stopped, away from chance level",
        says=lambda s: f"the loss fell by {percent(of(s).fall)} and then stopped at {number(of(s).now)}",
        for_={LINEAR: WEAK, SMALL: WEAK, WRONG_LOSS: WEAK},
        against={RATE_LOW: PLAIN, DEAD: WEAK, CLIP: PLAIN},
    ),
    Evidence(
        name="rests_at_chance", group="level", needs=(CHANCE,), when=below(at_chance, 0.012, 0.004),
        means="the loss rests within 1 % of chance level",
        says=_level_text,
        for_={SATURATED: WEAK, DEAD: WEAK, LABELS: WEAK, DECAY: WEAK, LINEAR: WEAK, RATE_HIGH: WEAK},
        against={WRONG_LOSS: WEAK},
    ),
    Evidence(
        name="above_chance", group="level", needs=(CHANCE, Noise("loss", 12)),
        when=(*above(_above_chance, 5.0, 0.7), *below(_over_chance, 1.1, 0.015)),
        means="the loss stays a little above chance level, which any training at all reaches by a constant answer",
        says=lambda s: f"{_level_text(s)}: any training at all reaches that with the same answer for every sample",
        for_={NOT_UPDATED: PLAIN, RATE_LOW: WEAK, CLIP: WEAK},
        against={LABELS: WEAK, SMALL: WEAK, DEAD: WEAK},
    ),
    Evidence(
        name="a_little_under_chance", group="level", needs=(CHANCE,), when=within(_over_chance, 0.78, 0.985, 0.004),
        means="the loss is up to a fifth below chance level",
        says=lambda s: f"{_level_text(s)}, a little more", for_={LABELS: WEAK, SMALL: WEAK},
        against={DEAD: WEAK, DECAY: WEAK},
    ),
    Evidence(
        name="well_under_chance", group="level", needs=(CHANCE,), when=below(_over_chance, 0.75, 0.03),
        means="the loss is more than a quarter below chance level: something was learned",
        says=lambda s: f"{_level_text(s)}: something was learned",
        against={LABELS: PLAIN, NOT_UPDATED: STRONG, DEAD: PLAIN, SATURATED: PLAIN, DECAY: WEAK},
    ),
    Evidence(
        name="rests_at_floor_of_double_softmax", group="loss function", needs=(BEGINNING, KIND, SETTING),
        when=(*within(lambda s: _over_doubled(s, of(s).best), 0.985, 1.06, 0.008),
              *below(lambda s: _over_doubled(s, of(s).now), 1.12, 0.02), *above(fall, 0.1, 0.02)),
        means="the loss stops at the least that a softmax applied twice allows to the stated classes",
        says=lambda s: (
            f"the loss stops just above {number(_doubled(s))}, the least that {s.context.num_classes} classes allow "
            "where softmax is applied twice"
        ),
        for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="lost_what_it_had", group="level",
        when=(
            *above(_lost, 2.2, 0.15), *below(_had, 0.6, 0.05),
            *within(lambda s: of(s).now / of(s).very_first, 0.3, 2.5, 0.04),
            *below(lambda s: of(s).peak / max(of(s).very_first, of(s).now), 4.0, 0.4),
        ),
        means="the loss had come down, and has gone back most of the way without blowing up",
        says=lambda s: f"the loss is {number(of(s).now)} after it had come down to {number(of(s).best_level)}",
        for_={LABELS: WEAK, RATE_HIGH: WEAK, DEAD: WEAK},
        against={LINEAR: PLAIN, SMALL: PLAIN, WRONG_LOSS: PLAIN, SATURATED: WEAK, NOT_UPDATED: PLAIN,
                 RATE_LOW: PLAIN, CLIP: PLAIN},
    ),
    Evidence(
        name="constant_with_gradient", group="level", needs=(NORMS,), when=holds(_pulled),
        means="every loss is the same to the last digit, although there is a gradient",
        says=lambda s: (
            f"every loss is {number(of(s).now)} to the last digit, although the gradient norm is "
            f"{number(s.measured.gradient.now if s.measured.gradient else None)}"
        ),
        for_={NOT_UPDATED: STRONG, RATE_LOW: WEAK}, against={LINEAR: PLAIN, SMALL: PLAIN},
    ),
    Evidence(
        name="constant_without_gradient", group="level", needs=(NORMS,), when=holds(_rested),
        means="every loss is the same, and the gradient is exactly 0",
        says=lambda s: "every loss is the same, and the gradient is exactly 0",
        for_={DEAD: PLAIN, SATURATED: PLAIN, NOT_UPDATED: WEAK},
    ),
    Evidence(
        name="repeats_to_the_last_digit", group="level",
        when=holds(lambda s: bool(of(s).exact_period) and not of(s).identical and of(s).quantum == 0
                   if of(s).points else None),
        means="the losses repeat to the last digit, epoch after epoch",
        says=lambda s: f"the losses repeat to the last digit every {of(s).exact_period} points",
        for_={NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="noise_grown", group="noise", needs=(BEGINNING, Noise("loss", 20)),
        when=above(_noise_growth, math.log(4), 0.25),
        means="the loss scatters several times as much as at the start",
        says=lambda s: f"the scatter of the loss grew from {number(of(s).noise_first)} to {number(of(s).noise)}",
        for_={RATE_HIGH: WEAK, MOMENTUM: WEAK, ACCUMULATING: WEAK},
        against={NOT_UPDATED: PLAIN, DECAY: PLAIN, RATE_LOW: PLAIN},
    ),
    Evidence(
        name="noise_shrunk", group="noise", needs=(BEGINNING, Noise("loss", 20)),
        when=(*below(_noise_growth, math.log(0.4), 0.2),
              *below(lambda s: None if fall(s) is None else abs(fall(s) or 0.0), 0.3, 0.01)),
        means="the loss scatters less than half as much as at the start, without progress",
        says=lambda s: (
            f"the scatter of the loss shrank from {number(of(s).noise_first)} to {number(of(s).noise)} "
            "without progress"
        ),
        for_={DECAY: WEAK, LINEAR: WEAK, DEAD: WEAK}, against={NOT_UPDATED: PLAIN, RATE_LOW: WEAK},
    ),
    Evidence(
        name="alternating", group="noise", when=below(lambda s: of(s).lag1, -0.45, 0.04),
        means="the loss goes up and down from one point to the next",
        says=lambda s: f"the loss goes up and down from one point to the next (correlation {of(s).lag1:.2f})",
        for_={RATE_HIGH: WEAK, UNSHUFFLED: WEAK},
    ),
    Evidence(
        name="repeats", group="noise", needs=(Noise("loss", 80),), when=above(_repeats, 0.42, 0.04),
        means="the loss repeats a pattern",
        says=lambda s: (
            f"the loss repeats a pattern every {of(s).period} points (correlation {of(s).period_strength:.2f})"
        ),
        for_={UNSHUFFLED: STRONG}, against={RATE_HIGH: WEAK, LABELS: WEAK, MOMENTUM: WEAK, WRONG_LOSS: WEAK},
    ),
    Evidence(
        name="repeats_with_the_epoch", group="noise", needs=(SETTING, Noise("loss", 80)),
        when=below(_off_epoch, 0.07, 0.01),
        means="the loss repeats a pattern of a whole number of epochs: the batches come in the same order",
        says=_period_text, for_={UNSHUFFLED: PLAIN}, against={ACCUMULATING: PLAIN, RATE_HIGH: WEAK, MOMENTUM: WEAK},
    ),
    Evidence(
        name="swings_without_the_epoch", group="noise", needs=(SETTING, Noise("loss", 80)),
        when=above(_off_epoch, 0.1, 0.01),
        means="the loss repeats a pattern that is not that of the epochs: it swings by itself",
        says=lambda s: f"{_period_text(s)}: not that of the data",
        for_={ACCUMULATING: PLAIN, MOMENTUM: WEAK, RATE_HIGH: WEAK}, against={UNSHUFFLED: STRONG},
    ),
    Evidence(
        name="no_repetition", group="noise", when=below(_repeats, 0.3, 0.03),
        means="the loss shows no repeating pattern",
        says=lambda s: "the loss shows no repeating pattern", against={UNSHUFFLED: STRONG},
    ),
)  # fmt: skip
__all__ = ["LOSS", "at_chance", "fall", "of"]
