"""What a flat run is judged by where the client states a fault: its level need not be known to be called bad."""

from __future__ import annotations

from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.rules.flat_levels import gained, no_better_metric, no_better_validation
from losswatch_server.monitor.rules.flat_parameters import FlatParameters, Tests
from losswatch_server.monitor.rules.flat_tests import late_falls
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
