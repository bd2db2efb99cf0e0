"""Where the loss of a flat run is, as named tests: constant, at chance, not moved, blown up, bad, lost, good."""

from __future__ import annotations

import math

import numpy as np

from losswatch_server.monitor.known import Need
from losswatch_server.monitor.loss_kind import Family, classes_at_chance
from losswatch_server.monitor.points import SMALLEST
from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.rules.flat_parameters import FlatParameters, Tests, digits, half_done, is_smooth, of_means
from losswatch_server.monitor.rules.minimum_runtime import warmup_end
from losswatch_server.monitor.stats.trend import difference_scale, median

LEVELS = 4
"""Evaluations whose median is a level of the validation loss."""


LAST_DIGIT = 0.01
"""Below this a loss of one digit is at the last digit that was printed: 0.0001 in four decimals may fall by two thirds
and look the same (a public log rests there for its latter half)."""


def constant(p: FlatParameters, view: View) -> Tests:
    track = view.memory.loss
    yield Test("spread of the losses", track.highest - track.lowest, 5e-324, False)
    yield Test("size of the loss", abs(track.lowest), 5e-324)
    if abs(track.lowest) < LAST_DIGIT:
        yield Test("digits of the loss", float(digits(track.lowest)), 2.0)
    yield from no_better_metric(view)
    if digits(track.lowest) > p.coarse_digits:
        return
    enough = p.least_points if half_done(view) or of_means(view) else p.plain_points
    yield Test("points of a loss that was rounded", float(view.shape.n), enough)
    yield Test("steps past the warm-up", view.point.step - 2 * warmup_end(view.context), 0.0)


