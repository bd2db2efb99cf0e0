"""Point and Context: what a client measured, and what it knows of the job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from losswatch_server.monitor.model_facts import ModelFacts

MAX_STEP = 2**53 - 1
LARGEST, SMALLEST = 1e140, 1e-140
"""Sizes within which values are judged: their squares, and sums of those over any run, have room in a float64. Larger
ones count as this large (float32 ends at 3e38), smaller ones as 0 (float32's smallest is 1e-45)."""
SERIES = ("loss", "grad_norm", "learning_rate", "validation_loss", "epoch")
"""The scalar series of a point, in the order in which stores and fingerprints list them."""


class Point(NamedTuple):
    """What was measured at one step by one rank.

    ``None`` means "not measured" in every field; NaN and infinities are values. ``loss_is_null`` tells an
    explicit JSON ``null`` (which many encoders write for NaN) from an absent loss; ``loss`` is then None.
    A NamedTuple: one is made for every point of every run, and this is the cheapest immutable record.
    """

    step: int
    loss: float | None = None
    grad_norm: float | None = None
    learning_rate: float | None = None
    validation_loss: float | None = None
    epoch: float | None = None
    time: str | None = None
    layers: Mapping[str, float] | None = None
    metrics: Mapping[str, float] | None = None
    rank: int = 0
    loss_is_null: bool = False


def tamed(point: Point) -> Point:
    """The point as it is judged: its finite series cut to what arithmetic has room for. Itself in all usual cases."""
    for value in point[1:5]:
        if value is not None and not SMALLEST <= value <= LARGEST and value != 0:
            break
    else:
        return point
    _, loss, norm, rate, validation = point[:5]
    return point._replace(
        loss=cut_to_range(loss),
        grad_norm=cut_to_range(norm),
        learning_rate=cut_to_range(rate),
        validation_loss=cut_to_range(validation),
    )


def cut_to_range(value: float | None) -> float | None:
    """A value within what arithmetic has room for; non-finite ones as they are."""
    if value is None or value == 0 or not math.isfinite(value):
        return value
    return max(-LARGEST, min(value, LARGEST)) if abs(value) >= SMALLEST else 0.0


SINGLE_FIELDS = ("learning_rate", "validation_loss", "epoch", "time")
"""Fields of which the first value stands where two points of a step differ; `loss` and `grad_norm` begin an attempt."""
MAP_FIELDS = ("layers", "metrics")


def merge(first: Point, second: Point) -> Point:
    """``first`` with what ``second`` adds; where both have a value, the first stands."""
    added: dict[str, Any] = {}
    if first.loss is None and second.loss is not None:
        added["loss"] = second.loss
        added["loss_is_null"] = False
    elif first.loss is None and second.loss_is_null:
        added["loss_is_null"] = True
    if first.grad_norm is None and second.grad_norm is not None:
        added["grad_norm"] = second.grad_norm
    for name in SINGLE_FIELDS:
        if getattr(first, name) is None and getattr(second, name) is not None:
            added[name] = getattr(second, name)
    for name in MAP_FIELDS:
        new = getattr(second, name)
        if new:
            old = getattr(first, name) or {}
            added[name] = {**old, **{key: value for key, value in new.items() if key not in old}}
    return first._replace(**added) if added else first


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the client knows of the job; every field is optional. ``extra`` keeps other names with plain values."""

    group: str | None = None
    framework: str | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    nesterov: bool | None = None
    batch_size: int | None = None
    loss_name: str | None = None
    num_classes: int | None = None
    total_steps: int | None = None
    weight_decay: float | None = None
    warmup_steps: int | None = None
    grad_clip: float | None = None
    grad_norm_is: str | None = None
    step_unit: str | None = None
    steps_per_epoch: int | None = None
    steps_per_point: int | None = None
    full_batch: bool | None = None
    precision: str | None = None
    objective: str | None = None
    layer_order: tuple[str, ...] | None = None
    expected_gap_s: float | None = None
    baseline_loss: float | None = None
    """The loss of the best constant answer."""
    facts: ModelFacts | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def merged(self, other: Context) -> Context:
        """This context with the fields that ``other`` gives laid over it; facts, tags and extras merge by name."""
        given = {
            name: value
            for name in CONTEXT_FIELDS
            if name not in ("tags", "extra") and (value := getattr(other, name)) is not None
        }
        if self.facts is not None and other.facts is not None:
            given["facts"] = self.facts.merged(other.facts)
        return replace(self, **given, tags={**self.tags, **other.tags}, extra={**self.extra, **other.extra})


CONTEXT_FIELDS = tuple(Context.__dataclass_fields__)
EMPTY_CONTEXT = Context()
