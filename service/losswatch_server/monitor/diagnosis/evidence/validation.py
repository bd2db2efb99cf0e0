"""Evidence in the validation loss: whether it moves, and whether it turned."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.causes import (
    CLIP,
    DEAD,
    LABELS,
    LINEAR,
    NOT_UPDATED,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    SMALL_DATA,
    TINY_BATCH,
    UNSCALED,
    UNSHUFFLED,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import BEGINNING, NORMS, VALIDATED
from losswatch_server.monitor.diagnosis.evidence.row import (
    FACT,
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    holds,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.validation_measures import ValidationMeasures
from losswatch_server.monitor.sentences import number

FROZE = 5
"""So many equal validation losses in a row are no accident unless they are printed with few digits."""
MANY_DIGITS = 12
"""A validation loss of so many digits was not rounded by a log, so that equal ones are of equal parameters."""


def _of(seen: Seen) -> ValidationMeasures | None:
    """What is known of the validation loss; nothing where the gradient is 0: then nothing moves in any case."""
    m = seen.measured
    if m.validation is None or m.validation.points < 3 or (m.gradient is not None and m.gradient.peak == 0):
        return None
    return m.validation


def _exact(validation: ValidationMeasures) -> bool:
    return len(f"{abs(validation.now):.17g}".replace(".", "").lstrip("0")) >= MANY_DIGITS


def _always_equal(seen: Seen) -> bool | None:
    v = _of(seen)
    return None if v is None else v.equal_at_end == v.points


def _stopped_exactly(seen: Seen) -> bool | None:
    v = _of(seen)
    if v is None or seen.measured.gradient is not None:
        return None
    return FROZE <= v.equal_at_end < v.points and _exact(v)


def _same_parameters(seen: Seen) -> bool | None:
    """Equal to the last of many digits although there is a gradient: the parameters are the same."""
    v, gradient = _of(seen), seen.measured.gradient
    return None if v is None or gradient is None else v.equal_at_end >= FROZE and _exact(v) and gradient.now > 0


def _moves(seen: Seen) -> bool | None:
    v = _of(seen)
    return None if v is None else v.equal_at_end < min(FROZE, v.points)


def _rise(seen: Seen) -> float | None:
    v = seen.measured.validation
    return (v.risen_to - v.best) / max(abs(v.best), 1e-12) if v and v.points >= 4 else None


def _learned(seen: Seen) -> float | None:
    v = seen.measured.validation
    if v is None or v.points < 4 or not seen.measured.from_start:
        return None
    return (v.first - v.best) / max(abs(v.first), 1e-12)


def _apart(seen: Seen) -> float | None:
    v, loss = seen.measured.validation, seen.measured.loss
    if v is None or loss is None or v.points < 3 or not (loss.now > 0 and v.now > 0):
        return None
    return v.now / loss.now - 1


def _apart_text(seen: Seen) -> str:
    v = seen.measured.validation
    assert v is not None
    return f"the validation loss is {number(v.now)} where the training loss is {number(losses.of(seen).now)}"


def _equal_text(seen: Seen) -> str:
    v = seen.measured.validation
    assert v is not None
    return f"the last {v.equal_at_end} validation losses are all {number(v.now)}"


def _moves_text(seen: Seen) -> str:
    v = seen.measured.validation
    assert v is not None
    return f"the validation loss moved from {number(v.first)} to {number(v.now)}"


def _turned_text(seen: Seen) -> str:
    v = seen.measured.validation
    assert v is not None
    return f"the validation loss was best ({number(v.best)}) at step {v.best_step:,} and is {number(v.latest)} now"


VALIDATION: tuple[Evidence, ...] = (
    Evidence(
        name="validation_never_moved", group="validation", needs=(VALIDATED,), when=holds(_always_equal),
        means="the validation loss is the same number every time",
        says=lambda s: f"{_equal_text(s)}, from the first to the last",
        for_={NOT_UPDATED: STRONG}, against={RATE_LOW: PLAIN, CLIP: PLAIN},
    ),
    Evidence(
        name="validation_stopped_to_the_last_digit", group="validation", needs=(VALIDATED,),
        when=holds(_stopped_exactly),
        means="where no gradient norm is known: the last five validation losses or more are equal to the last of many "
        "digits",
        says=lambda s: f"{_equal_text(s)}, to the last digit",
        for_={NOT_UPDATED: STRONG, DEAD: WEAK},
        against={
            LINEAR: STRONG, SMALL: STRONG, WRONG_LOSS: STRONG, LABELS: STRONG, RATE_LOW: STRONG, UNSCALED: STRONG,
            RATE_HIGH: STRONG, CLIP: STRONG, TINY_BATCH: STRONG, UNSHUFFLED: STRONG, SATURATED: PLAIN,
        },
    ),
    Evidence(
        name="same_parameters", group="validation", needs=(VALIDATED, NORMS), when=holds(_same_parameters),
        means="five validation losses or more are equal to the last of many digits although there is a gradient: the "
        "parameters are the same",
        says=lambda s: f"{_equal_text(s)}, to the last digit, although there is a gradient",
        for_={NOT_UPDATED: FACT},
    ),
    Evidence(
        name="validation_moves", group="validation", needs=(VALIDATED,), when=holds(_moves),
        means="the validation loss moves",
        says=_moves_text,
        against={NOT_UPDATED: STRONG},
    ),
    Evidence(
        name="validation_turned", group="validation", needs=(BEGINNING, VALIDATED),
        when=(*above(_rise, 0.05, 0.015), *above(losses.fall, 0.05, 0.015)),
        means="the validation loss rises again while the training loss has fallen",
        says=_turned_text, for_={SMALL_DATA: PLAIN},
    ),
    Evidence(
        name="validation_apart", group="validation", needs=(VALIDATED,), when=above(_apart, 0.15, 0.03),
        means="the validation loss is more than 15 % above the training loss: the model is able to learn more",
        says=_apart_text, against={SMALL: PLAIN, LINEAR: PLAIN},
    ),
    Evidence(
        name="validation_better", group="validation", needs=(VALIDATED,), when=below(_apart, -0.13, 0.025),
        means="the validation loss is more than 13 % below the training loss: the training labels are the worse ones",
        says=_apart_text, for_={LABELS: WEAK},
    ),
    Evidence(
        name="validation_never_improved", group="validation", needs=(BEGINNING, VALIDATED),
        when=(*above(_rise, 0.03, 0.01), *below(_learned, 0.08, 0.02), *above(losses.fall, 0.05, 0.015)),
        means="the validation loss was never clearly better than at the start, while the training loss fell",
        says=lambda s: f"{_turned_text(s)}: it never got clearly better than at the start",
        for_={LABELS: PLAIN}, against={SMALL_DATA: WEAK},
    ),
)  # fmt: skip
