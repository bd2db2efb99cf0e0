"""What can be known of a run at a point: what a rule needs and may not guess.

A rule names its needs; where one is not known the answer is "unknown", never "bad". The same training, logged every
tenth step, by the epoch or from its middle on, differs in nothing but this.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Context

START_STRIDES = 2.0
"""Strides of the log within which its first step must lie to be the run's start: counted from 0 or from 1."""
FIRST_EPOCHS = (0.0, 1.0)
EPOCH_STRIDES = 16.0
"""The same where the log says that this is the first epoch: an epoch may be long, and its middle is no start."""


class Need(StrEnum):
    """What a rule may need."""

    START = "the beginning of the run"
    CHANCE = "the loss of a model that knows nothing"
    VALIDATION = "a validation loss"
    GRADIENTS = "gradient norms"
    UNCLIPPED = "gradient norms from before clipping"
    LAYERS = "gradient norms by layer"
    QUALITY = "a share of right answers"
    CAUSE = "a fault that the client states"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known at one point."""

    begins_at_start: bool
    """Whether the first value is one of the run's first: else it is an excerpt, or a resumed run."""
    stride: float
    """Steps between two values of the loss, 0 while there is but one."""
    by_epoch: bool
    chance: float | None
    budget: float | None
    """Share of the planned steps that is done; None where it is not known, or was passed."""


def stride_of(memory: Memory) -> float:
    """Mean distance between two losses, in steps; 0 while there are fewer than two."""
    track = memory.loss
    return (track.last_step - track.head_steps[0]) / (track.n - 1) if track.n > 1 else 0.0


def begins_at_start(memory: Memory) -> bool:
    """Whether the log begins where the run did: its first step within a stride or two, or in the first epoch.

    Judged by the strides of the first 64 values: a log may thin out later.
    """
    track = memory.loss
    if track.n == 0:
        return True
    first = track.head_steps[0]
    if memory.first_epoch is not None and memory.first_epoch > FIRST_EPOCHS[1] + 0.5:
        return False
    if first <= 1:
        return True
    steps = track.head_steps
    in_first_epoch = memory.first_epoch in FIRST_EPOCHS
    if len(steps) == 1:
        return in_first_epoch
    stride = (steps[-1] - first) / (len(steps) - 1)
    return first <= (EPOCH_STRIDES if in_first_epoch else START_STRIDES) * stride


def known(memory: Memory, context: Context, chance: float | None) -> Known:
    """What is known of the run; ``chance`` is the kind's, reduced as this run's loss is."""
    total = context.total_steps
    done = (memory.loss.last_step + 1) / total if total else None
    return Known(
        begins_at_start=begins_at_start(memory),
        stride=stride_of(memory),
        by_epoch=context.step_unit == "epoch",
        chance=chance,
        budget=done if done is not None and done <= 1.05 else None,
    )
