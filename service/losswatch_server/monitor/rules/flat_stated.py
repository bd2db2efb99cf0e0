"""What a flat run is judged by where the client states a fault: its level need not be known to be called bad."""

from __future__ import annotations

from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.rules.flat_levels import gained, no_better_metric, no_better_validation
from losswatch_server.monitor.rules.flat_parameters import FlatParameters, Tests, of_means
from losswatch_server.monitor.rules.flat_tests import late_falls
from losswatch_server.monitor.rules.minimum_runtime import patience_over
from losswatch_server.monitor.stats.looks import standard_errors
from losswatch_server.monitor.vocabulary import CauseName


def stated(p: FlatParameters, view: View) -> Tests:
    """The facts, or a setting beyond every recipe, name a fault that keeps a loss up."""
    yield Test("a fault that the client states", float(bool(view.stated)), 0.5)


def unmoved(p: FlatParameters, view: View) -> Tests:
    """Whatever chance level is: for a loss that a stated fault keeps where it is."""
    yield Test("share of the first level that was gained", view.shape.share, p.unmoved, False)
    yield from no_better_metric(view)
    yield from no_better_validation(view)


def not_done(p: FlatParameters, view: View) -> Tests:
    """Something was gained and something is left, as far as the start tells: for a loss that a stated fault slows."""
    yield Test("share of the first level that was gained", view.shape.share, p.unmoved)
    yield Test("share of the first value that was gained", gained(view), p.nearly_all, False)
    if CauseName.WRONG_LOSS_FUNCTION not in view.stated:  # which a good model can be trained with, ever more slowly
        yield Test("a share of right answers that is good", float(view.quality.good), 0.5, False)


def rests(p: FlatParameters, view: View) -> Tests:
    """A fall that goes on as before is excluded: enough where a stated fault says that the floor is a bad one."""
    shape = view.shape
    fall = shape.gain_half + standard_errors(shape.n) * shape.gain_error
    largest = max(p.excluded_if_stated * shape.progress, shape.quantum)
    yield Test("largest fall over the second half that the noise allows", fall, largest, False)
    goes_on = shape.falling and shape.gain_half >= max(p.goes_on * shape.progress, shape.quantum)
    yield Test("significant fall", float(goes_on), 0.5, False)
    yield Test("points", float(shape.n), p.least_points)


def still_falls(p: FlatParameters, view: View) -> Tests:
    """Falling at the end as well: it has not arrived."""
    shape = view.shape
    late = late_falls(shape)
    falls = shape.falling or late.t < -p.late_t
    yield Test("significant fall over the second half, or since the first quarter", float(falls), 0.5)
    yield Test("fall over the second half", shape.gain_half, p.goes_on * shape.progress)
    yield Test("points", float(shape.n), p.least_points)


def stated_or_hurt(p: FlatParameters, view: View) -> Tests:
    """A stated fault, or a model of which most units no longer work, whatever did that to them."""
    hurt, good = share_of_hurt_units(view) >= p.hurt_units, p.good_gain
    yield Test("a fault that the client states, or most units dead or saturated", float(bool(view.stated) or hurt), 0.5)
    if not view.stated:  # half of the units may be enough
        yield Test("share of the first value that was gained", gained(view), good, False)
        if view.shape.chance is not None:
            share = view.shape.now / view.shape.chance
            yield Test("level of the loss", share, p.good_share_of_chance, True, "of chance level")


def share_of_hurt_units(view: View) -> float:
    """Of the hidden units, those that are 0 for every sample or at the end of their range; 0 where it is not known."""
    facts = view.context.facts
    return 0.0 if facts is None else max(facts.dead_unit_share or 0.0, facts.saturated_unit_share or 0.0)


def gets_no_lower(p: FlatParameters, view: View) -> Tests:
    """No fall is to be seen where most of the plan is done: noise may hide a small one, but the fault says why there is
    none."""
    shape = view.shape
    falls = shape.falling or late_falls(shape).t < -p.late_t
    yield Test("significant fall over the second half, or since the first quarter", float(falls), 0.5, False)
    yield Test("points", float(shape.n), p.few_floor_points if of_means(view) else p.floor_points)
    over = patience_over(view, p.rising_patience, rising_share=p.rising_patience)
    yield Test("waited long enough", float(over), 0.5)


def as_at_its_start(p: FlatParameters, view: View) -> Tests:
    """Next to nothing was gained, of the loss or of any metric."""
    yield Test("share of the first level that was gained", view.shape.share, p.unmoved, False)
    yield from no_better_metric(view)
