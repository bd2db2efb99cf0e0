"""Whether the gradients of one step are gone before the next one's come: PyTorch adds to what it finds.

Backward passes add up on purpose within a step, so what counts is a *step* whose gradients are still there when the
next pass adds its own, and that nothing clears them before the step after it. Only what the optimiser holds is looked
at: gradients of others may add up without harm.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from losswatch.facts.torch import HeldVector
from losswatch.integrations.torch_gradients import has_no_norm_here

if TYPE_CHECKING:
    torch: Any
else:
    import torch

STEPS = 3
"""Steps after which it is decided: of the two between them both have to say the same."""
SAME = 1e-3
"""Relative difference up to which a gradient is the one that was there before."""


class Clearing:
    """Looks at the first steps of one optimiser, tells ``gradients_cleared`` once, and lets go."""

    def __init__(self, optimizer: Any, tell: Callable[[Dict[str, Any]], None], guarded: Callable[..., None]) -> None:
        """``guarded`` calls a function that must not end a training; ``tell`` takes a context."""
        self._tell = tell
        self._guarded = guarded
        self._steps = 0
        self._left: Dict[int, Any] = {}
        """Of each parameter the norm of its gradient when the last step was over."""
        self._found: Dict[int, Any] = {}
        """Of each parameter the norm that the pass found that goes on; None where there was no gradient."""
        self._added: Dict[int, List[Any]] = {}
        """Of each parameter what the passes since the last step found that added to its gradient."""
        self._seen: List[List[Any]] = []
        """Of each step, for each parameter what was left and what was found."""
        held = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad and p.is_leaf]
        self._parameters = list({id(p): p for p in held[:1] + held[-1:]}.values())
        self._handles = [optimizer.register_step_post_hook(self._after_step)]
        for p in self._parameters:
            self._handles.append(p.register_hook(partial(self._in_pass, p)))
            self._handles.append(p.register_post_accumulate_grad_hook(self._after_adding))

    def remove(self) -> None:
        """Takes every hook away."""
        while self._handles:
            self._handles.pop().remove()

    def _in_pass(self, parameter: Any, gradient: Any) -> None:
        if id(parameter) in self._left:
            self._guarded(self._find, parameter)

    def _find(self, parameter: Any) -> None:
        self._found[id(parameter)] = None if parameter.grad is None else _norm(parameter.grad)

    def _after_adding(self, parameter: Any) -> None:
        """A pass that asks for a gradient without keeping it (``torch.autograd.grad``) does not come here."""
        key = id(parameter)
        if key in self._found:
            self._added.setdefault(key, []).append(self._found.pop(key))

    def _after_step(self, optimizer: Any, given: Any, named: Any) -> None:
        self._guarded(self._look)

    def _look(self) -> None:
        self._steps += 1
        added, self._added, self._found = self._added, {}, {}
        if any(norm is None for norms in added.values() for norm in norms):
            self._decide(True)
            return
        if self._steps > 1:
            self._seen.append([(self._left[key], norms) for key, norms in added.items()])
        if self._steps == STEPS:
            self._decide(_Cleared(self._seen))
            return
        here = [p for p in self._parameters if p.grad is not None and not has_no_norm_here(p.grad)]
        self._left = {id(p): _norm(p.grad) for p in here}

    def _decide(self, cleared: Any) -> None:
        self.remove()
        self._left = {}
        self._tell({"facts": {"gradients_cleared": cleared}})


class _Cleared:
    """The answer, readable later."""

    def __init__(self, steps: List[List[Any]]) -> None:
        self._steps = [[HeldVector(torch.stack([left, *norms])) for left, norms in seen] for seen in steps]

    def item(self) -> Optional[bool]:
        """Waits for the device. None where it cannot be told: no gradients, gradients of 0, or changed by hand."""
        answers = [_cleared(numbers.tolist()) for step in self._steps for numbers in step]
        if True in answers:
            return True
        return False if all(self._steps) and False in answers and None not in answers else None


def _cleared(norms: List[float]) -> Optional[bool]:
    """Of one parameter and step: the norm that was left, and those that the passes found."""
    left, *found = norms
    if not (0 < left < math.inf):
        return None
    if 0 in found:
        return True
    return False if abs(found[0] - left) <= SAME * left else None


def _norm(gradient: Any) -> Any:
    with torch.no_grad():
        return torch.linalg.vector_norm(gradient.detach()).float()
