"""Evidence in a look at the model in mid-run: dead and saturated units, the size of a step, the loss scale."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    BAD_BATCH,
    BAD_DATA,
    CLIP,
    DEAD,
    INIT,
    LABELS,
    NO_WARMUP,
    NOT_UPDATED,
    PRECISION,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    UNSCALED,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.facts_of_data import input_size
from losswatch_server.monitor.diagnosis.evidence.needed import FACTS, RATE
from losswatch_server.monitor.diagnosis.evidence.rates import short_reach
from losswatch_server.monitor.diagnosis.evidence.row import (
    FACT,
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    decades,
    holds,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.start import ACUTE
from losswatch_server.monitor.diagnosis.measures import steps_per_unit
from losswatch_server.monitor.sentences import number, percent
from losswatch_server.monitor.vocabulary import Condition

SQUASHING = frozenset({"sigmoid", "softmax"})
TINY_WEIGHTS = -1.5
"""log10 of a step relative to the weights: of 330 calm runs with facts only those begun at weights of 0 take longer."""
FEW = 2.0
"""log10 of the parameters below which a model is smaller than nearly any task asks for."""


def _sigmoids(seen: Seen) -> bool | None:
    names = seen.facts.hidden_activations
    return all(name.strip().lower() in ("sigmoid", "hard_sigmoid") for name in names) if names else None


def _not_sigmoids(seen: Seen) -> bool:
    return not _sigmoids(seen)


def _update(seen: Seen) -> float | None:
    ratio = seen.facts.update_to_weight
    return None if ratio is None or not math.isfinite(ratio) or ratio < 0 else math.log10(max(ratio, 1e-12))


def _update_text(seen: Seen) -> str:
    return f"a step changes the weights by {number(seen.facts.update_to_weight)} of their size (usual is about 1e-3)"


def _saturated_text(seen: Seen) -> str:
    return f"{percent(seen.facts.saturated_unit_share)} of the hidden units are at the end of their range"


def _scale(seen: Seen) -> float | None:
    """Exactly 1 is no scale that has come down, unless half precision is known: logs of bf16 print it at every step."""
    scale = seen.facts.loss_scale
    return None if scale == 1.0 and seen.context.precision != "fp16" else scale


def _disturbed(seen: Seen) -> bool:
    """The run blew up, or has a setting out of the ordinary: dead or saturated units are then what came of it."""
    m, c = seen.measured, seen.context
    return (
        m.blew_up
        or seen.finding.condition in ACUTE - {Condition.EXPLODING_GRADIENT}
        or m.rate_before_rise is not None
        or (m.rate_decades or 0.0) > 1.0
        or (m.rate_jump or 1.0) > 3.0
        or (c.momentum or 0.0) > 0.975
        or (c.batch_size is not None and c.batch_size <= 4 and not c.full_batch)
        or (input_size(seen) or 0.0) > 1.0
    )


def _calm(seen: Seen) -> bool:
    return not _disturbed(seen)


def _tiny_weights(seen: Seen) -> bool | None:
    """A step is large beside the weights although nothing is too fast: the weights are all but 0."""
    ratio = _update(seen)
    if ratio is None or (seen.measured.rate_decades or 0.0) > 1.0 or seen.measured.blew_up:
        return None
    return ratio > TINY_WEIGHTS


def _step(seen: Seen) -> float:
    """log10 of the relative step; far below every step where it is not known."""
    ratio = _update(seen)
    return -12.0 if ratio is None else ratio


def _lively(seen: Seen) -> bool | None:
    """Units known to be neither dead nor at the end of their range, nor sigmoids, and no clipping."""
    f, dead, saturated = seen.facts, seen.facts.dead_unit_share, seen.facts.saturated_unit_share
    if f.hidden_activations is None or (dead is None and saturated is None):
        return None
    clipped = seen.measured.clip is not None and (seen.measured.clipped_share or 0.0) > 0.1
    return max(dead or 0.0, saturated or 0.0) < 0.2 and not _sigmoids(seen) and not clipped


def _steps(seen: Seen) -> float | None:
    """Optimiser steps of the whole run, None where the client does not say."""
    c = seen.context
    if not c.total_steps or (c.step_unit == "epoch" and not c.steps_per_epoch):
        return None
    return c.total_steps * steps_per_unit(c)


def _moved(seen: Seen) -> float | None:
    """log10 of the relative step at the peak rate, as if the run had a thousand steps: short ones need longer."""
    ratio, share, steps = _update(seen), seen.measured.rate_share, _steps(seen)
    if ratio is None or (share is not None and share <= 0):  # below 0: what a client sends as a rate may be anything
        return None
    ratio -= math.log10(share or 1.0)
    return ratio if steps is None else ratio + math.log10(min(steps, 1000.0) / 1000.0)


def _rests(seen: Seen) -> bool:
    """A step of 0 is explained without the optimizer: dead or saturated units, a gradient that is gone, or balanced by
    a strong weight decay."""
    f, gradient = seen.facts, seen.measured.gradient
    if max(f.dead_unit_share or 0.0, f.saturated_unit_share or 0.0) >= 0.5 or (seen.context.weight_decay or 0.0) > 0.02:
        return True
    return gradient is not None and gradient.points >= 5 and gradient.now <= 1e-4 * gradient.first


def _rate_is_usual(seen: Seen) -> bool:
    away = seen.measured.rate_decades
    return away is not None and away > -0.9 and not short_reach(seen)


def _initially_huge(seen: Seen) -> float | None:
    initial = seen.facts.initial_loss
    return None if initial is None or seen.measured.chance else decades(initial)


FACTS_OF_STATE: tuple[Evidence, ...] = (
    Evidence(
        name="units_are_dead", group="facts", needs=(FACTS,),
        when=(*above(lambda s: s.facts.dead_unit_share, 0.8, 0.03), *holds(_calm), *below(_step, -4.6, 0.15)),
        means="more than four fifths of the hidden units are 0 for every sample, and nothing else explains it: the "
        "loss did not blow up, no setting is out of the ordinary, and a step hardly changes the weights, which dead "
        "units keep from every gradient",
        says=lambda s: f"{percent(s.facts.dead_unit_share)} of the hidden units are 0 for every sample",
        for_={DEAD: FACT},
    ),
    Evidence(
        name="dead_units_yet_weights_move", group="units", needs=(FACTS,),
        when=(*above(lambda s: s.facts.dead_unit_share, 0.8, 0.03), *holds(_calm), *above(_update, -4.3, 0.15)),
        means="more than four fifths of the hidden units are 0 for every sample, and the weights move all the same: "
        "they are all but 0 themselves, or what is left in the optimiser moves them",
        says=lambda s: (
            f"{percent(s.facts.dead_unit_share)} of the hidden units are 0 for every sample, and yet a step changes "
            f"the weights by {number(s.facts.update_to_weight)} of their size"
        ),
        for_={INIT: STRONG, DEAD: STRONG, ACCUMULATING: WEAK, RATE_HIGH: WEAK},
    ),
    Evidence(
        name="units_died_of_blow_up", group="facts", needs=(FACTS,),
        when=(*above(lambda s: s.facts.dead_unit_share, 0.5, 0.04), *holds(lambda s: not _calm(s))),
        means="most hidden units are 0 for every sample, which a blow-up or a setting out of the ordinary explains",
        says=lambda s: (
            f"{percent(s.facts.dead_unit_share)} of the hidden units are 0 for every sample"
            f"{', after the loss had blown up' if s.measured.blew_up else ''}"
        ),
        for_={DEAD: PLAIN, RATE_HIGH: PLAIN, UNSCALED: WEAK},
    ),
    Evidence(
        name="units_live", group="facts", needs=(FACTS,), when=below(lambda s: s.facts.dead_unit_share, 0.35, 0.04),
        means="most hidden units are active for some samples",
        says=lambda s: f"{percent(s.facts.dead_unit_share)} of the hidden units are 0 for every sample",
        against={DEAD: FACT},
    ),
    Evidence(
        name="units_are_saturated", group="facts", needs=(FACTS,),
        when=(*above(lambda s: s.facts.saturated_unit_share, 0.5, 0.04), *holds(_calm)),
        means="most hidden units are at the end of their range, and no blow-up or unusual setting explains it",
        says=_saturated_text, for_={SATURATED: FACT, INIT: STRONG},
    ),
    Evidence(
        name="units_saturated_by_trouble", group="facts", needs=(FACTS,),
        when=(*above(lambda s: s.facts.saturated_unit_share, 0.5, 0.04), *holds(_disturbed)),
        means="most hidden units are at the end of their range, which a blow-up or an unusual setting explains",
        says=_saturated_text, for_={SATURATED: PLAIN, RATE_HIGH: WEAK, UNSCALED: WEAK, INIT: WEAK},
    ),
    Evidence(
        name="weights_are_tiny", group="start of the weights", needs=(FACTS,), when=holds(_tiny_weights),
        means="a step is long beside the weights although nothing is too fast: the weights are all but 0",
        says=lambda s: (
            f"a step changes the weights by {number(s.facts.update_to_weight)} of their size at an ordinary rate: they "
            "are all but 0"
        ),
        for_={INIT: STRONG}, against={NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="initial_loss_enormous", group="start of the weights", needs=(FACTS,),
        when=above(_initially_huge, 4.0, 0.2),
        means="where no chance level is known: before training the loss is above 10,000",
        says=lambda s: f"before training the loss is {number(s.facts.initial_loss)}",
        for_={INIT: STRONG, UNSCALED: STRONG}, against={BAD_BATCH: STRONG, BAD_DATA: PLAIN, RATE_HIGH: PLAIN},
    ),
    Evidence(
        name="units_not_saturated", group="facts", needs=(FACTS,),
        when=(*below(lambda s: s.facts.saturated_unit_share, 0.2, 0.03), *holds(_not_sigmoids)),
        means="few hidden units are at the end of their range",
        says=lambda s: f"{percent(s.facts.saturated_unit_share)} of the hidden units are at the end of their range",
        against={SATURATED: STRONG},
    ),
    Evidence(
        name="weights_do_not_move", group="facts", needs=(FACTS,),
        when=(*below(_update, -8.0, 0.3), *holds(lambda s: not _rests(s))),
        means="a step does not change the weights, although there is a gradient as far as is known",
        says=_update_text, for_={NOT_UPDATED: FACT, RATE_LOW: STRONG},
    ),
    Evidence(
        name="weights_rest", group="facts", needs=(FACTS,), when=(*below(_update, -8.0, 0.3), *holds(_rests)),
        means="a step does not change the weights, because the gradient is gone or most units are dead or saturated",
        says=_update_text, for_={DEAD: PLAIN, SATURATED: PLAIN, NOT_UPDATED: WEAK},
        against={RATE_LOW: PLAIN, LABELS: WEAK},
    ),
    Evidence(
        name="weights_hardly_move", group="facts", needs=(FACTS,),
        when=(*above(_update, -8.0, 0.3), *below(_moved, -4.2, 0.15), *holds(lambda s: not _rate_is_usual(s))),
        means="a step changes the weights by less than a twenty-thousandth of their size, or the steps of the whole "
        "run by less than a sixteenth",
        says=_update_text, for_={RATE_LOW: STRONG, CLIP: PLAIN}, against={RATE_HIGH: PLAIN, NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="weights_hardly_move_at_usual_rate", group="facts", needs=(FACTS, RATE),
        when=(*above(_update, -8.0, 0.3), *below(_moved, -4.2, 0.15), *holds(_rate_is_usual)),
        means="a step hardly changes the weights although the rate is usual: the gradient is faint",
        says=lambda s: f"{_update_text(s)}, although the learning rate is usual",
        for_={SATURATED: PLAIN, INIT: PLAIN, CLIP: PLAIN, DEAD: WEAK, RATE_LOW: WEAK},
        against={RATE_HIGH: PLAIN, NOT_UPDATED: STRONG, LABELS: WEAK},
    ),
    Evidence(
        name="faint_gradient_of_live_units", group="start of the weights", needs=(FACTS, RATE),
        when=(*above(_update, -8.0, 0.3), *below(_moved, -4.2, 0.15), *holds(_rate_is_usual), *holds(_lively)),
        means="a step hardly changes the weights although the rate is usual, nothing is clipped, and the units are "
        "neither dead nor saturated: small weights make the gradient faint",
        says=lambda s: f"{_update_text(s)} although the rate is usual and the units are neither dead nor saturated",
        for_={INIT: STRONG}, against={CLIP: PLAIN, LABELS: WEAK, RATE_LOW: PLAIN},
    ),
    Evidence(
        name="weights_move", group="facts", needs=(FACTS,), when=above(_moved, -3.8, 0.15),
        means="a step changes the weights by a six-thousandth of their size or more, or the steps of the whole run by "
        "a sixth",
        says=_update_text, against={RATE_LOW: STRONG, CLIP: PLAIN, NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="weights_leap", group="facts", needs=(FACTS,),
        when=(*above(_update, -1.4, 0.15), *holds(lambda s: not _tiny_weights(s))),
        means="a step changes the weights by a twenty-fifth of their size or more",
        says=_update_text, for_={RATE_HIGH: PLAIN, NO_WARMUP: WEAK},
    ),
    Evidence(
        name="gradients_not_cleared", group="facts", needs=(FACTS,),
        when=holds(lambda s: None if s.facts.gradients_cleared is None else not s.facts.gradients_cleared),
        means="the gradients of a step are still there when the next step's are added to them",
        says=lambda s: "the gradients of each step are added to those of the steps before: nothing clears them",
        for_={ACCUMULATING: FACT},
    ),
    Evidence(
        name="gradients_are_cleared", group="facts", needs=(FACTS,), when=holds(lambda s: s.facts.gradients_cleared),
        means="the gradients of a step are gone before those of the next one come",
        says=lambda s: "gradients are cleared between the steps", against={ACCUMULATING: FACT},
    ),
    Evidence(
        name="loss_scale_collapsed", group="facts", needs=(FACTS,), when=below(_scale, 1.0, 0.02),
        means="the loss scaler has come down below 1: every step overflows",
        says=lambda s: f"the loss scale has come down to {number(_scale(s))}: every step overflows",
        for_={PRECISION: FACT},
    ),
    Evidence(
        name="loss_scale_huge", group="facts", needs=(FACTS,), when=above(_scale, 65536.5, 100.0),
        means="the loss is scaled by more than 65536, beyond what fp16 holds",
        says=lambda s: f"the loss is scaled by {number(_scale(s))}, and fp16 holds numbers up to 65504",
        for_={PRECISION: STRONG},
    ),
)  # fmt: skip
