"""What a flat run shows beside its training loss, as named tests: a validation loss that stands still, gradients that
ask for more than the settings let through."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.measures import rate_decades
from losswatch_server.monitor.diagnosis.optimizers import is_adaptive
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.rules.base import LEAST_NORMS, Test, View
from losswatch_server.monitor.rules.flat_levels import gained, no_better_metric
from losswatch_server.monitor.rules.flat_parameters import FlatParameters, Tests, digits
from losswatch_server.monitor.rules.flat_stated import still_falls
from losswatch_server.monitor.stats.trend import median

LATE_NORMS = 64
"""Norms whose median is the size of the gradient now."""


def never_another_number(p: FlatParameters, view: View) -> Tests:
    """Every validation loss is the same: the parameters do not change between them."""
    yield from _one_number(p, view)
    validation = view.memory.validation
    yield Test("validation losses that differ", validation.highest - validation.lowest, 5e-324, False)


def one_number(p: FlatParameters, view: View) -> Tests:
    """The validation loss moved and has been one number since: the parameters have stayed the same."""
    yield from _one_number(p, view)
    validation = view.memory.validation
    yield Test("validation losses that differ", validation.highest - validation.lowest, 5e-324)


def _one_number(p: FlatParameters, view: View) -> Tests:
    """Held-out samples know no batch noise: whatever changes the parameters changes their loss in some digit. Not so
    where the loss is exactly 0, or where the plan itself ends in a rate of 0."""
    validation = view.memory.validation
    if validation.n == 0:  # asked of all the same while a finding is being explained
        return
    latest = validation.recent[-1]
    yield Test(
        "latest validation losses that are one number",
        float(_equal_at_end(validation)),
        max(p.same_evaluations, p.same_share * validation.n),
        True,
        "evaluations",
    )
    yield Test("digits of it", float(digits(latest)), p.same_digits)
    yield Test("a learning rate of 0", float(view.memory.rates.current == 0), 0.5, False)
    yield Test("a share of right answers that is good", float(view.quality.good), 0.5, False)
    yield Test("share of the first value that was gained", gained(view), p.nearly_all, False)


def _equal_at_end(track: Track) -> int:
    latest, equal = track.recent[-1], 0
    for value in reversed(track.recent):
        if value != latest:
            break
        equal += 1
    return equal


def validation_unmoved(p: FlatParameters, view: View) -> Tests:
    """No evaluation was better than the first by what matters: held-out samples know no batch noise, so this is said
    of a loss that scatters too widely to be called still by itself."""
    validation, shape = view.memory.validation, view.shape
    yield Test("evaluations", float(validation.n), p.unmoved_evaluations)
    if validation.n == 0:
        return
    yield Test("first validation loss", validation.head[0], 5e-324)
    yield Test(
        "lowest validation loss",
        validation.lowest / max(validation.head[0], 5e-324),
        1 - p.unmoved_validation,
        True,
        "of the first",
    )
    yield Test("share of the first level that was gained", shape.share, p.unmoved_beside, False)
    if shape.chance is not None:
        # what is far below chance level was learned before, and a fine-tuned model gains little
        yield Test("level of the loss", shape.level / shape.chance, 1 - p.chance_margin_since, True, "of chance level")
    yield from no_better_metric(view)


def validation_evidence(view: View) -> dict[str, float | int]:
    """The validation losses in numbers, for a finding that rests on them."""
    validation = view.memory.validation
    return {
        "validation": validation.recent[-1],
        "validations": validation.n,
        "first_validation": validation.head[0],
        "equal_validations": _equal_at_end(validation),
    }


def clipped(p: FlatParameters, view: View) -> Tests:
    """Every step of plain descent is cut to a small part of what the gradient asks for."""
    yield Test("gradient norm over its clip, in plain descent", _over_clip(view), p.over_clip)


def left_to_gain(p: FlatParameters, view: View) -> Tests:
    """Not done; and where half was gained it must go on falling, since a good level may be all that there is."""
    yield Test("share of the first value that was gained", gained(view), p.nearly_all, False)
    yield Test("a share of right answers that is good", float(view.quality.good), 0.5, False)
    if view.shape.share >= p.bad_gain:
        yield from still_falls(p, view)


def barely_moves(p: FlatParameters, view: View) -> Tests:
    """A rate far below the usual, next to nothing gained, and a gradient that is as large as ever."""
    yield Test("tenfolds of the learning rate below what is usual", _rate_below(view), p.rate_below)
    yield Test("gradient norm over its first size", _gradient_kept(view), p.gradient_steady)
    yield Test("share of the first level that was gained", view.shape.share, p.barely, False)
    yield Test("share of the first level that the loss rose by", -view.shape.share, p.risen, False)
    yield from no_better_metric(view)


def held_back(p: FlatParameters, view: View) -> Tests:
    """A rate far below the usual, while the gradient keeps its size. A small rate is usual where a trained model is
    tuned, and that of plain descent means nothing for a loss in a large unit."""
    shape, kind = view.shape, view.kind
    yield Test("tenfolds of the learning rate below what is usual", _rate_below(view), p.rate_below)
    yield Test("gradient norm over its first size", _gradient_kept(view), p.gradient_kept)
    if shape.chance is not None:
        yield Test("level of the loss", shape.level / shape.chance, p.held_back_level, True, "of chance level")
    adaptive = is_adaptive(view.context.optimizer)
    tells = (not kind.classifies and kind.family is not Family.UNKNOWN) if adaptive else shape.chance is not None
    yield Test("the rate says how fast it is for such a loss", float(tells), 0.5)


def _over_clip(view: View) -> float:
    """How many times the clip the norms are; 0 where that is not known, or where steps do not grow with the norm."""
    context, norms = view.context, view.memory.grad_norm
    plain = (context.optimizer or "").lower().startswith("sgd")
    if not plain or not context.grad_clip or context.grad_norm_is == "after_clip" or norms.n < LEAST_NORMS:
        return 0.0
    return median(norms.recent[-LATE_NORMS:]) / context.grad_clip


def _rate_below(view: View) -> float:
    """0 within the usual range, and where the optimiser is not known."""
    decades = rate_decades(view.memory.rates, view.context) if view.context.optimizer else None
    return max(0.0, -(decades or 0.0))


def _gradient_kept(view: View) -> float:
    norms = view.memory.grad_norm
    if norms.n < LEAST_NORMS:
        return 0.0
    early = median(norms.head[: max(LEAST_NORMS, min(16, norms.n // 4))])
    return median(norms.recent[-max(LEAST_NORMS, min(LATE_NORMS, norms.n // 8)) :]) / early if early > 0 else 0.0
