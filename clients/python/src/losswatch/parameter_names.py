"""What people call their hyper-parameters, as the fields of a run's context: one table. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from losswatch.context import FIELDS
from losswatch.metric_names import folded

TABLE: Mapping[str, Tuple[str, ...]] = {
    "learning_rate": (
        "learning_rate",
        "lr",
        "optimizer_learning_rate",
        "opt_learning_rate",
        "base_lr",
        "init_lr",
        "eta",
    ),
    "batch_size": ("batch_size", "train_batch_size", "per_device_train_batch_size", "bs"),
    "optimizer": ("optimizer", "optim", "optimizer_name", "opt", "opt_name"),
    "momentum": ("momentum", "optimizer_momentum"),
    "weight_decay": ("weight_decay", "wd", "optimizer_weight_decay"),
    "total_steps": ("total_steps", "max_steps", "num_training_steps", "num_train_steps"),
    "warmup_steps": ("warmup_steps", "num_warmup_steps"),
    "steps_per_epoch": ("steps_per_epoch",),
    "grad_clip": ("grad_clip", "max_grad_norm", "gradient_clip_val", "clip_grad_norm", "clipnorm", "global_clipnorm"),
    "loss_name": ("loss_name", "loss_function", "loss_fn", "criterion", "loss"),
    "num_classes": ("num_classes", "n_classes", "num_labels"),
    "precision": ("precision", "mixed_precision"),
    "nesterov": ("nesterov",),
    "framework": ("framework",),
}
"""By field of the context, the names that stand for it, the best first. Every other is kept under its own name."""

_FIELDS = {name: (field, rank) for field, names in TABLE.items() for rank, name in enumerate(names)}
_TEXTS = ("optimizer", "loss_name", "precision", "framework")
_COUNTS = ("batch_size", "total_steps", "warmup_steps", "steps_per_epoch", "num_classes")
_WORDS = {"true": True, "false": False}


def as_context(parameters: Mapping[str, Any]) -> Dict[str, Any]:
    """The parameters as a context: under the names of its fields what is known by another, and all the others.

    Numbers may be text, as MLflow sends all of them. A value that a field cannot have stays a hyper-parameter, as
    ``param.learning_rate`` where its name is a field's own.
    """
    fields: Dict[str, Any] = {}
    others: Dict[str, Any] = {}
    for name, value in sorted(parameters.items(), key=lambda item: _rank(item[0])):
        field = _FIELDS.get(folded(str(name)), ("", 0))[0]
        read = _read(field, value) if field and field not in fields else None
        if read is not None:
            fields[field] = read
        if read is None or field != name:
            others[str(name)] = value
    for word, precision in (("fp16", "fp16"), ("bf16", "bf16")):
        if "precision" not in fields and str(others.get(word)).lower() == "true":
            fields["precision"] = precision
    return {**{_apart(name): value for name, value in others.items()}, **fields}


def _apart(name: str) -> str:
    """A name that is none of the context's own."""
    return f"param.{name}" if name in FIELDS or name in ("tags", "facts") else name


def _rank(name: Any) -> int:
    return _FIELDS.get(folded(str(name)), ("", 0))[1]


def _read(field: str, value: Any) -> Any:
    """The value as the field takes it; None where it cannot have it."""
    if value is None or str(value) in ("None", "", "null"):
        return None
    if field in _TEXTS:
        return value if isinstance(value, str) and len(value) <= 200 else None
    if field == "nesterov":
        return value if isinstance(value, bool) else _WORDS.get(str(value).lower())
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if isinstance(value, bool) or not 0 <= number < 1e300:
        return None
    if field in _COUNTS:
        whole: List[int] = [int(number)] if number.is_integer() and 1 <= number < 2**53 else []
        return whole[0] if whole else None
    return number
