"""The same checks for a Keras 3 model on the torch backend, where a model is a module and its graph that of autograd.

What Keras does in its own way is put into the terms of PyTorch here: copies, its optimisers, its losses, its layers.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Tuple

from losswatch.checks.report import Preflight
from losswatch.checks.torch import check_trial
from losswatch.checks.trial import Trial
from losswatch.facts import keras as facts_of
from losswatch.facts.graph import GraphFacts, read_graph

if TYPE_CHECKING:
    keras: Any
    torch: Any
else:
    import keras
    import torch

_LOSS_NAMES = {
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "mean_squared_error": "mse",
    "mse": "mse",
    "mean_absolute_error": "l1",
    "mae": "l1",
}


def preflight(model: Any, loss_fn: Any, batch: Any, optimizer: Any = None, *, seconds: float = 30.0) -> Preflight:
    """See `losswatch.preflight`. Loss and optimiser are those that the model was compiled with, where none is given.

    Raises ValueError for another backend, and for a model without one loss.
    """
    backend = keras.backend.backend()
    if backend != "torch":
        raise ValueError(f"a preflight of a Keras model takes the torch backend (KERAS_BACKEND=torch), not {backend}")
    loss_fn = loss_fn if loss_fn is not None else getattr(model, "loss", None)
    if loss_fn is None or isinstance(loss_fn, (dict, list, tuple)):
        raise ValueError("a preflight takes a model with one loss: compile it, or give the loss")
    optimizer = optimizer if optimizer is not None else getattr(model, "optimizer", None)
    return check_trial(_KerasTrial(model, loss_fn, batch, optimizer, seconds))


class _KerasTrial(Trial):
    """``batch`` is ``(inputs, targets)``, arrays or tensors."""

    def __init__(self, model: Any, loss_fn: Any, batch: Any, optimizer: Any, seconds: float) -> None:
        x, y = (keras.ops.convert_to_tensor(part) for part in batch)
        if not model.built:
            model(x[:1])
        self._copy: Any = None
        self._given_loss = loss_fn
        self._loss = keras.losses.get(loss_fn)
        self._keras_optimizer = None if optimizer is None else keras.optimizers.get(optimizer)
        held = None if self._keras_optimizer is None else _Steps(model, self._keras_optimizer)
        super().__init__(model, lambda output, targets: self._loss(targets, output), (x, y), held, seconds)

    def copy(self) -> Any:
        """One copy for all checks, which take turns: Keras makes one by writing the model down and reading it."""
        if self._copy is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the optimiser, which is not what is copied
                self._copy = copy.deepcopy(self.model)
        self._copy.set_weights(self.model.get_weights())
        self._copy.zero_grad()
        return self._copy

    def pairs(self, model: Any) -> Iterable[Tuple[str, Any, Any]]:
        pairs = zip(self.model.trainable_variables, model.trainable_variables)
        return ((original.path, original.value, copied.value) for original, copied in pairs)

    def output(self, model: Any, inputs: Any = None) -> Any:
        return model(self.batch[0] if inputs is None else inputs, training=model.training)

    def facts(self) -> Dict[str, Any]:
        known = facts_of.of_model(_Compiled(self.model, self._given_loss))
        if self._keras_optimizer is not None:
            known["optimizer_parameters"] = known["trainable_parameters"]
        return known

    def graph(self, loss: Any) -> Optional[GraphFacts]:
        """The graph's leaves; of activations and loss what Keras itself says, which spells its losses out in parts."""
        found = read_graph(loss.grad_fn, is_loss=True)
        if found is None:
            return None
        known = self.facts()
        found.hidden_activations = known.get("hidden_activations")
        found.output_activation = known.get("output_activation")
        found.loss_expects = known.get("loss_expects")
        found.loss_name = _LOSS_NAMES.get(facts_of.loss_name(self._given_loss) or "")
        return found

    def optimizer_of(self, model: Any, rate: Optional[float] = None, kind: Any = None) -> Optional[Any]:
        if not model.trainable_variables:
            return None
        if kind is not None or self._keras_optimizer is None:
            held = [variable.value for variable in model.trainable_variables]
            return (kind or torch.optim.Adam)(held, lr=rate if rate is not None else 1e-3)
        settings = {**self._keras_optimizer.get_config(), "learning_rate": _rate(self._keras_optimizer)}
        if rate is not None:
            settings["learning_rate"] = rate
        return _Steps(model, type(self._keras_optimizer).from_config(settings))


class _Compiled:
    """A model with the loss that is to be tried, which need not be the one it was compiled with."""

    def __init__(self, model: Any, loss: Any) -> None:
        self._model = model
        self.loss = loss

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _Steps:
    """A Keras optimiser with the calls of one of PyTorch."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        self._model = model
        self._optimizer = optimizer
        self._held = list(model.trainable_variables)
        group = {"params": [variable.value for variable in self._held], "lr": _rate(optimizer)}
        self.param_groups: List[Dict[str, Any]] = [group]

    def zero_grad(self) -> None:
        self._model.zero_grad()

    def step(self) -> None:
        self._optimizer.learning_rate = self.param_groups[0]["lr"]
        pairs = [(variable.value.grad, variable) for variable in self._held if variable.value.grad is not None]
        with torch.no_grad():
            self._optimizer.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])


def _rate(optimizer: Any) -> float:
    """The rate at the start: of a schedule its first."""
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
