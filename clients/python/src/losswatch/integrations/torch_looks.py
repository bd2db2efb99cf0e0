"""What is looked at of a PyTorch training now and then: how far a step moves the weights, and what clips gradients."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from losswatch.facts.torch import ClipValue, HeldVector, UpdateSize
from losswatch.integrations.torch_gradients import Norms, gradient_norms

LOOK_AGAIN = frozenset(10**power for power in range(1, 10))
"""The steps at which it is looked again, after the first ones: once to the decade, so that it costs nothing."""


class Looks:
    """Of one optimiser. What it gives is context, with numbers that are read later."""

    def __init__(self, names: Sequence[str], parameters: Sequence[Any]) -> None:
        self._names = names
        self._parameters = parameters
        self._update: Optional[UpdateSize] = None
        """Of the step that is going on; before the first one, since the first loss."""
        self._moved: List[HeldVector] = []

    def begin(self) -> None:
        """At the first loss."""
        self._update = UpdateSize(self._parameters)

    def before_step(self, step: int, before_clip: Optional[Norms]) -> Dict[str, Any]:
        """``before_clip`` are the norms at the end of the backward pass, where they are known."""
        looks = step == 1 or step in LOOK_AGAIN
        self._update = UpdateSize(self._parameters) if looks else None
        if before_clip is None or not (step == 0 or step in LOOK_AGAIN):
            return {}
        now = gradient_norms(self._names, self._parameters, None)
        return {} if now is None else {"grad_clip": ClipValue(before_clip.total, now.total)}

    def after_step(self) -> Dict[str, Any]:
        """The facts that are known by now."""
        update, self._update = self._update, None
        moved = update.after() if update is not None else None
        if moved is None:
            return {}
        self._moved.append(moved)
        return {"update_to_weight": _Largest(tuple(self._moved))}

    @property
    def waits(self) -> bool:
        """Whether it looks at the step that is going on."""
        return self._update is not None


class _Largest:
    """Of the looks so far: a warmup begins with steps of nothing, and a model that died ends with them."""

    def __init__(self, looks: Sequence[HeldVector]) -> None:
        self._looks = looks

    def item(self) -> float:
        """Waits for the device."""
        return max(look.item() for look in self._looks)
