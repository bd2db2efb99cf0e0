"""Facts of a Keras model as it was compiled: its layers, its end, its loss, its optimiser. No tensor is read."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional

_WEIGHTED = (
    "Dense",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "SeparableConv2D",
    "DepthwiseConv2D",
    "Conv2DTranspose",
    "EinsumDense",
)
_ACTIVATION_LAYERS = ("ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Activation")
_EXPECTS = {
    "categorical_crossentropy": "probabilities",
    "sparse_categorical_crossentropy": "probabilities",
    "binary_crossentropy": "probabilities",
    "mean_squared_error": "values",
    "mse": "values",
    "mean_absolute_error": "values",
    "mae": "values",
    "huber": "values",
    "log_cosh": "values",
}


def of_model(model: Any) -> Dict[str, Any]:
    """``context.facts`` of a compiled and built model; what it does not say is left out."""
    kinds = {type(layer).__name__ for layer in layers(model)}
    facts: Dict[str, Any] = {
        "parameters": int(model.count_params()),
        "trainable_parameters": sum(_size(variable) for variable in model.trainable_variables),
        "normalization": sorted(kind for kind in kinds if kind.endswith("Normalization")),
    }
    activations = [name for name in _activations(model) if name]
    if activations:
        facts["output_activation"] = activations[-1]
        if len(activations) > 1:
            facts["hidden_activations"] = activations[:-1][:64]
    expects = loss_expects(model.loss)
    if expects:
        facts["loss_expects"] = expects
    return facts


def loss_name(loss: Any) -> Optional[str]:
    """A compiled loss's name, as Keras spells its functions."""
    if isinstance(loss, str):
        return loss
    name = getattr(loss, "name", None) or getattr(loss, "__name__", None)
    return str(name) if name else None


def loss_expects(loss: Any) -> Optional[str]:
    """``probabilities``, ``logits`` (``from_logits=True``) or ``values``."""
    name = (loss_name(loss) or "").lower().replace("categoricalcrossentropy", "categorical_crossentropy")
    expects = _EXPECTS.get(name)
    config = getattr(loss, "_fn_kwargs", None) or getattr(loss, "fn_kwargs", None) or {}
    from_logits = config.get("from_logits", getattr(loss, "from_logits", False))
    return "logits" if expects == "probabilities" and from_logits else expects


def layers(model: Any) -> Iterator[Any]:
    """The layers in order, those of nested models in their place."""
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from layers(layer)
        else:
            yield layer


def _activations(model: Any) -> List[Optional[str]]:
    """What follows each layer with weights: its own activation, or the layer behind it."""
    found: List[Optional[str]] = []
    for layer in layers(model):
        kind = type(layer).__name__
        if kind in _WEIGHTED:
            found.append(_name(layer))
        elif kind in _ACTIVATION_LAYERS and found and found[-1] == "linear":
            found[-1] = _name(layer) if kind == "Activation" else _spelt(kind)
    return found


def _name(layer: Any) -> Optional[str]:
    activation = getattr(layer, "activation", None)
    return str(getattr(activation, "__name__", None) or "linear") if activation is not None else "linear"


def _spelt(kind: str) -> str:
    return {"LeakyReLU": "leaky_relu"}.get(kind, kind.lower())


def _size(variable: Any) -> int:
    size = 1
    for length in variable.shape:
        size *= int(length)
    return size
