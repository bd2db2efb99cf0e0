"""Recipe: everything that decides how a run of the zoo trains. A fault is a recipe with a field changed, and so is a
repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Fields are in a trainer's usual units; steps are optimiser steps."""

    task: str
    seed: int = 0
    # the model
    hidden: tuple[int, ...] = (48, 48)
    activation: str = "relu"
    initialization_gain: float = 1.0
    """Times the He (relu) or Xavier standard deviation."""
    bias: float = 0.0
    """Initial bias of the hidden layers."""
    frozen: bool = False
    """The optimiser does not hold the hidden layers' parameters."""
    # the objective
    loss: str = "default"
    """cross_entropy for classes, mse for regression; see losses.py for the others."""
    weight_decay: float = 0.0
    dropout: float = 0.0
    # the optimiser
    pretrained_steps: int = 0
    """Steps trained on half the samples before the log begins: a fine-tuning starts at a good place."""
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    steps: int = 600
    schedule: str = "constant"
    warmup_steps: int = 0
    clip: float | None = None
    steps_optimizer: bool = True
    zeroes_gradients: bool = True
    accumulates: int = 1
    """Batches an optimiser step, their mean gradient."""
    precision: str = "fp32"
    loss_scale: float = 1.0
    """fp16: gradients are computed times this; 0 means a dynamic scaler that skips overflowed steps."""
    loss_scale_growth: float = 1.0
    """fp16 with a fixed scale: it grows by this factor every 50 steps, unchecked."""
    # the data
    batch_size: int = 32
    train_size: int = 4096
    shuffle: bool = True
    label_noise: float = 0.0
    """Share of the labels that are drawn anew from all labels."""
    input_scale: float = 1.0
    input_offset: float = 0.0
    standardize: bool = False
    """Undoes scale and offset, as a preprocessing step does."""
    target_scale: float = 1.0
    target_offset: float = 0.0
    curriculum: int = 0
    """Steps on easy samples (little input noise) alone before all are used."""
    bad_batches: tuple[int, ...] = ()
    bad_batch_size: float = 0.0
    """Times the inputs of a bad batch; NaN puts NaN there."""
    broken_samples: int = 0
    """So many samples hold NaN, or infinity where ``broken_by`` says so."""
    broken_by: str = "nan inputs"
    """nan inputs, infinite inputs, nan targets, or nan validation (the held-out samples alone)."""
    filters_batches: bool = False
    """A guard drops batches whose inputs are out of range or not finite."""
    changes: tuple[tuple[int, str, Any], ...] = ()
    """(step, field, value): the field changes there, mid-run. ``kill`` shifts hidden biases by the value."""
    # the measuring
    validates_every: int = 0
    stop_at_best: bool = False
    """The weights of the best validation are the run's result."""