def at_chance(p: FlatParameters, view: View) -> Tests:
    """At chance level now, and beyond the noise ever since the middle of the log: what is near chance level may be a
    fine-tuned model as well."""
    chance = view.shape.chance
    level = view.shape.level / chance if chance else math.nan
    yield Test("level of the loss", level, 1 - p.chance_margin, True, "of chance level")
    half = view.shape.means[len(view.shape.means) // 2 :]
    lowest = float(half.sum()) / len(half) - p.level_sds * error_of_mean(view, 2)
    yield Test(
        "lowest mean since the middle that the noise allows",
        lowest / chance if chance else math.nan,
        1 - p.chance_margin_since,
        True,
        "of chance level",
    )
    yield Test("share of the first level that was gained", view.shape.share, 0.98, False)
    yield from no_better_metric(view)


def exactly_at_chance(p: FlatParameters, view: View) -> Tests:
    """Every mean over an epoch is chance level to the printed digits: no saddle is as flat. Of 20, 40 and 100 means of
    every run of the develop half and of public logs none of a healthy one was, for its first eight, and 30 of others.
    Of a level outside of that range independent noise, to whose two sides values are as likely, brings one inside at
    most every second time: all of the first eight, which no later one mends, in 1 of 256 runs (``few_points``: 1 in
    50).
    """
    track, shape = view.memory.loss, view.shape
    yield Test("a log by the epoch", float(view.known.by_epoch), 0.5)
    within = max(p.exactly, 0.5 * shape.quantum / track.highest if track.highest > 0 else 0.0)
    may_be = track.highest > 0 and view.kind.may_classify
    classes = classes_at_chance(track.highest, within, view.context.num_classes) if may_be else None
    chance = shape.chance if shape.chance is not None else math.log(classes) if classes else math.nan
    farthest = max(track.highest - chance, chance - track.lowest)
    yield Test("distance of the farthest loss from chance level", farthest / chance, within, False, "of chance level")
    yield Test("epochs past the warm-up", view.point.step - 2 * warmup_end(view.context), 0.0)
    yield from no_better_metric(view)


def not_moved(p: FlatParameters, view: View) -> Tests:
    shape = view.shape
    yield Test("share of the first level that was gained", shape.share, p.unmoved, False)
    yield from gain_excluded(p, view)
    # where it is known, that decides: below it something was learned, if only before the first line of the log
    yield Test("chance level is known", float(shape.chance is not None), 0.5, False)
    best = shape.best if view.memory.loss.lowest >= 0 else -math.inf
    yield Test("best level so far", best, 0.6 * min(shape.first, view.memory.loss.head[0]))
    yield from no_better_metric(view)
    yield from no_better_validation(view)


def stays_wrong(p: FlatParameters, view: View) -> Tests:
    """Few answers are right, no more than at the start, and the loss has not fallen: however it scatters, or rose."""
    yield Test("a share of right answers that is poor", float(view.quality.poor), 0.5)
    yield Test("a gain of right answers that the noise excludes", float(view.quality.still), 0.5)
    yield Test("share of the first level that was gained", view.shape.share, p.unmoved, False)
    best = view.shape.best if view.memory.loss.lowest >= 0 else -math.inf
    yield Test("best level so far", best, 0.6 * min(view.shape.first, view.memory.loss.head[0]))
    yield from no_better_metric(view)
    yield from no_better_validation(view)


def gain_excluded(p: FlatParameters, view: View) -> Tests:
    """Not merely that no gain was seen: one that matters is excluded by the noise over the whole log, and so is a rise,
    after which a loss has moved."""
    shape = view.shape
    window = max(1, len(shape.means) // 8)
    fall = float(shape.means[:window].sum() - shape.means[-window:].sum()) / window
    error = error_of_mean(view, 8) * math.sqrt(2)
    size = abs(shape.first)
    yield Test("largest gain over the log that the noise allows", fall + p.level_sds * error, p.unmoved * size, False)
    yield Test("least rise over the log that the noise allows", -fall - p.level_sds * error, p.risen * size, False)


def error_of_mean(view: View, parts: int) -> float:
    """Standard error of the mean of such a part of the points."""
    return view.shape.noise * math.sqrt(parts / view.shape.n)


def blown_up(p: FlatParameters, view: View) -> Tests:
    track = view.memory.loss
    yield Test("highest loss", track.highest, p.blow_up * abs(track.head[0]))
    yield Test("the same", track.highest, track.head[0] + p.blown_sds * view.shape.noise)
    yield Test("level of the loss", view.shape.now, (1 - p.unmoved) * track.head[0])
    # spikes among points that go on falling raise their median as well
    latest = sorted(track.recent[-max(8, min(view.shape.n // 8, len(track.recent))) :])
    yield Test("lower quartile of the latest losses", latest[len(latest) // 4], p.unspiked * track.head[0])
    longer = 2 if view.known.budget is None else 1
    yield Test("points", float(view.shape.n), p.blown_points if half_done(view) else longer * p.plain_points)
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
    over_guessing = better_than_guessing(view)
    if verdict.poor:
        yield Test("a share of right answers that is poor", 1.0, 0.5)
    elif over_guessing is not None:
        yield Test("right answers", over_guessing, p.better_than_guessing, False, "of the way from guessing to all")
    elif shape.chance is not None:
        yield Test("level of the loss", shape.now / shape.chance, p.bad_share_of_chance, True, "of chance level")
        yield Test("first level", shape.first / shape.chance, p.untrained_share_of_chance, True, "of chance level")
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


def better_than_guessing(view: View) -> float | None:
    """The share of right answers beyond what a guess among the known classes gives: 0 for a guess, 1 for all right."""
    share, classes = view.quality.share, view.context.num_classes
    return None if share is None or not classes or classes < 2 else (share - 1 / classes) / (1 - 1 / classes)


def fell_back(p: FlatParameters, view: View) -> Tests:
    """It was better for long, and all of the last quarter of the run is worse by a good part of what it had gained: the
    run itself shows that the level is bad."""
    shape, track = view.shape, view.memory.loss
    yield Test("points", float(shape.n), p.lost_few_points if of_means(view) else p.lost_points)
    # an objective of reinforcement learning is about 0 whatever the model does
    measures = track.lowest >= 0 or view.kind.family is not Family.UNKNOWN
    yield Test("the loss has a lower end, or is known", float(measures), 0.5)
    means, count = shape.means, len(shape.means)
    window, quarter = max(1, count // 8), max(2, count // 4)
    if count < 2 * quarter + window:
        yield Test("levels", float(count), float(2 * quarter + window))
        return
    levels = np.convolve(means, np.full(window, 1 / window), mode="valid")
    best = float(levels[: count - quarter - window + 1].min())
    lowest = float(levels[-(quarter - window + 1) :].min())
    gain = max(shape.first, track.head[0]) - best
    # outliers move a mean by more than the noise of most points tells
    scatter = max(shape.noise / math.sqrt(shape.per_block), difference_scale(means.tolist()))
    error = max(scatter / math.sqrt(window), 1e-9 * abs(best), SMALLEST)
    yield Test("gain at the best level", gain, max(p.unmoved * abs(shape.first), p.lost_sds * error))
    share = p.lost_while_falling if shape.falling else p.lost_of_gain
    yield Test("lowest level of the last quarter over the best one", lowest - best, share * gain)
    yield Test("the same in standard errors", (lowest - best) / error, p.lost_sds)
    # of points, not of means: a spike that is over raises the mean of every level that holds it
    yield Test("level now over the best one", shape.now - best, share * gain)
    middle = (track.head_steps[0] + track.last_step) // 2
    anew = view.memory.rates.restarted(middle, track.last_step)
    yield Test("a schedule of the learning rate that began anew since the middle", float(anew), 0.5, False)
    yield from no_better_metric(view)


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


def no_clear_metric(view: View) -> Tests:
    """The same of a gain that is large enough to speak against a loss that does not fall."""
    yield Test("a metric that got clearly better", float(view.quality.clearly), 0.5, False)


def no_better_validation(view: View) -> Tests:
    validation = view.memory.validation
    if validation.n >= 2 * LEVELS and validation.lowest > 0:
        now, then = median(validation.recent[-LEVELS:]), median(validation.head[:LEVELS])
        yield Test("level of the validation loss", now / then, 0.9, True, "of its first level")
