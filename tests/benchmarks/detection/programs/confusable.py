"""Which causes an expert could not tell apart, by what the log and its context hold.

The curves alone leave most in doubt; a context names learning rate, momentum, decay, clipping and batch; the facts of
an integration name activations, scales, and what the optimiser holds.
"""

from __future__ import annotations

CURVE: dict[str, tuple[str, ...]] = {
    "learning_rate_too_high": ("momentum_too_high", "no_warmup", "gradients_accumulating", "poor_initialization",
                               "inputs_not_scaled", "batch_too_small"),
    "learning_rate_too_low": ("gradient_clip_too_tight", "parameters_not_updated"),
    "inputs_not_scaled": ("learning_rate_too_high", "poor_initialization"),
    "missing_nonlinearity": ("insufficient_capacity",),
    "insufficient_capacity": ("missing_nonlinearity", "weight_decay_too_strong"),
    "wrong_loss_function": (),
    "dead_activations": ("poor_initialization", "saturated_activations"),
    "saturated_activations": ("poor_initialization", "dead_activations"),
    "poor_initialization": ("saturated_activations", "dead_activations", "inputs_not_scaled"),
    "parameters_not_updated": ("learning_rate_too_low",),
    "gradients_accumulating": ("learning_rate_too_high", "momentum_too_high"),
    "labels_uninformative": (),
    "bad_batch": ("non_finite_data",),
    "non_finite_data": ("bad_batch",),
    "data_not_shuffled": (),
    "batch_too_small": ("learning_rate_too_high",),
    "weight_decay_too_strong": ("insufficient_capacity",),
    "no_warmup": ("learning_rate_too_high", "poor_initialization", "momentum_too_high"),
    "precision_overflow": ("non_finite_data", "learning_rate_too_high"),
    "overfit_small_data": (),
    "gradient_clip_too_tight": ("learning_rate_too_low",),
    "momentum_too_high": ("learning_rate_too_high", "no_warmup", "gradients_accumulating"),
}  # fmt: skip
"""Loss and gradient norm alone."""

CONTEXT: dict[str, tuple[str, ...]] = CURVE | {
    "learning_rate_too_high": ("no_warmup", "gradients_accumulating", "poor_initialization"),
    "learning_rate_too_low": ("parameters_not_updated",),
    "insufficient_capacity": ("missing_nonlinearity",),
    "gradients_accumulating": ("learning_rate_too_high",),
    "batch_too_small": (),
    "weight_decay_too_strong": (),
    "no_warmup": ("learning_rate_too_high", "poor_initialization"),
    "precision_overflow": ("non_finite_data",),
    "gradient_clip_too_tight": (),
    "momentum_too_high": ("learning_rate_too_high",),
}
"""With the whole context."""

FACTS: dict[str, tuple[str, ...]] = CONTEXT | {
    "inputs_not_scaled": (),
    "missing_nonlinearity": (),
    "insufficient_capacity": (),
    "dead_activations": ("poor_initialization",),
    "saturated_activations": ("poor_initialization",),
    "poor_initialization": ("saturated_activations", "dead_activations"),
    "parameters_not_updated": (),
    "learning_rate_too_low": (),
    "non_finite_data": (),
    "bad_batch": (),
    "precision_overflow": (),
}
"""With the facts of an integration besides."""

BY_KNOWLEDGE = {"facts": FACTS, "full": CONTEXT, "some": CURVE, "little": CURVE, "nothing": CURVE}


def confusable(cause: str | None, knowledge: str) -> tuple[str, ...]:
    """The causes that are as fair an answer as ``cause``."""
    return BY_KNOWLEDGE[knowledge].get(cause or "", ())
