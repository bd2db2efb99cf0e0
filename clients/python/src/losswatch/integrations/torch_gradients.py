"""What is measured at a step of a PyTorch optimiser, without waiting for a device: gradient norms, learning rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from losswatch.facts.torch import HeldVector
from losswatch.values import hold

if TYPE_CHECKING:
    torch: Any
else:
    import torch


class Norms(NamedTuple):
    """Of one step, as tensors."""

    total: Any
    each: Any
    names: Tuple[str, ...]


def gradient_norms(names: Sequence[str], parameters: Sequence[Any], scale: Optional[Any]) -> Optional[Norms]:
    """The Euclidean norm of all gradients together, and of each; None where none can be told here.

    ``scale`` is what the loss was multiplied by (a tensor). Gradients that are spread over devices (FSDP, DTensor) take
    a collective to read, and sparse ones have no such norm: there is no number then.
    """
    found = [(name, p.grad) for name, p in zip(names, parameters) if p.grad is not None]
    gradients = [g for _, g in found]
    if not found or any(has_no_norm_here(g) for g in gradients):
        return None
    with torch.no_grad():  # once for all: detaching each costs as much as the norms of a small model
        norms = torch._foreach_norm(gradients)
        try:
            each = torch.stack(norms)
        except RuntimeError:  # on several devices
            each = torch.stack([norm.to(norms[0].device, torch.float32, non_blocking=True) for norm in norms])
        if each.dtype is not torch.float32:
            each = each.float()
        if scale is not None:
            each = each / scale.to(each.device)
        return Norms(torch.linalg.vector_norm(each), each, tuple([name for name, _ in found]))


def has_no_norm_here(gradient: Any) -> bool:
    """Whether it is sparse, or spread over devices."""
    if gradient.layout is not torch.strided:
        return True
    return type(gradient) is not torch.Tensor and hasattr(gradient, "full_tensor")


def total_norm(gradients: Sequence[Any]) -> Optional[Any]:
    """The Euclidean norm of all together, readable later; None of none."""
    if not gradients:
        return None
    with torch.no_grad():
        norms = torch._foreach_norm(list(gradients))
        return hold(torch.linalg.vector_norm(torch.stack(norms).float()))


class LayerNorms:
    """Layer name -> gradient norm, read later: a mapping as far as ``dict`` needs one."""

    def __init__(self, norms: Norms) -> None:
        self._names = norms.names
        self._numbers = HeldVector(norms.each)
        self._read: Optional[Dict[str, float]] = None

    def keys(self) -> List[str]:
        """The layers in the order of the model. Waits for the device."""
        return list(self._layers())

    def __getitem__(self, name: str) -> float:
        return self._layers()[name]

    def _layers(self) -> Dict[str, float]:
        if self._read is None:
            squares: Dict[str, float] = {}
            for name, norm in zip(self._names, self._numbers.tolist()):
                layer = name.rpartition(".")[0] or name
                squares[layer] = math.hypot(squares.get(layer, 0.0), norm)
            self._read = squares
        return self._read


def measured(norms: Norms, *, with_layers: bool) -> Dict[str, Any]:
    """The norms as the fields of a point."""
    values: Dict[str, Any] = {"grad_norm": hold(norms.total)}
    if with_layers:
        values["layers"] = LayerNorms(norms)
    return values


def rates(optimizer: Any) -> Dict[str, Any]:
    """The learning rate of the first group, and those of the others as metrics."""
    if optimizer is None:
        return {}
    all_rates = [group.get("lr") for group in optimizer.param_groups]
    values: Dict[str, Any] = {"learning_rate": hold(all_rates[0])}
    if len(all_rates) > 1 and len(all_rates) <= 16:
        values["metrics"] = {
            f"learning_rate_of_group_{place}": hold(rate) for place, rate in enumerate(all_rates[1:], 1)
        }
    return values
