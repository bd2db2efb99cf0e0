"""Evidence in accuracy and its like: what the loss alone cannot say of a floor."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.evidence import loss as losses
from losswatch_server.monitor.diagnosis.evidence.causes import (
    DEAD,
    INIT,
    LABELS,
    LINEAR,
    NOT_UPDATED,
    RATE_LOW,
    SATURATED,
    SMALL,
    SMALL_DATA,
    WRONG_LOSS,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.evidence.needed import ANSWERS, BEGINNING, CHANCE, FACTS, SETTING
from losswatch_server.monitor.diagnosis.evidence.row import (
    PLAIN,
    STRONG,
    WEAK,
    Evidence,
    Seen,
    above,
    below,
    holds,
    within,
)  # fmt: skip
from losswatch_server.monitor.diagnosis.quality_measures import QualityMeasures
from losswatch_server.monitor.sentences import percent

LEAST = 4
"""Values from which on it counts that they do not move."""


def _of(seen: Seen) -> QualityMeasures | None:
    return seen.measured.quality


def _now(seen: Seen) -> float | None:
    quality = _of(seen)
    return None if quality is None else quality.now


def _chance(seen: Seen) -> float | None:
    """The accuracy of the best constant answer: the largest class, or one in K."""
    shares, classes = seen.facts.class_shares, seen.context.num_classes
    return max(shares) if shares else 1 / classes if classes and classes > 1 else None


def _over_chance(seen: Seen) -> float | None:
    """How much of the way from chance to perfect the accuracy is."""
    now, chance = _now(seen), _chance(seen)
    return None if now is None or chance is None or chance >= 0.999 else (now - chance) / (1 - chance)


def _gap(seen: Seen) -> float | None:
    quality = _of(seen)
    if quality is None or quality.train is None or quality.held_out is None:
        return None
    return quality.train - quality.held_out


def _gained(seen: Seen) -> float | None:
    quality = _of(seen)
    if quality is None or quality.now is None or quality.first is None or quality.points < LEAST:
        return None
    return quality.now - quality.first if seen.measured.from_start else None


def _constant(seen: Seen) -> bool | None:
    quality = _of(seen)
    return None if quality is None or quality.points < LEAST else quality.constant


def _text(seen: Seen) -> str:
    chance = _chance(seen)
    text = f"the accuracy is {percent(_now(seen))}"
    return text if chance is None else f"{text}; a constant answer gives {percent(chance)}"


def _gap_text(seen: Seen) -> str:
    quality = _of(seen)
    assert quality is not None
    return f"the accuracy is {percent(quality.train)} in training and {percent(quality.held_out)} in validation"


METRICS: tuple[Evidence, ...] = (
    Evidence(
        name="accuracy_at_chance", group="accuracy", needs=(ANSWERS, (SETTING, FACTS)),
        when=within(_over_chance, -0.12, 0.05, 0.012),
        means="the accuracy is that of a constant answer",
        says=_text, for_={LABELS: WEAK, DEAD: WEAK, SATURATED: WEAK}, against={WRONG_LOSS: WEAK, SMALL: WEAK},
    ),
    Evidence(
        name="accuracy_below_chance", group="loss function", needs=(ANSWERS, (SETTING, FACTS)),
        when=below(_over_chance, -0.15, 0.02),
        means="the accuracy is far below that of a constant answer: what is minimised rewards wrong answers",
        says=lambda s: f"{_text(s)}: what is minimised rewards wrong answers", for_={WRONG_LOSS: STRONG, LABELS: WEAK},
    ),
    Evidence(
        name="low_loss_at_chance_accuracy", group="loss function", needs=(CHANCE, ANSWERS, (SETTING, FACTS)),
        when=(*below(_over_chance, 0.05, 0.012), *below(lambda s: s.measured.now_over_chance, 0.7, 0.03)),
        means="the loss is far below chance level although the accuracy is at chance: the loss is not of these "
        "outputs",
        says=lambda s: f"{_text(s)}, although the loss is far below chance level", for_={WRONG_LOSS: STRONG},
    ),
    Evidence(
        name="accuracy_well_above_chance", group="accuracy", needs=(ANSWERS, (SETTING, FACTS)),
        when=above(_over_chance, 0.3, 0.04),
        means="the accuracy is far above that of a constant answer: the model has learned",
        says=_text,
        against={NOT_UPDATED: STRONG, DEAD: STRONG, LABELS: PLAIN, SATURATED: WEAK, INIT: WEAK},
    ),
    Evidence(
        name="accurate_with_high_loss", group="loss function", needs=(CHANCE, ANSWERS, (SETTING, FACTS)),
        when=(*above(_over_chance, 0.6, 0.05), *above(lambda s: s.measured.now_over_chance, 0.5, 0.04)),
        means="the accuracy is good although the loss is near chance level: the loss is not of these outputs",
        says=lambda s: f"{_text(s)}, although the loss is still near chance level",
        for_={WRONG_LOSS: STRONG}, against={SMALL: PLAIN, LINEAR: PLAIN},
    ),
    Evidence(
        name="accuracy_rises", group="accuracy", needs=(BEGINNING, ANSWERS),
        when=(*above(_gained, 0.08, 0.02), *below(losses.fall, 0.1, 0.03)),
        means="the accuracy rises although the loss hardly falls",
        says=_text, for_={WRONG_LOSS: WEAK}, against={NOT_UPDATED: STRONG, LABELS: PLAIN, DEAD: PLAIN},
    ),
    Evidence(
        name="accuracy_constant", group="accuracy", needs=(BEGINNING, ANSWERS),
        when=(*holds(_constant), *below(losses.fall, 0.3, 0.05)),
        means="the accuracy is the same number every time, and the loss has hardly fallen",
        says=lambda s: f"the accuracy is {percent(_now(s))} every time",
        for_={NOT_UPDATED: PLAIN, DEAD: WEAK, SATURATED: WEAK, RATE_LOW: WEAK},
    ),
    Evidence(
        name="accuracy_gap", group="accuracy", needs=(ANSWERS,), when=above(_gap, 0.12, 0.02),
        means="the accuracy is more than 12 points lower in validation than in training",
        says=_gap_text, for_={SMALL_DATA: PLAIN}, against={SMALL: PLAIN, LINEAR: PLAIN},
    ),
)  # fmt: skip
