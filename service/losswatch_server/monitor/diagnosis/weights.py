"""How much each sign speaks for or against each cause: log-odds, in groups that are capped together.

A weight of 1 makes a cause about three times as likely when the sign is plain, 2 seven times, 3 twenty times;
negative ones speak against. Within a group the sum is capped at +-3, so that one fact seen from three sides
(a flat loss, a slope near zero, nothing of the promised fall) counts once. Signs that are not there add nothing.
"""

from __future__ import annotations

from losswatch_server.monitor.vocabulary import CauseName as C

CAP = 3.0

RATE_HIGH = C.LEARNING_RATE_TOO_HIGH
RATE_LOW = C.LEARNING_RATE_TOO_LOW
UNSCALED = C.INPUTS_NOT_SCALED
LINEAR = C.MISSING_NONLINEARITY
SMALL = C.INSUFFICIENT_CAPACITY
WRONG_LOSS = C.WRONG_LOSS_FUNCTION
DEAD = C.DEAD_ACTIVATIONS
SATURATED = C.SATURATED_ACTIVATIONS
INIT = C.POOR_INITIALIZATION
NOT_UPDATED = C.PARAMETERS_NOT_UPDATED
ACCUMULATING = C.GRADIENTS_ACCUMULATING
LABELS = C.LABELS_UNINFORMATIVE
BAD_BATCH = C.BAD_BATCH
UNSHUFFLED = C.DATA_NOT_SHUFFLED
TINY_BATCH = C.BATCH_TOO_SMALL
DECAY = C.WEIGHT_DECAY_TOO_STRONG
NO_WARMUP = C.NO_WARMUP
PRECISION = C.PRECISION_OVERFLOW
SMALL_DATA = C.OVERFIT_SMALL_DATA
CLIP = C.GRADIENT_CLIP_TOO_TIGHT
MOMENTUM = C.MOMENTUM_TOO_HIGH

Weights = dict[C, float]

