"""What trainers call their numbers, as the fields of a point. Pure."""

from __future__ import annotations

from typing import Any, Dict, Mapping

_LOSS = frozenset({"loss", "train_loss", "training_loss", "train_loss_step", "loss_step"})
_VALIDATION = frozenset({"val_loss", "validation_loss", "eval_loss", "valid_loss", "test_loss", "dev_loss"})
_FIELDS = {
    **dict.fromkeys(_LOSS, "loss"),
    **dict.fromkeys(_VALIDATION, "validation_loss"),
    **dict.fromkeys(("grad_norm", "gradient_norm", "train_grad_norm"), "grad_norm"),
    **dict.fromkeys(("learning_rate", "lr", "train_learning_rate", "train_lr"), "learning_rate"),
    "epoch": "epoch",
}


def field(name: str) -> str:
    """The field that a metric's name stands for, or "" for a metric of its own: ``train/loss`` is ``loss``."""
    return _FIELDS.get(name.lower().replace("/", "_").replace("-", "_").replace(".", "_"), "")


def as_point(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The values as `Run.log` takes them: known names as fields, the first of each; the others as metrics.

    What is no number (text, pictures, tables) is left out.
    """
    point: Dict[str, Any] = {}
    metrics: Dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, (bool, str, bytes, Mapping, list, tuple)) or value is None:
            continue
        known = field(str(name))
        if known and known not in point:
            point[known] = value
        else:
            metrics[str(name)] = value
    return {**point, "metrics": metrics} if metrics else point
