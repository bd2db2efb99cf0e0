"""The parameters of the table over flat runs (``flat``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from losswatch_server.monitor.loss_summary import Shape
from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.stats.trend import median

Tests = Iterator[Test]
MEAN_STRIDE = 10.0
"""Steps between two points from which a value counts as the mean of many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatParameters:
    """The parameters of the table."""

    least_points: int = 8
    plain_points: int = 40
    """Points from which a loss that merely does not fall is judged, unless half of a known plan is done."""
    coarse_digits: int = 4
    """Significant digits of a rounded loss: a warm-up does not move it at first. Of 39 healthy preference-tuned runs
    logged step by step with three digits ten said the same for 8 to 12 steps."""
    floor_points: int = 24
    chance_margin: float = 0.02
    """Of 197 runs that learned nothing 95 % stayed above this; fine-tuned ones that gain 5 % in all are below it by the
    middle of their plan."""
    chance_margin_since: float = 0.03
    """The same for the mean since the middle, less its error: of fine-tunes, drawn labels and public logs 26 of 141
    alarms at chance were wrong without it, 10 of 109 with it."""
    exactly: float = 3e-4
    """Of chance level, at the printed digits: 2.3026 and 0.6931 are within it."""
    level_sds: float = 1.64
    """Standard errors of a level: 5 % to one side."""
    risen: float = 0.1
    """Of the first level: a loss that rose by this much, beyond the noise, moved."""
    learned_before: float = 0.7
    """A level under this share of chance is a learned one, however high the loss had been."""
    bad_share_of_chance: float = 0.96
    """Where labels are drawn or inputs say little, nothing gets further: of the floors on the develop
    half that lay at 0.85 to 0.96 of chance level 14 were bad ones and 29 good, of those above 13 and 4."""
    slow_share_of_chance: float = 0.96
    """Of the alarms at 0.9 to 0.96, 9 were right and 14 said of healthy fine-tunes and tasks like those."""
    far_share_of_chance: float = 0.98
    """From here on nothing was learned to speak of: then it need not fall as fast as ever. Of the alarms at 0.96 to
    0.98 that did not have to, 6 were right and 23 said of healthy runs, of those above 11 and 1."""
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
    shrinks: float = 0.2
    """Of its level, over the last eighth of the run: a loss that still falls by as much is on its way to 0, and has not
    settled, however little that is of its start."""
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
    hurt_units: float = 0.5
    """Of the hidden units: dead or saturated are at most 0.45 of any of the develop half's 2,467 healthy runs of which
    it is known, and more in 273 of 1,060 faulty ones whose units may die."""
    goes_on: float = 0.02
    """A fall of this share of all progress over the second half is one that matters, however sure a smaller one is."""
    goes_on_smooth: float = 0.001
    """The same without noise: full-batch training creeps on, and means it."""
    blow_up: float = 3.0
    blown_points: int = 16
    unspiked: float = 0.5
    """Of the first loss."""
    blown_sds: float = 5.0
    """Standard deviations of single points by which the highest loss is above the first one."""
    patience: float = 0.5
    rising_patience: float = 0.8
    slow_patience: float = 0.6
    slow_points: int = 64
    hold: float = 1.25
    """By how much the count of points must grow while a floor holds, from ``hold_points`` on."""
    hold_points: int = 200
    few_floor_points: int = 10
    """``floor_points`` for means of many steps (an epoch, a line every tenth step), late in a known plan."""
    untrained_share_of_chance: float = 0.99
    """A model that was not trained before begins at chance or above."""
    better_than_guessing: float = 0.12
    """Of the way from guessing among the known classes to all answers right: less is bad. Up to 0.25, 6 more bad floors
    of the develop half are said and 24 more of healthy runs, whose labels are drawn or opinions."""
    lost_of_gain: float = 0.25
    """Of what was gained at the best level, for all of the last quarter of the run: with the next one said of 20 faulty
    runs of the develop half more than with 0.4 and 8, and of two healthy ones of 3,958; at 0.2 of one more."""
    lost_while_falling: float = 0.4
    """The same for a loss that falls again: a curriculum may have become harder."""
    lost_sds: float = 5.0
    """Standard errors of that."""
    lost_points: int = 40
    lost_few_points: int = 12
    """For means of many steps."""
    same_evaluations: int = 4
    same_share: float = 0.4
    """Of all evaluations: a rate that comes down to nothing leaves the last few alike. Said of 92 faulty runs of the
    develop half, 34 of which nothing else finds, and of 1 of 3958 healthy ones."""
    same_digits: int = 4
    """Of the number that the evaluations share: fewer are alike by rounding."""
    unmoved_evaluations: int = 6
    """With five, two more healthy fine-tunes have not moved."""
    unmoved_validation: float = 0.01
    """Of the first validation loss: with the next one said of 201 faulty runs, 25 of which nothing else finds, of 2
    with another fault and of 2 healthy ones; at 0.02 of 7 healthy ones for 2 faults more."""
    unmoved_beside: float = 0.1
    """Of the first level of the training loss, whose noise may look like a gain."""
    over_clip: float = 10.0
    """Said of 15 faulty runs and of no healthy one; those that clip have norms up to 7 times the clip."""
    rate_below: float = 1.2
    """Tenfolds: with the next two said of 16 faulty runs and of no healthy one."""
    gradient_kept: float = 0.5
    """Of the first gradient norms: without it healthy squared errors with little signal are slow."""
    barely: float = 0.2
    """Of the first level: a rate far below with a gradient of which the next share is left, and no more gained, is too
    low for any loss: said of 9 faulty runs of the develop half that nothing else found, and of 1 of 3,958 healthy ones;
    with 0.6 tenfolds for 1.2, of 23 and 13."""
    gradient_steady: float = 0.8
    held_back_level: float = 0.85
    """Of chance level: a trained model whose last layer is new begins there as well, and leaves it at once."""


def is_smooth(shape: Shape) -> bool:
    """Whether the loss has no noise to speak of, as in full-batch training: neither from point to point nor, as a
    running mean has, from block to block."""
    finest = 1e-3 * max(shape.progress, 0.0)
    if not shape.noise < finest:
        return False
    late = shape.means[len(shape.means) // 2 :].tolist()
    bends = [after - 2 * here + before for before, here, after in zip(late, late[1:], late[2:], strict=False)]
    return not bends or median([abs(bend) for bend in bends]) < finest


def digits(value: float) -> int:
    """Significant digits as the shortest form that reads back exactly; 0 for 0."""
    return len(repr(abs(value)).split("e")[0].replace(".", "").strip("0"))


def half_done(view: View) -> bool:
    """Whether half of a known plan is done."""
    return view.known.budget is not None and view.known.budget >= 0.5


def of_means(view: View) -> bool:
    """Whether a value stands for many steps, so that few of them say something."""
    return view.known.by_epoch or view.known.stride >= MEAN_STRIDE
