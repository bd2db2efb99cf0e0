"""How likely each cause is under each condition before anything else is known: log-odds.

0 is usual for the condition, -1 less so, -2 rare; a cause that is not named has -4, near enough to never, and no
stated fact brings it about. Weight decay, clipping and momentum are out of the ordinary only where the client says
so: where nothing is said of them they are rare.
``NONE`` is the weight of "none of these", against which everything is measured.
"""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.evidence.causes import (
    ACCUMULATING,
    BAD_BATCH,
    BAD_DATA,
    CLIP,
    DEAD,
    DECAY,
    INIT,
    LABELS,
    LINEAR,
    MOMENTUM,
    NO_WARMUP,
    NOT_UPDATED,
    PRECISION,
    RATE_HIGH,
    RATE_LOW,
    SATURATED,
    SMALL,
    SMALL_DATA,
    TINY_BATCH,
    UNSCALED,
    UNSHUFFLED,
    WRONG_LOSS,
)
from losswatch_server.monitor.vocabulary import CauseName, Condition

Weights = dict[CauseName, float]

NONE = 0.0
RARE = -4.0

_STUCK: Weights = {
    RATE_LOW: 0, NOT_UPDATED: -0.3, LABELS: -0.3, SATURATED: -0.2, DEAD: -0.5, LINEAR: -0.2, SMALL: -0.5, RATE_HIGH: 0,
    CLIP: -1.2, DECAY: -1, UNSCALED: -0.7, INIT: -0.7, WRONG_LOSS: -1, TINY_BATCH: -1.5, ACCUMULATING: -2,
    UNSHUFFLED: -2.5, MOMENTUM: -2.5, NO_WARMUP: -2.5,
}  # fmt: skip
_UNSTABLE: Weights = {
    RATE_HIGH: 1, UNSCALED: -0.3, ACCUMULATING: -0.5, MOMENTUM: -0.7, INIT: -1, NO_WARMUP: -2.5, TINY_BATCH: -1,
    BAD_BATCH: -1.5, PRECISION: -2, UNSHUFFLED: -2, WRONG_LOSS: -1.5, LABELS: -2, SATURATED: -3, DEAD: -3, DECAY: -4,
}  # fmt: skip

PRIORS: dict[Condition, Weights] = {
    Condition.NOT_LEARNING: _STUCK,
    Condition.PLATEAU: {
        LINEAR: 0, SMALL: 0, WRONG_LOSS: -1, RATE_HIGH: -0.3, UNSCALED: -0.3, LABELS: -1, SATURATED: -0.5,
        DECAY: -1, RATE_LOW: -1, DEAD: -1, CLIP: -1.7, INIT: -1.5, TINY_BATCH: -1.5, ACCUMULATING: -2, MOMENTUM: -2.5,
        UNSHUFFLED: -2.5, NOT_UPDATED: -2,
    },
    Condition.SLOW_CONVERGENCE: {
        RATE_LOW: 0.5, CLIP: -1, SMALL: -0.3, UNSCALED: -0.5, LINEAR: -1, LABELS: -1, SATURATED: -1, WRONG_LOSS: -1,
        INIT: -1.5, DECAY: -2, RATE_HIGH: -1.5, DEAD: -1.5, NOT_UPDATED: -2, TINY_BATCH: -2, MOMENTUM: -3,
        ACCUMULATING: -2.5, UNSHUFFLED: -2.5,
    },
    Condition.DIVERGING: _UNSTABLE,
    Condition.OSCILLATION: {
        RATE_HIGH: 0.7, MOMENTUM: -0.3, UNSHUFFLED: -0.5, TINY_BATCH: -0.3, ACCUMULATING: -0.5, UNSCALED: -1.5,
        INIT: -2, BAD_BATCH: -2, NO_WARMUP: -2.5, LABELS: -2.5, SATURATED: -2.5, PRECISION: -3,
    },
    Condition.LOSS_SPIKE: {
        BAD_BATCH: 0.7, RATE_HIGH: 0, PRECISION: -1.5, NO_WARMUP: -2.5, TINY_BATCH: -1.5, MOMENTUM: -1,
        LABELS: -1, DEAD: -2.5, UNSHUFFLED: -1.5, ACCUMULATING: -2, UNSCALED: -2, INIT: -2.5,
    },
    Condition.NON_FINITE: {
        RATE_HIGH: 0.5, BAD_DATA: 0, PRECISION: -0.5, BAD_BATCH: -0.5, UNSCALED: -0.3, INIT: -0.7, WRONG_LOSS: -1.5,
        ACCUMULATING: -1.5,
        MOMENTUM: -1.5, NO_WARMUP: -2.5, TINY_BATCH: -2, SATURATED: -3,
    },
    Condition.EXPLODING_GRADIENT: {
        INIT: 0.5, RATE_HIGH: 0.3, UNSCALED: 0, ACCUMULATING: -0.5, BAD_BATCH: -0.7, NO_WARMUP: -2.5, MOMENTUM: -1,
        PRECISION: -2, LABELS: -3, WRONG_LOSS: -3, SATURATED: -2, TINY_BATCH: -2,
    },
    Condition.VANISHING_GRADIENT: {
        SATURATED: 0.5, DEAD: 0.3, INIT: -0.5, DECAY: -1, UNSCALED: -1.5, RATE_HIGH: -1, LINEAR: -1, SMALL: -1.5,
        WRONG_LOSS: -1.5, RATE_LOW: -3, LABELS: -2, MOMENTUM: -2, CLIP: -3, NOT_UPDATED: -3,
    },
    Condition.OVERFITTING: {SMALL_DATA: 2, LABELS: -0.3, SMALL: -4, RATE_LOW: -5, RATE_HIGH: -2},
}  # fmt: skip
