"""What a flat run is judged by: where its loss is, what it does, and how long it was given; each as named tests.

A trend is judged on block means with a standard error inflated for autocorrelation (``stats.trend.slope_test``): on
raw points a Mann-Kendall test at 1 % is wrong in 55 % of runs with an AR(1) coefficient of 0.9. *Stopped* means that
a fall is excluded: the fitted fall over the second half and its paid-for standard errors (``stats.looks``) together
are under a tenth of all progress, not merely that none was seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from losswatch_server.monitor.forecast import forecast
from losswatch_server.monitor.known import Need
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.loss_summary import Shape
from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.rules.minimum_runtime import gradient_rises, patience_over
from losswatch_server.monitor.stats.looks import standard_errors
from losswatch_server.monitor.stats.trend import median, slope_test

Tests = Iterator[Test]
LEVELS = 4
"""Evaluations whose median is a level of the validation loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatParameters:
    """The parameters of the table."""

    least_points: int = 8
    plain_points: int = 40
    """Points from which a loss that merely does not fall is judged, unless half of a known plan is done."""
    floor_points: int = 24
    chance_margin: float = 0.02
    """Of 197 runs that learned nothing 95 % stayed above this; fine-tuned ones that gain 5 % in all are below it by the
    middle of their plan."""
    learned_before: float = 0.7
    """A loss that begins under this share of chance was trained before (fine-tuning): its start is no measure."""
    bad_share_of_chance: float = 0.6
    slow_share_of_chance: float = 0.85
    """Words, labels with noise and rare events are done at 70 to 80 % of chance level."""
    far_share_of_chance: float = 0.95
    """From here on nothing was learned to speak of: then it need not fall as fast as ever."""
    late_t: float = 3.0
    """Standard errors of a fall since the first quarter."""
    least_fall: float = 0.005
    """Of the first level, over the second half: less is a saddle, which not_learning waits for."""
    steady: float = 0.5
    """Of the fall over the middle three eighths of the run, which the last three eighths reach beyond doubt (a standard
    error): a loss that nears its floor is not slow."""
    good_share_of_chance: float = 0.5
    unmoved: float = 0.05
    """A smaller gain since a known start is none."""
    bad_gain: float = 0.5
    """Of the first value, for a squared error: the model explains less than half of the variance."""
    bad_gain_smooth: float = 0.9
    """Without noise (full batch) a floor after 90 % of the fall can still be told from convergence to zero."""
    good_gain: float = 0.9
    nearly_all: float = 0.97
    """Of the first value: from here on a floor is more likely good than not, whatever fault is stated."""
    slow_gain: float = 0.3
    """Of the first level, by the end of the plan, for a squared error."""
    slow_gain_unknown: float = 0.05
    """The same for other losses: fine-tuning a language model gains 7 to 30 % and is done."""
    excluded: float = 0.1
    """A fall of this share of all progress over the second half is excluded where the loss has stopped."""
    excluded_of_first: float = 0.05
    """The same as a share of the first level, up to half of all progress: of a small progress no noise lets a tenth be
    excluded."""
    excluded_at_start: float = 0.25
    """The same for a loss that has not moved, as a share of its first level."""
    excluded_if_stated: float = 0.5
    """The same as a share of all progress, where the client states a fault that keeps the loss up."""
    goes_on: float = 0.02
    """A fall of this share of all progress over the second half is one that matters, however sure a smaller one is."""
    goes_on_smooth: float = 0.001
    """The same without noise: full-batch training creeps on, and means it."""
    blow_up: float = 3.0
    blown_points: int = 16
    blown_sds: float = 5.0
    """Standard deviations of single points by which the highest loss is above the first one."""
    patience: float = 0.5
    rising_patience: float = 0.8
    slow_patience: float = 0.6
    slow_points: int = 64
    hold: float = 1.25
    """By how much the count of points must grow while a floor holds, from ``hold_points`` on."""
    hold_points: int = 200


def is_smooth(shape: Shape) -> bool:
    """Whether the loss has no noise to speak of, as in full-batch training."""
    return shape.noise < 1e-3 * max(shape.progress, 0.0)


# where the loss is


def constant(p: FlatParameters, view: View) -> Tests:
    track = view.memory.loss
    yield Test("spread of the losses", track.highest - track.lowest, 5e-324, False)
    yield Test("size of the loss", abs(track.lowest), 5e-324)