GROUPS: dict[str, dict[str, Weights]] = {
    "learning rate": {
        "rate_high": {
            RATE_HIGH: 2.0, NO_WARMUP: 0.5, RATE_LOW: -3, UNSCALED: -0.5, LABELS: -0.5, SMALL: -0.5, LINEAR: -0.5,
        },
        "rate_very_high": {RATE_HIGH: 1.0, UNSCALED: -0.5, INIT: -1, SATURATED: -1},
        "rate_low": {
            RATE_LOW: 2.5, RATE_HIGH: -3, NOT_UPDATED: -0.5, LABELS: -1, SMALL: -1, LINEAR: -1, SATURATED: -1,
        },
        "rate_very_low": {RATE_LOW: 0.5},
        "rate_usual": {RATE_HIGH: -1, RATE_LOW: -2},
        "beyond_stability": {RATE_HIGH: 3, RATE_LOW: -3},
        "rate_zero": {NOT_UPDATED: 3, RATE_LOW: 1},
        "rate_jumped": {RATE_HIGH: 3, BAD_BATCH: -2},
        "rate_kept": {RATE_HIGH: -0.5},
        "warmup_used": {NO_WARMUP: -3},
    },
    "settings": {
        "momentum_high": {MOMENTUM: 3},
        "momentum_usual": {MOMENTUM: -2.5},
        "momentum_unknown": {MOMENTUM: -1},
        "batch_tiny": {TINY_BATCH: 3},
        "batch_small": {TINY_BATCH: 0.5},
        "batch_ample": {TINY_BATCH: -3},
        "gradient_scatters": {TINY_BATCH: 2},
        "gradient_steady_at_start": {TINY_BATCH: -1.5},
        "decay_strong": {DECAY: 3},
        "decay_notable": {DECAY: 1.5},
        "decay_usual": {DECAY: -3},
        "decay_unknown": {DECAY: -2},
        "clip_tight": {CLIP: 3},
        "clip_small": {CLIP: 2.5},
        "clip_loose": {CLIP: -3},
        "clip_unknown": {CLIP: -1.5},
    },
    "activation": {
        "activation_linear": {LINEAR: 3, DEAD: -3, SATURATED: -3},
        "activation_saturating": {LINEAR: -3, DEAD: -3},
        "activation_rectifying": {LINEAR: -3, SATURATED: -1.5},
    },
    "precision": {
        "half_precision": {PRECISION: 3, RATE_HIGH: -0.5},
        "wide_precision": {PRECISION: -2},
        "gradient_nonfinite": {PRECISION: 0.5},
    },
    "loss function": {
        "squared_error_for_classes": {WRONG_LOSS: 2.5},
        "rests_at_double_softmax": {WRONG_LOSS: 3},
        "rests_at_label_variance": {WRONG_LOSS: 1.5},
        "within_double_softmax": {WRONG_LOSS: 2.5},
        "gradient_zero_above_chance": {WRONG_LOSS: 2.5, NOT_UPDATED: -1.5},
        "loss_below_chance_at_start": {WRONG_LOSS: 2.5},
    },
    "start": {
        "loss_huge_at_start": {UNSCALED: 2, INIT: 2},
        "loss_enormous_at_start": {UNSCALED: 0.7},
        "loss_ordinary_at_start": {UNSCALED: -1.5, INIT: -1},
        "gradient_huge_at_start": {UNSCALED: 1, INIT: 1},
        "gradient_enormous_at_start": {UNSCALED: 1},
        "inputs_out_of_proportion": {UNSCALED: 2.5, INIT: -1},
        "starts_exactly_at_chance": {INIT: 2.5, DEAD: 1, LABELS: -1, LINEAR: -0.7, SMALL: -0.7, NOT_UPDATED: -0.5},
        "gradient_ordinary_at_start": {UNSCALED: -1.5, INIT: -1},
    },
    "shape": {
        "blew_up_early_and_settled": {
            RATE_HIGH: 2.5, UNSCALED: 1, MOMENTUM: 0.5, LABELS: -2, SMALL: -2, LINEAR: -2, CLIP: -2, NOT_UPDATED: -3,
            RATE_LOW: -3, SATURATED: -0.5, DEAD: -0.5,
        },
        "never_above_start": {RATE_HIGH: -0.5},
        "never_moved": {
            NOT_UPDATED: 1.7, RATE_LOW: 1, LABELS: -0.2, SATURATED: -0.5, SMALL: -1, LINEAR: -1, WRONG_LOSS: -0.5,
        },
        "fell_at_once_then_flat": {
            NOT_UPDATED: -2.5, RATE_LOW: -2, CLIP: -1.5, LINEAR: 0.7, SATURATED: 0.7, DECAY: 0.5, LABELS: 0.2,
            SMALL: 0.3,
        },
        "creeping": {RATE_LOW: 1.5, CLIP: 1, NOT_UPDATED: -3, LABELS: 0.5, DEAD: -1, LINEAR: -0.7, SATURATED: -0.5},
        "floor_after_progress": {
            LINEAR: 1, SMALL: 0.7, WRONG_LOSS: 0.7, NOT_UPDATED: -1.5, RATE_LOW: -1.5, DEAD: -1, CLIP: -1.5,
        },
        "grows_geometrically": {RATE_HIGH: 2, UNSCALED: 1, BAD_BATCH: -2},
        "grew_before_overflow": {RATE_HIGH: 1.5, UNSCALED: 0.5, INIT: 0.5, PRECISION: -1.5, BAD_BATCH: -1.5},
        "sudden_overflow": {BAD_BATCH: 1.5, PRECISION: 1, RATE_HIGH: -1.5},
    },
    "level": {
        "rests_at_chance": {
            SATURATED: 1, DEAD: 1, LABELS: 0.6, DECAY: 0.7, INIT: 0.3, LINEAR: 0.7, SMALL: 0.3, RATE_HIGH: 0.5,
            WRONG_LOSS: -1,
        },
        "above_chance": {
            NOT_UPDATED: 1.2, RATE_LOW: 1, CLIP: 0.5, LABELS: -1, LINEAR: -0.7, SMALL: -0.7, SATURATED: -1, DEAD: -1,
        },
        "lost_what_it_had": {
            LABELS: 1, RATE_HIGH: 0.7, BAD_BATCH: 0.3, DEAD: 0.5, LINEAR: -2, SMALL: -2, WRONG_LOSS: -1.5,
            SATURATED: -1,
            NOT_UPDATED: -2, RATE_LOW: -2, CLIP: -2,
        },
        "a_little_under_chance": {LABELS: 0.8, SMALL: 0.5, NOT_UPDATED: -0.5, DEAD: -1, DECAY: -0.5},
        "well_under_chance": {SMALL: 0.7, LABELS: -1.5, NOT_UPDATED: -3, DEAD: -2, SATURATED: -1.5, DECAY: -0.5},
        "frozen_with_gradient": {NOT_UPDATED: 3, RATE_LOW: 0.5, LINEAR: -2, SMALL: -2},
        "frozen_without_gradient": {DEAD: 2, SATURATED: 1.5, NOT_UPDATED: 0.5},
        "frozen": {NOT_UPDATED: 1.5, RATE_LOW: 1},
        "repeats_exactly": {NOT_UPDATED: 3},
    },
    "noise": {
        "noise_grown": {RATE_HIGH: 1, MOMENTUM: 0.5, ACCUMULATING: 0.7, NOT_UPDATED: -2, DECAY: -1.5, RATE_LOW: -1.5},
        "noise_shrunk": {DECAY: 0.5, LINEAR: 0.3, SATURATED: 0.5, DEAD: 0.5, NOT_UPDATED: -1.5, RATE_LOW: -1},
        "alternating": {RATE_HIGH: 1, UNSHUFFLED: 0.5},
        "repeats": {UNSHUFFLED: 3, RATE_HIGH: -1, LABELS: -1, MOMENTUM: -0.5, WRONG_LOSS: -1},
        "no_repetition": {UNSHUFFLED: -2.5},
    },
    "gradient norm": {
        "gradient_always_zero": {WRONG_LOSS: 1.5, NOT_UPDATED: 1, DEAD: 1, SATURATED: 1, RATE_HIGH: -2, RATE_LOW: -2},
        "gradient_grown_and_smooth": {ACCUMULATING: 3, RATE_HIGH: -0.5, BAD_BATCH: -2, LABELS: -1},
        "gradient_grows_with_steps": {ACCUMULATING: 1.5},
        "gradient_not_grown": {ACCUMULATING: -2.5},
        "gradient_gone": {
            LINEAR: 1.7, SMALL: 1.4, SATURATED: 1, WRONG_LOSS: 0.7, DEAD: 0.7, RATE_LOW: -3, NOT_UPDATED: -3,
            CLIP: -2, UNSHUFFLED: -2,
        },
        "gradient_shrunk": {
            LINEAR: 0.5, SATURATED: 0.7, DEAD: 0.7, DECAY: 0.7, NOT_UPDATED: -2.5, RATE_LOW: -1.5, CLIP: -1,
        },
        "gradient_alike": {NOT_UPDATED: 1, RATE_LOW: 0.7, CLIP: 0.5, LABELS: 0.2},
        "gradient_is_noise": {DEAD: 1, SATURATED: 0.7, LINEAR: 0.5, LABELS: 0.3, NOT_UPDATED: -1, RATE_LOW: -1},
        "gradient_risen": {LABELS: 0.7, NOT_UPDATED: -1.5, DEAD: -1, DECAY: -1, SATURATED: -0.5},
    },
    "promise": {
        "promise_below_noise": {
            RATE_LOW: 2.5, NOT_UPDATED: -0.5, CLIP: 0.5, LABELS: -1.5, SMALL: -1.5, LINEAR: -1.5, SATURATED: -1,
        },
        "promise_not_kept": {RATE_LOW: -2, CLIP: -1.5, NOT_UPDATED: 0.7, LINEAR: 0.5, LABELS: 0.5, SATURATED: 0.5},
        "promise_kept_in_small_part": {CLIP: 1, LABELS: 0.3, NOT_UPDATED: -2},
        "promise_kept": {RATE_LOW: 1.2, CLIP: 0.5, NOT_UPDATED: -3, LINEAR: -1, LABELS: -0.7, RATE_HIGH: -1},
    },
    "layers": {
        "layers_died": {DEAD: 3, DECAY: 1.5},
        "layers_died_after_blow_up": {RATE_HIGH: 1.5, UNSCALED: 1.5, DEAD: 1, MOMENTUM: 1, INIT: 0.5},
        "layers_dead_from_start": {DEAD: 2, INIT: 1, SATURATED: -0.5},
        "layers_alive": {DEAD: -1.5},
        "layers_vanish": {SATURATED: 2.5, INIT: 0.5, DECAY: 0.5, NOT_UPDATED: -1},
        "layers_explode": {INIT: 0.7, UNSCALED: 0.7},
        "layers_even": {SATURATED: -1},
    },
    "validation": {
        "validation_frozen": {NOT_UPDATED: 3, RATE_LOW: -1.5, CLIP: -2},
        "validation_froze": {
            NOT_UPDATED: 3, DEAD: 0.5, LINEAR: -2, SMALL: -2, WRONG_LOSS: -2, LABELS: -2, RATE_LOW: -2, UNSCALED: -2,
            RATE_HIGH: -2, CLIP: -2, TINY_BATCH: -2, UNSHUFFLED: -2, SATURATED: -1,
        },
        "validation_moves": {NOT_UPDATED: -2.5},
        "validation_turned": {SMALL_DATA: 2},
        "validation_never_improved": {LABELS: 2, SMALL_DATA: -0.5},
    },
    "standstill": {
        "validation_stands_still": {
            NOT_UPDATED: 3, LINEAR: -1.5, SMALL: -1.5, WRONG_LOSS: -1.5, SATURATED: -1.5, LABELS: -1.5,
        },
    },
    "events": {
        "spike_recovered": {BAD_BATCH: 1.5, RATE_HIGH: -0.5},
        "spike_stayed": {RATE_HIGH: 0.7, LABELS: 1, BAD_BATCH: -0.7, DEAD: 0.5},
        "goes_uphill": {WRONG_LOSS: 3, RATE_HIGH: -2, UNSCALED: -1.5, ACCUMULATING: -1.5},
        "overshoots": {RATE_HIGH: 0.7, WRONG_LOSS: -2},
        "rises_from_the_first_step": {
            WRONG_LOSS: 2.5, RATE_HIGH: -0.8, ACCUMULATING: -1.5, MOMENTUM: -0.5, BAD_BATCH: -1.5, LABELS: -1,
            NO_WARMUP: -1,
        },
    },
    "onset": {
        "learned_before": {INIT: -3, UNSCALED: -2.5, NO_WARMUP: -3, WRONG_LOSS: -2.5},
        "jumped_at_one_stroke": {
            BAD_BATCH: 2.5, LABELS: 0.5, RATE_HIGH: -1, MOMENTUM: -1.5, ACCUMULATING: -0.5, TINY_BATCH: -0.5,
            SMALL_DATA: -2,
        },
        "jumped_to_guessing": {LABELS: 3, BAD_BATCH: -2, DEAD: 1, RATE_HIGH: -0.5},
    },
}  # fmt: skip
