"""What the loss of a flat run does, and how long it was given; each as named tests.

A trend is judged on block means with a standard error inflated for autocorrelation (``stats.trend.slope_test``): on
raw points a Mann-Kendall test at 1 % is wrong in 55 % of runs with an AR(1) coefficient of 0.9. *Stopped* means that
a fall is excluded: the fitted fall over the second half and its paid-for standard errors (``stats.looks``) together
are under a tenth of all progress, not merely that none was seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from losswatch_server.monitor.forecast import forecast
from losswatch_server.monitor.loss_summary import Shape
from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.rules.flat_levels import no_better_metric, no_clear_metric
from losswatch_server.monitor.rules.flat_parameters import FlatParameters, Tests, digits, half_done, is_smooth, of_means
from losswatch_server.monitor.rules.minimum_runtime import gradient_rises, patience_over, warmup_end
from losswatch_server.monitor.stats.looks import standard_errors
from losswatch_server.monitor.stats.trend import difference_scale, slope_test

LINE_POINTS = 10
"""Points from which there is a line through the second half of them."""


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
    # fewer have no line through their second half
    gained = shape.gain_half if shape.n >= LINE_POINTS else shape.progress
    slides = shape.falling and gained > least
    yield Test("significant fall", float(slides), 0.5, False)
    # means of many steps that leave no room for a gain
    still = of_means(view) and shape.n >= LINE_POINTS and fall < p.unmoved * abs(shape.first)
    yield Test(
        "points", float(shape.n), p.least_points if half_done(view) or view.known.by_epoch or still else p.plain_points
    )
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
    late = view.known.budget is not None and view.known.budget >= p.rising_patience
    yield Test("points", float(shape.n), p.few_floor_points if late and of_means(view) else p.floor_points)
    yield from no_clear_metric(view)


def no_longer_shrinks(p: FlatParameters, view: View) -> Tests:
    """A loss that falls by the same factor again and again has stopped on the scale of its start alone."""
    means = view.shape.means
    window = max(1, len(means) // 8)
    if view.shape.positive and len(means) >= 2 * window:
        before, now = float(means[-2 * window : -window].sum()) / window, float(means[-window:].sum()) / window
        # of the last quarter: of a loss that falls by factors the earlier ones scatter far more
        noise = difference_scale(view.memory.loss.recent[-max(8, view.shape.n // 4) :][-128:])
        error = standard_errors(view.shape.n) * noise * math.sqrt(16 / view.shape.n)
        least = (before - now - error) / before
        yield Test("share of its level that the last eighth took away, beyond the noise", least, p.shrinks, False)


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
    yield from no_clear_metric(view)
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
        yield Test("first level", shape.first / shape.chance, p.untrained_share_of_chance, True, "of chance level")
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
    yield Test("points", float(shape.n), p.floor_points if half_done(view) else p.slow_points)
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
    warming = view.point.step < 2 * warmup_end(context)
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


def enough_of_one_number(p: FlatParameters, view: View) -> Tests:
    """Validation losses that agree in many digits need not be waited for: of 3,958 healthy runs of the develop half
    none had three, and of 54 faulty ones it is known after 14 % of the plan. A warm-up does not move the first ones."""
    validation = view.memory.validation
    if validation.n and digits(validation.recent[-1]) > p.coarse_digits:
        yield Test("steps past the warm-up", view.point.step - 2 * warmup_end(view.context), 0.0)
    else:
        yield from enough(p, view)