def at_chance(p: FlatParameters, view: View) -> Tests:
    chance = view.shape.chance
    level = view.shape.level / chance if chance else math.nan
    yield Test("level of the loss", level, 1 - p.chance_margin, True, "of chance level")
    yield Test("share of the first level that was gained", view.shape.share, 0.98, False)
    yield from no_better_metric(view)


def not_moved(p: FlatParameters, view: View) -> Tests:
    shape = view.shape
    yield Test("share of the first level that was gained", shape.share, p.unmoved, False)
    # where it is known, that decides: below it something was learned, if only before the first line of the log
    yield Test("chance level is known", float(shape.chance is not None), 0.5, False)
    best = shape.best if view.memory.loss.lowest >= 0 else -math.inf
    yield Test("best level so far", best, 0.6 * min(shape.first, view.memory.loss.head[0]))
    yield from no_better_metric(view)
    yield from no_better_validation(view)


def blown_up(p: FlatParameters, view: View) -> Tests:
    track = view.memory.loss
    yield Test("highest loss", track.highest, p.blow_up * abs(track.head[0]))
    yield Test("the same", track.highest, track.head[0] + p.blown_sds * view.shape.noise)
    yield Test("level of the loss", view.shape.now, (1 - p.unmoved) * track.head[0])
    half_done = view.known.budget is not None and view.known.budget >= 0.5
    longer = 2 if view.known.budget is None else 1
    yield Test("points", float(view.shape.n), p.blown_points if half_done else longer * p.plain_points)
    if view.shape.chance is not None:
        yield Test("level of the loss", view.shape.now / view.shape.chance, p.learned_before, True, "of chance level")
    best = view.shape.best if track.lowest >= 0 else -math.inf
    yield Test("best level so far", best, 0.6 * min(view.shape.first, track.head[0]))


def bad(p: FlatParameters, view: View) -> Tests:
    """Above a share of chance; else, for a squared error from a known start, with less than half of it gained. A poor
    share of right answers is bad, a good one is not, whatever the loss."""
    shape = view.shape
    verdict = view.quality
    if verdict.share is not None:
        yield Test("a share of right answers that is good", float(verdict.good), 0.5, False)
    if verdict.poor:
        yield Test("a share of right answers that is poor", 1.0, 0.5)
    elif shape.chance is not None:
        yield Test("level of the loss", shape.now / shape.chance, p.bad_share_of_chance, True, "of chance level")
        yield Test("first level", shape.first / shape.chance, p.learned_before, True, "of chance level")
        yield Test("level of the loss", shape.level / shape.chance, 1 - p.chance_margin, False, "of chance level")
    else:
        smooth = is_smooth(shape)
        yield Test(
            "share of the first value that was gained",
            gained(view),
            p.bad_gain_smooth if smooth else p.bad_gain,
            False,
        )
        yield Test("its start is a measure of the loss", float(_measured_from_its_start(view, smooth)), 0.5)
        yield from view.needed((Need.START,))
    yield Test("share of the first level that was gained", shape.share, p.unmoved)


def good(p: FlatParameters, view: View) -> Tests:
    shape = view.shape
    verdict = view.quality
    if verdict.share is not None and not verdict.poor:
        yield Test("a share of right answers that is good", float(verdict.good), 0.5)
    elif shape.chance is not None:
        yield Test("level of the loss", shape.now / shape.chance, p.good_share_of_chance, False, "of chance level")
    else:
        yield Test("share of the first level that was gained", shape.share, p.good_gain)
    yield Test("troubles that are open", float(len(view.troubled)), 0.5, False)


def _measured_from_its_start(view: View, smooth: bool) -> bool:
    """Whether the first value says what a good one is: for a squared error, and for a loss of an unknown kind that came
    to rest without any noise (full batch), where nothing but the model keeps it from going on."""
    return view.kind.squares or (smooth and view.kind.family is Family.UNKNOWN)


def gained(view: View) -> float:
    """A steep start is over within the points whose median is the first level: the very first one knows more of it."""
    shape, track = view.shape, view.memory.loss
    start = max(shape.first, track.head[0])
    share = 1 - shape.now / start if track.lowest >= 0 and start > 0 else shape.share
    return min(share, shape.share + 0.25)


def no_better_metric(view: View) -> Tests:
    yield Test("a metric that got better", float(view.quality.learning or view.quality.good), 0.5, False)


