"""Evidence in the learning rate: against what is usual, how it changed, how far it can move a weight, the warm-up."""

from __future__ import annotations

import math

from losswatch_server.monitor.diagnosis.evidence.causes import (
    BAD_BATCH,
    INIT,
    LABELS,
    LINEAR,
    NO_WARMUP,
    NOT_UPDATED,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    UNSCALED,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BUDGET, RATE, SETTING
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
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.measures import steps_per_unit
from losswatch_server.monitor.diagnosis.optimizers import fine_tunes, peak_rate, rate_for_adam, usual
from losswatch_server.monitor.sentences import number
from losswatch_server.monitor.vocabulary import Condition

BLOWN_UP = frozenset({Condition.DIVERGING, Condition.NON_FINITE, Condition.EXPLODING_GRADIENT, Condition.OSCILLATION})


RESTS = 0.4
"""Of the log: a loss that fell and has rested for so long is where its steps lead, however short they are."""
NOISELESS = 0.02
"""Of the fall: with more noise than that, runs of the develop half with too low a rate seem to rest."""


def arrived(seen: Seen) -> bool:
    """Longer steps lead nowhere: the gradient is gone or, where it is not sent, the loss fell and has long rested, with
    too little noise to hide that it goes on."""
    m, finding = seen.measured, seen.finding
    if m.stationary or m.gradient is not None or finding.condition is not Condition.PLATEAU or not m.loss:
        return m.stationary
    rests = finding.last_step - finding.onset_step
    plain = m.loss.noise <= NOISELESS * abs(m.loss.first - m.loss.now)
    return plain and finding.onset_step > m.loss.first_step and rests >= RESTS * (finding.last_step - m.loss.first_step)


def _rate_decades(seen: Seen) -> float | None:
    return None if seen.measured.learning_rate is None else seen.measured.rate_decades


def _blows_up(seen: Seen) -> bool:
    return seen.finding.condition in BLOWN_UP


def _reach(seen: Seen) -> float | None:
    """log10 of how far an optimiser that moves each weight by the rate a step can come in the whole run, on the scale
    of Adam."""
    c, m = seen.context, seen.measured
    scale = rate_for_adam(c)
    if scale is None or fine_tunes(c) or not m.learning_rate or not c.total_steps:
        return None
    if c.step_unit == "epoch" and not c.steps_per_epoch:
        return None
    rate = max(m.learning_rate / (m.rate_share or 1.0), m.first_learning_rate or 0.0)
    return decades(scale * rate * c.total_steps * steps_per_unit(c))


def short_reach(seen: Seen) -> bool | None:
    reach = _reach(seen)
    return None if reach is None else 10**reach < 0.45


def _rate_text(seen: Seen) -> str:
    m, known = seen.measured, usual(seen.context)
    name = seen.context.optimizer or "this kind of optimizer"
    if known is None:
        common = "1e-3 to 0.1"
    else:
        common = number(known.rate) + (" on a trained model" if known.name == "fine-tuning" else "")
    away = m.rate_decades or 0.0
    where = (
        f"{number(10 ** min(away, 99.0), 2)} times" if away > 0.1
        else f"1/{number(10 ** min(-away, 99.0), 2)} of" if away < -0.1 else "near"
    )  # fmt: skip
    rate = number(peak_rate(m.learning_rate, m.rate_share))
    return f"the learning rate {rate} is {where} what is usual for {name} ({common})"


def _jump_text(seen: Seen) -> str:
    return f"the learning rate rose to {number(seen.measured.rate_jump)} times its value just before"


RATES: tuple[Evidence, ...] = (
    Evidence(
        name="rate_high", group="learning rate", needs=(RATE,), when=above(_rate_decades, 1.1, 0.15),
        means="the learning rate is more than ten times what is usual for the optimiser",
        says=_rate_text, for_={RATE_HIGH: PLAIN, NO_WARMUP: WEAK},
        against={RATE_LOW: STRONG, UNSCALED: WEAK, LABELS: WEAK, SMALL: WEAK, LINEAR: WEAK},
    ),
    Evidence(
        name="rate_very_high", group="learning rate", needs=(RATE,), when=above(_rate_decades, 2.0, 0.2),
        means="the learning rate is more than a hundred times what is usual for the optimiser",
        says=_rate_text, for_={RATE_HIGH: PLAIN}, against={UNSCALED: WEAK, INIT: WEAK, SATURATED: WEAK},
    ),
    Evidence(
        name="rate_low", group="learning rate", needs=(RATE,),
        when=(*below(_rate_decades, -1.15, 0.15),
              *holds(lambda s: not _blows_up(s) and not s.measured.blew_up and not arrived(s))),
        means="the learning rate is less than a tenth of what is usual for the optimiser, and longer steps may lead "
        "on: the gradient is not gone and, where none is sent, the loss does not rest",
        says=_rate_text, for_={RATE_LOW: STRONG},
        against={RATE_HIGH: STRONG, NOT_UPDATED: WEAK, LABELS: WEAK, SMALL: WEAK, LINEAR: WEAK, SATURATED: WEAK},
    ),
    Evidence(
        name="low_rate_blows_up", group="learning rate", needs=(RATE,),
        when=(*below(_rate_decades, -1.4, 0.15), *holds(lambda s: _blows_up(s) or s.measured.blew_up)),
        means="the run blows up at a rate that is far below (a twenty-fifth of) what is usual",
        says=lambda s: f"{_rate_text(s)}, and the run blows up all the same",
        for_={UNSCALED: PLAIN, INIT: WEAK}, against={RATE_HIGH: WEAK, RATE_LOW: STRONG, NO_WARMUP: PLAIN},
    ),
    Evidence(
        name="rate_usual", group="learning rate", needs=(RATE,),
        when=(*within(_rate_decades, -0.9, 0.9, 0.12), *holds(lambda s: not (short_reach(s) or False))),
        means="the learning rate is in the usual range of the optimiser, and the run is long enough for it",
        says=_rate_text, against={RATE_HIGH: WEAK, RATE_LOW: PLAIN},
    ),
    Evidence(
        name="run_too_short_for_rate", group="learning rate", needs=(BUDGET, RATE, SETTING),
        when=(*below(_reach, math.log10(0.45), 0.12), *holds(lambda s: not arrived(s))),
        means="Adam and kin move a weight by about the learning rate a step: by less than 0.45 in the whole run, where "
        "weights are of size 1; and the gradient is not gone",
        says=lambda s: (
            f"{s.context.optimizer} moves a weight by about the learning rate a step, and all steps together by "
            f"{number(10 ** (_reach(s) or 0.0), 2)} at most: too little for weights of size 1"
        ),
        for_={RATE_LOW: STRONG}, against={SMALL: WEAK, LINEAR: WEAK, LABELS: WEAK},
    ),
    Evidence(
        name="rate_zero", group="learning rate", needs=(RATE,),
        when=holds(lambda s: None if s.measured.learning_rate is None
                   else s.measured.learning_rate == 0 and not s.measured.rate_share),
        means="the learning rate is 0",
        says=lambda s: "the learning rate is 0", for_={NOT_UPDATED: STRONG, RATE_LOW: WEAK},
    ),
    Evidence(
        name="rate_jumped", group="learning rate", needs=(RATE,),
        when=above(lambda s: s.measured.rate_jump, 3.0, 0.4),
        means="the learning rate was raised to three times its value or more just before",
        says=_jump_text, for_={RATE_HIGH: STRONG}, against={BAD_BATCH: PLAIN},
    ),
    Evidence(
        name="rate_kept", group="learning rate", needs=(RATE,),
        when=(*below(lambda s: s.measured.rate_jump, 1.05, 0.01), *holds(lambda s: s.measured.jump is not None)),
        means="the loss was well for eight points or more at the same learning rate",
        says=lambda s: "the learning rate did not change before", against={RATE_HIGH: WEAK},
    ),
    Evidence(
        name="rate_lowered_without_effect", group="learning rate", needs=(RATE,),
        when=(*above(lambda s: s.measured.rate_lowered, 2.5, 0.1), *holds(lambda s: s.finding.is_open)),
        means="the learning rate was lowered several times since, and the trouble stayed",
        says=lambda s: (
            f"the learning rate was lowered {number(s.measured.rate_lowered, 2)} times since step "
            f"{s.finding.onset_step}, and the trouble stayed"
        ),
        for_={UNSCALED: WEAK}, against={RATE_HIGH: STRONG, NO_WARMUP: PLAIN, RATE_LOW: WEAK},
    ),
    Evidence(
        name="warmup_used", group="learning rate", needs=(SETTING,),
        when=holds(lambda s: None if s.context.warmup_steps is None else s.context.warmup_steps > 0),
        means="a warm-up is in use",
        says=lambda s: f"a warm-up of {s.context.warmup_steps} steps is in use", against={NO_WARMUP: STRONG},
    ),
    Evidence(
        name="warmup_left_out", group="warm-up", needs=(SETTING,),
        when=holds(lambda s: None if s.context.warmup_steps is None else s.context.warmup_steps == 0),
        means="the client says that there is no warm-up",
        says=lambda s: "there is no warm-up (warmup_steps is 0)", for_={NO_WARMUP: WEAK},
    ),
)  # fmt: skip
