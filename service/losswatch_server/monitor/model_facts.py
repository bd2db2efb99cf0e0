"""What a client states of its model, its data and its optimiser: each fact optional, none of it the data itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """``context.facts``. A non-finite ``input_...`` or ``target_...`` says that the data hold such values."""

    parameters: int | None = None
    trainable_parameters: int | None = None
    optimizer_parameters: int | None = None
    """How many the optimiser holds."""
    hidden_activations: tuple[str, ...] | None = None
    """From the input to the output; ``linear`` for a layer without one."""
    output_activation: str | None = None
    loss_expects: str | None = None
    """``logits``, ``probabilities``, ``log_probabilities`` or ``values``."""
    input_mean: float | None = None
    input_std: float | None = None
    input_max_abs: float | None = None
    target_kind: str | None = None
    """``classes`` or ``values``."""
    target_mean: float | None = None
    target_std: float | None = None
    class_shares: tuple[float, ...] | None = None
    dataset_size: int | None = None
    shuffled: bool | None = None
    normalization: tuple[str, ...] | None = None
    initial_loss: float | None = None
    dead_unit_share: float | None = None
    saturated_unit_share: float | None = None
    update_to_weight: float | None = None
    """Median over the layers of the size of a step relative to that of the weights."""
    overfits_one_batch: bool | None = None
    loss_scale: float | None = None
    gradients_cleared: bool | None = None
    """Whether the gradients of a step are gone before those of the next one come."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ModelFacts:
        """The facts from their names and values; lists become tuples. TypeError for a name that is no fact's."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return cls(**fields)

    def merged(self, other: ModelFacts) -> ModelFacts:
        """These facts with those that ``other`` gives laid over them."""
        return replace(self, **other.given())

    def given(self) -> dict[str, Any]:
        """The facts that are known, by name, in the contract's order."""
        return {name: value for name in FACT_NAMES if (value := getattr(self, name)) is not None}


FACT_NAMES = tuple(ModelFacts.__dataclass_fields__)