def no_better_validation(view: View) -> Tests:
    validation = view.memory.validation
    if validation.n >= 2 * LEVELS and validation.lowest > 0:
        now, then = median(validation.recent[-LEVELS:]), median(validation.head[:LEVELS])
        yield Test("level of the validation loss", now / then, 0.9, True, "of its first level")


# what it does


def stays_at_chance(p: FlatParameters, view: View) -> Tests:
    if view.shape.falling:
        over = patience_over(view, p.rising_patience, rising_share=p.rising_patience)
        yield Test("waited long enough for a loss that falls a little", float(over), 0.5)


def does_not_move(p: FlatParameters, view: View) -> Tests:
    shape = view.shape
    fall = shape.gain_half + 3 * shape.gain_error
    yield Test(
        "largest fall over the second half that the noise allows", fall, p.excluded_at_start * abs(shape.first), False
    )
    least = max(0.25 * shape.progress, p.least_fall * abs(shape.first))
    slides = shape.falling and shape.gain_half > least
    yield Test("significant fall", float(slides), 0.5, False)
    half_done = view.known.budget is not None and view.known.budget >= 0.5
    yield Test("points", float(shape.n), p.least_points if half_done or view.known.by_epoch else p.plain_points)
    if shape.share < -p.unmoved and view.known.budget is None:
        over = patience_over(view, p.rising_patience, rising_share=p.rising_patience)
        yield Test("waited long enough for a loss that rose first", float(over), 0.5)


def stopped(p: FlatParameters, view: View) -> Tests:
    shape = view.shape
    errors = standard_errors(shape.n)
    fall = shape.gain_half + errors * shape.gain_error
    progress = max(shape.progress, 0.0)
    largest = max(p.excluded * progress, min(p.excluded_of_first * abs(shape.first), 0.5 * progress), shape.quantum)
    yield Test("largest fall over the second half that the noise allows", fall, largest, False)
    goes_on = shape.falling and shape.gain_half >= max(
        (p.goes_on_smooth if is_smooth(shape) else p.goes_on) * shape.progress, shape.quantum
    )
    yield Test("significant fall", float(goes_on), 0.5, False)
    yield Test("points", float(shape.n), p.floor_points)


def settles(p: FlatParameters, view: View) -> Tests:
    """A smooth curve that has nearly arrived at a floor it foretells: within 15 % of the progress of the floor's lower
    bound, and closer than the run is long. A power law does not arrive (its steps to the floor are many times the
    run)."""
    shape, track = view.shape, view.memory.loss
    smooth = max(0.02 * shape.progress, 0.5 * shape.quantum)
    yield Test("noise of single points", shape.noise, math.nextafter(smooth, math.inf), False)
    yield Test("fall over the second half", shape.gain_half, 0.35 * shape.progress, False)
    yield Test("points", float(shape.n), p.plain_points)
    if shape.noise > smooth or shape.gain_half > 0.35 * shape.progress or shape.n < p.plain_points:
        return
    expected = forecast(view.memory, view.context)
    arrives = expected.floor is not None and expected.interval is not None and bool(expected.steps_to_floor)
    lowest = expected.interval[0] if expected.interval is not None else -math.inf
    yield Test(
        "what is left to the foretold floor",
        track.recent[-1] - lowest if arrives else math.inf,
        0.15 * shape.progress,
        False,
    )
    length = track.last_step - track.head_steps[0]
    yield Test("steps to the foretold floor", float(expected.steps_to_floor or math.inf), 1.2 * length, False)
    if shape.chance is None:
        yield Test("gain at the foretold floor", shape.first - lowest, p.bad_gain * abs(shape.first), False)


