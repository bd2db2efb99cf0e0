"""Training on copies: a model, its optimiser and one batch, as often as a check wants; the original stays as it is."""

from __future__ import annotations

import copy
import inspect
import math
import time
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Tuple

from losswatch.facts import torch as facts_of
from losswatch.facts.graph import GraphFacts, read_graph

if TYPE_CHECKING:
    torch: Any
else:
    import torch


class Trial:
    """What is to be trained. Nothing of it is changed: parameters, buffers, gradients, states of random generators."""

    def __init__(self, model: Any, loss_fn: Any, batch: Any, optimizer: Any, seconds: float) -> None:
        """``batch`` is ``(inputs, targets)``, or a mapping of what a model takes that computes its own loss."""
        self.model = model
        self.loss_fn = loss_fn
        self.batch = batch
        self.optimizer = optimizer
        self.deadline = time.monotonic() + seconds

    @property
    def inputs(self) -> Optional[Any]:
        """The first tensor of the batch."""
        items = self.batch.values() if isinstance(self.batch, Mapping) else [self.batch[0]]
        return next((item for item in items if isinstance(item, torch.Tensor)), None)

    @property
    def targets(self) -> Optional[Any]:
        """What the loss compares with."""
        found = self.batch.get("labels") if isinstance(self.batch, Mapping) else self.batch[1]
        return found if isinstance(found, torch.Tensor) else None

    def facts(self) -> Dict[str, Any]:
        """Counts of parameters, and which layers normalise."""
        return facts_of.of_model(self.model, self.optimizer)

    def graph(self, loss: Any) -> Optional[GraphFacts]:
        """What autograd's graph of the loss says of the model; None where it says nothing."""
        return read_graph(loss.grad_fn, is_loss=True)

    def is_over(self) -> bool:
        """Whether the time for all checks is used up."""
        return time.monotonic() > self.deadline

    def copy(self) -> Any:
        """The model anew, with the same weights."""
        return copy.deepcopy(self.model)

    def pairs(self, model: Any) -> Iterable[Tuple[str, Any, Any]]:
        """Each parameter: its name, itself, and its like in a copy."""
        pairs = zip(self.model.named_parameters(), model.parameters())
        return ((name, original, copied) for (name, original), copied in pairs)

    def output(self, model: Any, inputs: Any = None) -> Any:
        """What a copy makes of the batch, or of other inputs."""
        if isinstance(self.batch, Mapping):
            return model(**self.batch)
        return model(self.batch[0] if inputs is None else inputs)

    def loss(self, model: Any, output: Any) -> Any:
        """One number with a graph."""
        if isinstance(self.batch, Mapping):
            loss = output["loss"] if self.loss_fn is None else self.loss_fn(output, self.batch)
        else:
            loss = self.loss_fn(output, self.batch[1])
        return loss if loss.numel() == 1 else loss.mean()

    def optimizer_of(self, model: Any, rate: Optional[float] = None, kind: Any = None) -> Optional[Any]:
        """The same optimiser for a copy, holding what the original holds. ``kind`` and ``rate`` say another."""
        held = None
        if self.optimizer is not None:
            held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        pairs = zip(self.model.parameters(), model.parameters())
        mine = [p for original, p in pairs if p.requires_grad and (held is None or id(original) in held)]
        if not mine:
            return None
        if kind is not None or self.optimizer is None:
            return (kind or torch.optim.Adam)(mine, lr=rate if rate is not None else 1e-3)
        settings = _settings(self.optimizer)
        if rate is not None:
            settings["lr"] = rate
        return type(self.optimizer)(mine, **settings)

    def train(self, rate: Optional[float], steps: int, kind: Any = None) -> List[float]:
        """The losses of a copy that is trained on this batch alone; it ends where the loss is not finite."""
        model = self.copy()
        model.train()
        optimizer = self.optimizer_of(model, rate, kind)
        losses: List[float] = []
        for _ in range(steps):
            loss = self.loss(model, self.output(model))
            losses.append(loss.item())
            if optimizer is None or not math.isfinite(losses[-1]) or self.is_over():
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return losses

    def sweep(self, rates: List[float]) -> List[Tuple[float, float]]:
        """One step at each rate in turn, with the loss before it (Smith 2017, arXiv 1506.01186)."""
        model = self.copy()
        model.train()
        optimizer = self.optimizer_of(model, rates[0])
        curve: List[Tuple[float, float]] = []
        for rate in rates:
            loss = self.loss(model, self.output(model))
            curve.append((rate, loss.item()))
            if optimizer is None or not math.isfinite(curve[-1][1]) or self.is_over():
                break
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return curve


def _settings(optimizer: Any) -> Dict[str, Any]:
    """What an optimiser was made with, as its first group is set now."""
    taken = inspect.signature(type(optimizer).__init__).parameters
    group = optimizer.param_groups[0]
    known = {name: group.get(name, value) for name, value in optimizer.defaults.items() if name in taken}
    rate = known.get("lr")
    return {**known, **({"lr": rate.item()} if isinstance(rate, torch.Tensor) else {})}
