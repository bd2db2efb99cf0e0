"""What a graph of PyTorch's autograd says of a model: what lies between its layers, how it ends, what the loss wants.

The graph is what was computed, however the program is written: modules, functions, layers kept in a plain list.
Pure: it reads the names of its nodes and how they hang together (``grad_fn.next_functions``), and touches no tensor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

MOST_NODES = 20_000
"""A graph with more is left unread: tens of milliseconds."""

LINEAR = "linear"
_LAYERS = frozenset({"addmm", "mm", "addmv", "mv", "convolution", "linear", "mkldnn_linear"})
_ACTIVATIONS = frozenset((
    "relu", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus", "hardtanh",
    "hardswish", "hardsigmoid", "threshold", "tanh", "sigmoid", "log_sigmoid", "softmax", "safe_softmax",
    "log_softmax", "glu",
))  # fmt: skip
_BETWEEN = frozenset((
    "view", "unsafe_view", "reshape_alias", "transpose", "t", "permute", "clone", "squeeze", "unsqueeze", "expand",
    "select", "slice", "cat", "stack", "split", "split_with_sizes", "unbind", "chunk", "add", "sub", "neg", "mul",
    "div", "mean", "sum", "to_copy", "alias", "as_strided", "native_dropout", "fused_dropout", "masked_fill",
    "native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "native_layer_norm", "native_group_norm",
    "fused_rms_norm", "max_pool2_d_with_indices", "max_pool3_d_with_indices", "mkldnn_max_pool2_d", "avg_pool2_d",
    "avg_pool3_d", "adaptive_avg_pool2_d", "adaptive_max_pool2_d", "constant_pad_nd", "upsample_nearest2_d",
    "upsample_bilinear2_d", "index", "gather", "roll", "flip", "repeat",
))  # fmt: skip
"""Reshaping, adding, scaling, dropping, pooling and normalising: two layers with these alone between them are one."""

_LOSSES = {
    "nll_loss": "cross_entropy",
    "nll_loss2_d": "cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits",
    "mse_loss": "mse",
    "smooth_l1_loss": "smooth_l1",
    "huber_loss": "huber",
    "kl_div": "kl_div",
    "poisson_nll_loss": "poisson_nll",
    "soft_margin_loss": "soft_margin",
    "multi_margin_loss": "multi_margin",
}
_OF_VALUES = ("mse", "smooth_l1", "huber", "l1")


@dataclass
class GraphFacts:
    """What was read; None where the graph does not say."""

    hidden_activations: Optional[List[str]] = None
    """From the input to the output, one a layer that another follows; ``linear`` where nothing lies between them."""
    output_activation: Optional[str] = None
    loss_name: Optional[str] = None
    loss_expects: Optional[str] = None
    """``logits``, ``log_probabilities``, ``probabilities`` or ``values``."""
    loss_node: Optional[Any] = None
    divisor: Optional[float] = 1.0
    """What the loss was divided by last: the steps over which gradients are accumulated. None where it was, by a number
    that autograd does not keep any more (after ``backward``)."""
    hidden_nodes: Tuple[Any, ...] = ()
    """The nodes of the hidden activations."""
    parameters: Tuple[Any, ...] = ()
    """The leaves that gradients flow to."""


def operation(node: Any) -> str:
    """``ReluBackward0`` as ``relu``, ``LeakyReluBackward0`` as ``leaky_relu``."""
    name = re.sub(r"Backward\d*$", "", str(node.name()).rsplit("::", 1)[-1])
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def read_graph(root: Any, *, is_loss: bool) -> Optional[GraphFacts]:
    """What the graph below ``root`` says, the ``grad_fn`` of a loss or of a model's output; None when it is too large.

    Of a compiled model the graph is one node: then nothing is known of what lies inside.
    """
    if root is None:
        return None
    graph = _Graph.below(root)
    if graph is None:
        return None
    facts = GraphFacts(parameters=tuple(n.variable for n in graph.order if operation(n) == "accumulate_grad"))
    top = root
    if is_loss:
        facts.divisor = _divisor(root)
        found = _loss(graph, root)
        if found is None:
            return facts
        facts.loss_node, facts.loss_name, facts.loss_expects, top = found
    facts.output_activation = _ends_in(graph, top)
    hidden = _between_layers(graph, root)
    if hidden is not None:
        facts.hidden_activations, facts.hidden_nodes = hidden
    return facts


class _Graph:
    """The nodes below one, parents before children, with who uses each."""

    def __init__(self, order: List[Any], children: Dict[Any, List[Any]]) -> None:
        self.order = order
        self.children = children
        self.operations = {node: operation(node) for node in order}
        self.users: Dict[Any, List[Any]] = {node: [] for node in order}
        for node in order:
            for child in children[node]:
                self.users[child].append(node)

    @classmethod
    def below(cls, root: Any) -> Optional[_Graph]:
        children: Dict[Any, List[Any]] = {}
        done: List[Any] = []
        stack: List[Tuple[Any, bool]] = [(root, False)]
        while stack:
            node, is_left = stack.pop()
            if is_left:
                done.append(node)
            elif node not in children:
                children[node] = [child for child, _ in node.next_functions if child is not None]
                if len(children) > MOST_NODES:
                    return None
                stack.append((node, True))
                stack.extend((child, False) for child in children[node] if child not in children)
        return cls(done[::-1], children)


def _divisor(root: Any) -> Optional[float]:
    name = operation(root)
    if name not in ("div", "mul") or sum(child is not None for child, _ in root.next_functions) != 1:
        return 1.0
    try:
        other = root._saved_other
        if other is None or other.numel() != 1 or str(other.device) != "cpu":
            return 1.0
        value = float(other)
    except RuntimeError:  # freed by backward
        return None
    except Exception:  # noqa: BLE001 - what autograd keeps is its own, in each version
        return 1.0
    divisor = value if name == "div" else 1 / value if value else 1.0
    return divisor if divisor >= 2 and abs(divisor - round(divisor)) < 1e-6 * divisor else 1.0


_Loss = Tuple[Any, str, Optional[str], Any]


def _loss(graph: _Graph, root: Any) -> Optional[_Loss]:
    """The node of the loss, its name, what it expects, and the node that gives it that."""
    waiting, seen = [root], {root}
    while waiting:
        node = waiting.pop(0)
        name = graph.operations[node]
        inner = graph.children[node]
        below = inner[0] if inner else None
        if name in _LOSSES and below is not None:
            return _expects(graph, node, _LOSSES[name], below)
        if name in ("pow", "abs") and below is not None and graph.operations[below] == "sub":
            return node, "mse" if name == "pow" else "l1", "values", below
        if name == "log_softmax" and below is not None:
            return node, "cross_entropy", "logits", below
        if name in _LAYERS or (name in _ACTIVATIONS and node is not root):
            continue
        for child in inner:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return None


def _expects(graph: _Graph, node: Any, name: str, below: Any) -> _Loss:
    if name == "cross_entropy":
        below = _behind(graph, below)
        if graph.operations[below] == "log_softmax":
            return node, name, "logits", graph.children[below][0]
        if graph.operations[below] == "log" and graph.operations[graph.children[below][0]] == "softmax":
            return node, name, "logits", graph.children[graph.children[below][0]][0]
        return node, name, "log_probabilities", below
    if name == "binary_cross_entropy":
        return node, name, "probabilities", below
    if name == "binary_cross_entropy_with_logits":
        return node, "binary_cross_entropy", "logits", below
    return node, name, "values" if name in _OF_VALUES else None, below


def _behind(graph: _Graph, node: Any) -> Any:
    """Through what only reshapes."""
    reshapes = ("view", "unsafe_view", "reshape_alias", "transpose", "permute", "to_copy", "squeeze", "clone", "slice")
    while graph.operations[node] in reshapes and graph.children[node]:
        node = graph.children[node][0]
    return node


def _ends_in(graph: _Graph, node: Any) -> Optional[str]:
    """The activation at or below ``node``, before the last layer; None where something else comes first."""
    waiting, seen = [node], {node}
    while waiting:
        node = waiting.pop(0)
        name = graph.operations[node]
        if name in _LAYERS:
            return LINEAR
        if name in _ACTIVATIONS:
            return _spelt(name)
        if name not in _BETWEEN:
            return None
        for child in graph.children[node]:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return None


def _between_layers(graph: _Graph, root: Any) -> Optional[Tuple[List[str], Tuple[Any, ...]]]:
    """What follows each layer that another layer follows, from the input on, and the nodes of these activations."""
    layers = [node for node in reversed(graph.order) if graph.operations[node] in _LAYERS]
    behind = _over_layers(graph)
    names: List[str] = []
    nodes: List[Any] = []
    for layer in layers:
        if layer not in behind:
            continue
        followed = _followed_by(graph, layer)
        acting = [(name, node) for name, node in followed if name != LINEAR and node in behind]
        acting = acting or [(name, node) for name, node in followed if name != LINEAR]
        if acting:
            names.append(_spelt(acting[0][0]))
            nodes.append(acting[0][1])
        elif followed:
            names.append(LINEAR)
    return (names, tuple(dict.fromkeys(nodes))) if layers else None


def _over_layers(graph: _Graph) -> Set[Any]:
    """The nodes whose result goes into a layer."""
    below: Set[Any] = set()
    for node in graph.order:  # users before what they use
        if any(user in below or graph.operations[user] in _LAYERS for user in graph.users[node]):
            below.add(node)
    return below


def _followed_by(graph: _Graph, layer: Any) -> Sequence[Tuple[str, Any]]:
    """What the result of a layer meets first on each of its ways: an activation, another layer, or something else."""
    met: List[Tuple[str, Any]] = []
    waiting, seen = list(graph.users[layer]), {layer}
    while waiting:
        node = waiting.pop(0)
        if node in seen:
            continue
        seen.add(node)
        name = graph.operations[node]
        if name in _LAYERS:
            met.append((LINEAR, node))
        elif name in _BETWEEN:
            waiting.extend(graph.users[node])
        else:
            met.append((name, node))
    return met


def _spelt(name: str) -> str:
    return {"safe_softmax": "softmax", "log_sigmoid": "logsigmoid", "hardsigmoid": "hard_sigmoid"}.get(name, name)