def falls_too_slowly(p: FlatParameters, view: View) -> Tests:
    """Falling beyond doubt, as fast as ever, and still far from anything good at the end of the plan. What slows down
    may be near its floor, and how good that is the fall does not say."""
    shape = view.shape
    at_end = level_at_end(view)
    far = False
    if shape.chance is not None:
        share = at_end / shape.chance
        far = share >= p.far_share_of_chance
        yield Test(
            "level at the end of the plan, by the line through the second half",
            share,
            p.slow_share_of_chance,
            True,
            "of chance level",
        )
        yield Test("first level", shape.first / shape.chance, p.learned_before, True, "of chance level")
    else:
        base = shape.first - shape.progress / shape.share if shape.share > 0 else 0.0
        gain = (shape.first - at_end) / max(abs(shape.first - base), 1e-300)
        yield Test(
            "gain by the end of the plan, by the line through the second half",
            gain,
            p.slow_gain if view.kind.squares else p.slow_gain_unknown,
            False,
            "of the first level",
        )
    late = late_falls(shape)
    falls = shape.falling or late.t < -p.late_t
    yield Test("significant fall over the second half, or since the first quarter", float(falls), 0.5)
    yield Test("fall over the second half", shape.gain_half, p.least_fall * abs(shape.first))
    if not far:
        yield Test(
            "least fall over the last three eighths of the run that the noise allows",
            late.later - late.error,
            p.steady * max(late.earlier, 0.0),
        )
    half_done = view.known.budget is not None and view.known.budget >= 0.5
    yield Test("points", float(shape.n), p.floor_points if half_done else p.slow_points)
    yield from no_better_metric(view)


@dataclass(frozen=True, slots=True)
class LateFalls:
    """Falls of the lines through the middle and the last three eighths of the run, and the t statistic of the line
    through both. The first quarter is left out: any loss falls fast there."""

    earlier: float
    later: float
    error: float
    """Standard error of the later one."""
    t: float


def late_falls(shape: Shape) -> LateFalls:
    """No later one while there are too few points to know."""
    means = shape.means
    first, last = len(means) // 4, len(means) * 5 // 8
    earlier, later = means[first:last], means[last:]
    if len(earlier) < 5 or len(later) < 5:
        return LateFalls(math.inf, 0.0, 0.0, 0.0)
    slope, t = slope_test(later)
    fall = -slope * (len(later) - 1)
    return LateFalls(
        -slope_test(earlier)[0] * (len(earlier) - 1), fall, abs(fall / t) if t else 0.0, slope_test(means[first:])[1]
    )


def level_at_end(view: View) -> float:
    """Where the line through the second half ends: at the end of the plan, or at twice the present length. A falling
    loss curve is convex, so the line is the optimistic forecast, and a run that fails it fails."""
    shape = view.shape
    fraction = view.known.budget or 0.5
    return shape.now + shape.slope_half * max(0.0, shape.n * (1 / fraction - 1))


def ignores_its_gradients(p: FlatParameters, view: View) -> Tests:
    """Whether the loss has not moved although the gradients promised a fall far above the noise (plain SGD only).

    To first order, a step lowers the loss by learning rate x norm**2 (times 1 / (1 - momentum)). A healthy small-batch
    run realises a few per cent of it (0.056 in the reference zoo), a saddle point under heavy batch noise less: its
    gradients promised up to 13 times the loss before it fell. Hence 25 times the loss, and less than 2 % of it seen.
    """
    context, shape, track = view.context, view.shape, view.memory.grad_norm
    rate = view.memory.rates.current if view.memory.rates.current is not None else context.learning_rate
    plain = (context.optimizer or "").lower().startswith("sgd") and bool(rate) and track.n >= p.blown_points
    warming = bool(context.warmup_steps) and view.point.step < 2 * (context.warmup_steps or 0)
    yield Test("plain SGD with a known rate, past its warm-up", float(plain and not warming), 0.5)
    if not plain or rate is None or warming:
        return
    clip = context.grad_clip or math.inf
    per_point = sum(g * min(g, clip) for g in track.recent) / len(track.recent) * rate
    per_point /= 1 - min(context.momentum or 0.0, 0.99)
    promised = per_point * (context.steps_per_point or 1) * track.n
    yield Test("fall that the gradients promised", promised, 25 * abs(shape.first))
    fell = max(0.0, shape.progress) + 2 * level_error(view)
    yield Test("fall that was seen", fell, 0.02 * promised, False)
    yield Test("gradient norms that rise", float(gradient_rises(view)), 0.5, False)
    yield Test("share of the first level that was gained", shape.share, p.unmoved, False)


def level_error(view: View) -> float:
    """Standard error of the difference of two levels."""
    return view.shape.noise * math.sqrt(2.0 / max(1.0, view.shape.n / 8))


# how long it was given


def enough(p: FlatParameters, view: View) -> Tests:
    over = patience_over(view, p.patience, rising_share=p.rising_patience)
    yield Test("waited long enough", float(over), 0.5)


def enough_for_slow(p: FlatParameters, view: View) -> Tests:
    over = patience_over(view, p.slow_patience, rising_share=0.85)
    yield Test("waited long enough", float(over), 0.5)
