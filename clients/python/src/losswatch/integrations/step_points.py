"""What is measured of one step at different moments of it, put together into one point. Pure."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

WITHOUT_A_STEP = 128
"""So many losses before the first step, and there is none: the script forgot it, or uses another optimiser."""

Emit = Callable[[int, Dict[str, Any]], object]
"""Takes a step and what was measured at it."""


class StepPoints:
    """Losses come before or after the step that they belong to, gradients with it; one point leaves for each step.

    With accumulated gradients a step has several losses: their mean is its loss.
    """

    def __init__(self, emit: Emit, mean: Callable[[List[Any]], Any]) -> None:
        """``mean`` is that of losses as they are held, without waiting for a device."""
        self.step = 0
        """The step that is going on, or whose point still waits for a loss."""
        self.sees_losses = False
        """Whether losses are seen where they are computed: one that the script logs too is the same."""
        self._emit = emit
        self._mean = mean
        self._losses: List[Any] = []
        self._values: Dict[str, Any] = {}
        self._is_taken = False
        self._has_stepped = False
        self.lacks_steps = False
        """Whether losses come and come and the optimiser never steps: then each loss is a point of its own."""

    def seen(self, loss: Any) -> None:
        """A loss that was computed for the step that is going on."""
        self.sees_losses = True
        self.close()
        self._losses.append(loss)
        self._mind_lack()

    def stepped(self, values: Dict[str, Any]) -> None:
        """The weights were changed, with these measurements; the point leaves if its loss is there."""
        self.close()
        self.lacks_steps = False
        self._has_stepped = True
        self._values.update(values)
        self._is_taken = True
        if self._losses:
            self._leave()

    def logged(self, step: Optional[int], values: Dict[str, Any]) -> None:
        """What the script itself logs: of the step just taken, or of the one that is going on.

        A ``step`` beyond the own count is taken over (a run that resumes); one behind it counts something else.
        """
        if step is not None and step > self.step and not self._losses:
            self.step = step
        loss = values.pop("loss", None)
        if self.sees_losses and not self._is_taken:
            loss = None
        if loss is not None:
            self._losses.append(loss)
            self._mind_lack()
        if self._is_taken:
            self._values.update(values)
            self._leave()
        elif (loss is not None and not self.lacks_steps) or self.step == 0:
            self._values.update(values)
        elif values:
            self._emit(self.step - 1, values)

    def _mind_lack(self) -> None:
        """Lets losses go one by one once it is clear that no step will come."""
        if self._has_stepped or len(self._losses) < (1 if self.lacks_steps else WITHOUT_A_STEP):
            return
        self.lacks_steps = True
        losses, self._losses = self._losses, []
        for loss in losses:
            self._losses = [loss]
            self._leave()

    def close(self) -> None:
        """Lets go of a step that was taken and got no loss."""
        if self._is_taken:
            self._leave()

    def _leave(self) -> None:
        values, losses = self._values, self._losses
        if losses:
            values["loss"] = losses[0] if len(losses) == 1 else self._mean(losses)
        self._values, self._losses, self._is_taken = {}, [], False
        step, self.step = self.step, self.step + 1
        if values:
            self._emit(step, values)
