"""Facts of a PyTorch model, its optimiser, its data and its first batches. Nothing here waits for a device.

Numbers that lie on a device are handed on as objects with ``item``, which the sender thread reads.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence, Tuple

from losswatch.facts.graph import GraphFacts, read_graph
from losswatch.values import hold

if TYPE_CHECKING:
    torch: Any
else:
    import torch

LEAST_CLIPPED = 0.01
"""Norms that are nearer to each other are of gradients that nobody clipped."""
LEAST_SAMPLES = 8
"""Of fewer samples a unit is 0 for all of them by chance."""
MOST_LABELS = 2_000_000
MOST_INPUTS = 10_000_000
"""Numbers of a data set in memory that are looked at as a whole: some hundredths of a second, once."""
SAMPLED_WEIGHTS = 4096
"""So many numbers of each tensor tell how far a step moves it."""
LEAST_SIZE = 1e-30
"""Weights that are all 0 are taken to be of this size."""
SATURATED = 0.01
"""A sigmoid within a hundredth of 0 or 1, a tanh within two of -1 or 1, passes less than 2 % of a gradient on."""

Facts = Dict[str, Any]


def of_model(model: Any, optimizer: Any) -> Facts:
    """Counts of parameters, and which layers normalise."""
    parameters = list(model.parameters())
    facts: Facts = {
        "parameters": sum(p.numel() for p in parameters),
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "normalization": _normalization(model),
    }
    if optimizer is not None:
        held = {id(p): p for group in optimizer.param_groups for p in group["params"]}
        facts["optimizer_parameters"] = sum(p.numel() for p in parameters if p.requires_grad and id(p) in held)
    return facts


def of_optimizer(optimizer: Any) -> Facts:
    """Context fields, not facts: the optimiser's name and its settings."""
    group = optimizer.param_groups[0]
    known = {name: group.get(name) for name in ("momentum", "weight_decay", "nesterov") if group.get(name)}
    return {"optimizer": type(optimizer).__name__.lower(), "learning_rate": hold(group.get("lr")), **known}


def precision(model: Any) -> Optional[str]:
    """What most parameters are kept in; what autocast computes in is seen at the first batch."""
    kinds = [str(p.dtype) for p in model.parameters()]
    names = {"torch.float32": "fp32", "torch.float64": "fp64", "torch.float16": "fp16", "torch.bfloat16": "bf16"}
    return names.get(statistics.mode(kinds)) if kinds else None


def of_loader(loader: Any) -> Facts:
    """Size, order and labels of a ``DataLoader``; whatever else is given says nothing."""
    facts: Facts = {}
    dataset = getattr(loader, "dataset", None)
    if dataset is None:
        return facts
    if hasattr(dataset, "__len__"):
        facts["dataset_size"] = len(dataset)
    sampler = _sampler(loader)
    if "Random" in sampler or sampler == "SequentialSampler":
        facts["shuffled"] = sampler != "SequentialSampler"
    tensors: Tuple[Any, ...] = getattr(dataset, "tensors", ())
    if tensors and tensors[0].device.type == "cpu" and tensors[0].numel() <= MOST_INPUTS:
        facts.update(of_inputs(tensors[0]))
    labels = _labels(dataset)
    if labels is not None:
        facts.update(of_targets(labels))
    return facts


def of_inputs(inputs: Any) -> Facts:
    """Mean, spread and largest magnitude of a batch of numbers; token ids and pixels as bytes say nothing."""
    values = inputs.detach()
    if not values.is_floating_point() or values.numel() < 2:
        return {}
    values = values.float()
    return {
        "input_mean": hold(values.mean()),
        "input_std": hold(values.std()),
        "input_max_abs": hold(values.abs().max()),
    }


def of_targets(targets: Any) -> Facts:
    """What the targets are, and how they are spread. Shares of classes are read of labels on the processor alone."""
    values = targets.detach()
    if values.is_floating_point():
        if values.numel() < 2:
            return {}
        return {
            "target_kind": "values",
            "target_mean": hold(values.float().mean()),
            "target_std": hold(values.float().std()),
        }
    facts: Facts = {"target_kind": "classes"}
    if values.device.type == "cpu" and values.dim() == 1 and 0 < values.numel() <= MOST_LABELS and values.min() >= 0:
        counts = torch.bincount(values.long())
        if counts.numel() <= 1024:
            facts["class_shares"] = [count / values.numel() for count in counts.tolist()]
    return facts


def of_loss_function(loss_fn: Any) -> Facts:
    """The loss's name and what it expects; an unknown one says its name alone."""
    name = getattr(loss_fn, "__name__", None) or type(loss_fn).__name__
    expects = {
        "CrossEntropyLoss": "logits",
        "cross_entropy": "logits",
        "NLLLoss": "log_probabilities",
        "nll_loss": "log_probabilities",
        "BCELoss": "probabilities",
        "binary_cross_entropy": "probabilities",
        "BCEWithLogitsLoss": "logits",
        "binary_cross_entropy_with_logits": "logits",
        "MSELoss": "values",
        "mse_loss": "values",
        "L1Loss": "values",
        "l1_loss": "values",
        "SmoothL1Loss": "values",
        "smooth_l1_loss": "values",
        "HuberLoss": "values",
        "huber_loss": "values",
    }.get(name)
    known = {"loss_name": name} if name.isidentifier() and name not in ("function", "Sequential") else {}
    return {**known, **({"facts": {"loss_expects": expects}} if expects else {})}


