"""The contract's words, once. Names never change; values are only added."""

from __future__ import annotations

from enum import StrEnum

DETECTION_VERSION = 9
"""Stands in snapshots, reports and findings; raised by every change that can change a verdict."""


class Condition(StrEnum):
    """What is wrong with a run; in the order in which a headline prefers them."""

    NON_FINITE = "non_finite"
    DIVERGING = "diverging"
    EXPLODING_GRADIENT = "exploding_gradient"
    VANISHING_GRADIENT = "vanishing_gradient"
    NOT_LEARNING = "not_learning"
    OVERFITTING = "overfitting"
    OSCILLATION = "oscillation"
    LOSS_SPIKE = "loss_spike"
    PLATEAU = "plateau"
    SLOW_CONVERGENCE = "slow_convergence"
    SILENT = "silent"
    CONVERGED = "converged"


class CauseName(StrEnum):
    """Why it may be so."""

    LEARNING_RATE_TOO_HIGH = "learning_rate_too_high"
    LEARNING_RATE_TOO_LOW = "learning_rate_too_low"
    INPUTS_NOT_SCALED = "inputs_not_scaled"
    MISSING_NONLINEARITY = "missing_nonlinearity"
    INSUFFICIENT_CAPACITY = "insufficient_capacity"
    WRONG_LOSS_FUNCTION = "wrong_loss_function"
    DEAD_ACTIVATIONS = "dead_activations"
    SATURATED_ACTIVATIONS = "saturated_activations"
    POOR_INITIALIZATION = "poor_initialization"
    PARAMETERS_NOT_UPDATED = "parameters_not_updated"
    GRADIENTS_ACCUMULATING = "gradients_accumulating"
    LABELS_UNINFORMATIVE = "labels_uninformative"
    BAD_BATCH = "bad_batch"
    NON_FINITE_DATA = "non_finite_data"
    DATA_NOT_SHUFFLED = "data_not_shuffled"
    BATCH_TOO_SMALL = "batch_too_small"
    WEIGHT_DECAY_TOO_STRONG = "weight_decay_too_strong"
    NO_WARMUP = "no_warmup"
    PRECISION_OVERFLOW = "precision_overflow"
    OVERFIT_SMALL_DATA = "overfit_small_data"
    GRADIENT_CLIP_TOO_TIGHT = "gradient_clip_too_tight"
    MOMENTUM_TOO_HIGH = "momentum_too_high"


class Severity(StrEnum):
    """How bad a finding is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0, 1, 2: for comparing."""
        return ("info", "warning", "critical").index(self.value)


class RunState(StrEnum):
    """Where a run is in its life."""

    RUNNING = "running"
    SILENT = "silent"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Status(StrEnum):
    """How a run is doing."""

    WAITING = "waiting"
    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"


class LoopAction(StrEnum):
    """What the training loop should do now."""

    CONTINUE = "continue"
    LOOK = "look"
    STOP = "stop"


class ClosedBy(StrEnum):
    """Why a finding ended."""

    RESOLVED = "resolved"
    SUPERSEDED = "superseded"
    RULE_CHANGED = "rule_changed"
    LAPSED = "lapsed"