def of_graph(graph: GraphFacts, held: Optional[Iterable[Any]]) -> Facts:
    """What a loss's or an output's graph says. ``held`` are the optimiser's parameters.

    Where gradients flow to parameters that the optimiser does not hold, all that train are counted anew: layers in a
    plain list are none of the model's own.
    """
    facts: Facts = {}
    if graph.hidden_activations:
        facts["hidden_activations"] = graph.hidden_activations[:64]
    if graph.output_activation:
        facts["output_activation"] = graph.output_activation
    if graph.loss_expects:
        facts["loss_expects"] = graph.loss_expects
    if held is not None and graph.parameters:
        ids = {id(p) for p in held}
        reached = {id(p): p.numel() for p in graph.parameters if p.requires_grad}
        if any(key not in ids for key in reached):
            facts["trainable_parameters"] = sum(reached.values())
            facts["optimizer_parameters"] = sum(count for key, count in reached.items() if key in ids)
    return facts


def of_saved_targets(graph: GraphFacts) -> Facts:
    """The targets that the loss keeps for its gradient; nothing once it went backward."""
    try:
        return of_targets(graph.loss_node._saved_target)  # type: ignore[union-attr]
    except Exception:  # noqa: BLE001 - freed, or a loss that keeps none
        return {}


def of_units(output: Any) -> Facts:
    """The share of hidden units that are 0 for every sample, and of those at the end of their range."""
    graph = read_graph(output.grad_fn, is_loss=False)
    if graph is None or not graph.hidden_nodes:
        return {}
    dead: List[Any] = []
    saturated: List[Any] = []
    for node in graph.hidden_nodes:
        name = str(node.name())
        try:
            result = node._saved_result.detach()
        except Exception:  # noqa: BLE001 - this activation keeps its input, or nothing any more
            continue
        if result.dim() < 2 or result.shape[0] < LEAST_SAMPLES:
            continue
        if name.startswith("Relu"):
            unit = 1 if result.dim() > 3 else result.dim() - 1
            others = [place for place in range(result.dim()) if place != unit]
            dead.append((result <= 0).all(dim=others[0]) if len(others) == 1 else _all(result <= 0, others))
        elif name.startswith("Tanh"):
            saturated.append((result.abs() > 1 - 2 * SATURATED).float().mean())
        elif name.startswith("Sigmoid"):
            saturated.append(((result < SATURATED) | (result > 1 - SATURATED)).float().mean())
    facts: Facts = {}
    if dead:
        facts["dead_unit_share"] = hold(torch.cat(dead).float().mean())
    if saturated:
        facts["saturated_unit_share"] = hold(torch.stack(saturated).mean())
    return facts


def _all(is_off: Any, others: Sequence[int]) -> Any:
    for place in sorted(others, reverse=True):
        is_off = is_off.all(dim=place)
    return is_off


class UpdateSize:
    """How far one step moves the weights: median over the layers of the update's size relative to the weights'."""

    def __init__(self, parameters: Sequence[Any]) -> None:
        """Copies a sample of each tensor, before the step."""
        self._parameters = [p for p in parameters if p.dim() > 1]
        self._before = [_sample(p).clone() for p in self._parameters]

    def after(self) -> Optional[Any]:
        """The number, readable later; None without layers."""
        if not self._parameters:
            return None
        now = [_sample(p) for p in self._parameters]
        moved = torch._foreach_norm(torch._foreach_sub(now, self._before))
        sizes = torch._foreach_norm(self._before)
        ratios = [m.float() / s.float().clamp_min(LEAST_SIZE) for m, s in zip(moved, sizes)]
        return HeldVector(torch.stack([ratio.to(ratios[0].device) for ratio in ratios]))


class HeldVector:
    """Some numbers on a device, readable later by another thread without the training waiting."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers.detach()
        self._event = None
        if numbers.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(numbers.device))

    def tolist(self) -> List[float]:
        """Waits for the device."""
        if self._event is not None:
            self._event.synchronize()
        return [float(number) for number in self._numbers.tolist()]

    def item(self) -> float:
        """Their median."""
        return statistics.median(self.tolist())


class ClipValue:
    """The norm to which gradients were clipped, readable later: not a number where they were not."""

    def __init__(self, before: Any, after: Any) -> None:
        self._norms = HeldVector(torch.stack([before.float(), after.float().to(before.device)]))

    def item(self) -> float:
        """Waits for the device."""
        before, after = self._norms.tolist()
        return after if after < (1 - LEAST_CLIPPED) * before else math.nan


def _sample(parameter: Any) -> Any:
    return parameter.detach().reshape(-1)[:SAMPLED_WEIGHTS]


def _normalization(model: Any) -> List[str]:
    names = (type(module).__name__ for module in model.modules())
    return sorted({name for name in names if name.endswith("Norm") or "BatchNorm" in name or "InstanceNorm" in name})


def _sampler(loader: Any) -> str:
    """The class of what chooses the samples, also where Accelerate has put its own around it."""
    batches: Any = getattr(loader, "batch_sampler", None)
    while hasattr(batches, "batch_sampler"):
        batches = batches.batch_sampler
    return type(getattr(batches, "sampler", None) or getattr(loader, "sampler", None)).__name__


def _labels(dataset: Any) -> Optional[Any]:
    """The targets of a data set that has them all in memory."""
    found = getattr(dataset, "targets", None)
    if found is None:
        tensors: Tuple[Any, ...] = getattr(dataset, "tensors", ())
        found = tensors[-1] if len(tensors) > 1 else None
    if isinstance(found, list) and 0 < len(found) <= MOST_LABELS and isinstance(found[0], int):
        found = torch.tensor(found)
    return found if isinstance(found, torch.Tensor) and found.device.type == "cpu" else None
