"""What the client knows of the job, as the service takes it: what is too long is cut, what is nested is spread out."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from losswatch.names import meant, plain, printable
from losswatch.points import Complaint, number

FIELDS = (
    "group",
    "framework",
    "optimizer",
    "learning_rate",
    "momentum",
    "nesterov",
    "batch_size",
    "loss_name",
    "num_classes",
    "total_steps",
    "weight_decay",
    "warmup_steps",
    "grad_clip",
    "grad_norm_is",
    "step_unit",
    "steps_per_epoch",
    "steps_per_point",
    "full_batch",
    "precision",
    "objective",
    "layer_order",
    "expected_gap_s",
    "baseline_loss",
)
"""Names that sharpen the advice; any other is kept and shown as a hyper-parameter."""

OPTIONS = ("project", "url", "api_key", "rank", "quiet", "flush_interval", "spool_dir", "stop_on")
"""What a run takes beside its context."""

MAX_TEXT = 1024
MAX_OTHERS = 256
MAX_ITEMS = 64
MAX_LAYER_ORDER = 1024

_AS_THEY_ARE = ("tags", "facts")
_SYNONYMS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "opt": "optimizer",
    "loss_fn": "loss_name",
    "loss_function": "loss_name",
    "n_classes": "num_classes",
    "max_steps": "total_steps",
}
_WORDS_OF_THEIR_OWN = frozenset({"patch_size"})
"""Common hyper-parameters that lie within two letters of a field and mean something else."""


def encode_context(context: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[Complaint]]:
    """The context as plain JSON values; what is not plain is sent as its text, ``None`` means "not known"."""
    encoded: Dict[str, Any] = {}
    complaints: List[Complaint] = []
    others = 0
    for key, value in _spread(context):
        try:
            name = plain(key)
            if value is None:
                continue
            if name not in FIELDS and name not in _AS_THEY_ARE:
                others += 1
                if others > MAX_OTHERS:
                    sentence = f"more than {MAX_OTHERS} hyper-parameters: {name} and those after it are left out"
                    complaints.append(Complaint("context", sentence))
                    break
                field = None if name in _WORDS_OF_THEIR_OWN else meant(name, FIELDS + OPTIONS, _SYNONYMS)
                if field is not None and context.get(field) is None:
                    sentence = f"{name} is kept as a hyper-parameter and sharpens no advice; did you mean {field}?"
                    complaints.append(Complaint("context:" + name, sentence))
            encoded[name] = _plain(value, MAX_LAYER_ORDER if name == "layer_order" else MAX_ITEMS)
        except Exception as error:  # noqa: BLE001 - a foreign object may throw anything
            complaints.append(Complaint("context:" + str(key), f"{key} is left out of the context: {error}"))
    return encoded, complaints


def _spread(context: Mapping[str, Any]) -> List[Tuple[str, Any]]:
    """The entries, those of a nested mapping under names such as ``model.width``."""
    flat: List[Tuple[str, Any]] = []
    waiting = [(str(key), value, 0) for key, value in reversed(list(context.items()))]
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, Mapping) and name not in _AS_THEY_ARE and depth < 8:
            waiting.extend((f"{name}.{key}", item, depth + 1) for key, item in reversed(list(value.items())))
        else:
            flat.append((name, value))
    return flat


def _plain(value: Any, items: int = MAX_ITEMS) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return printable(value)[:MAX_TEXT]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return number(float(value))
    if isinstance(value, Mapping):
        return {plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_item(item) for item in value[:items]]
    if hasattr(value, "item"):
        return _plain(value.item())
    return printable(str(value))[:MAX_TEXT]


def _item(value: Any) -> Any:
    """A value inside a list: lists in lists go as their text."""
    encoded = _plain(value)
    return str(encoded)[:MAX_TEXT] if isinstance(encoded, (list, dict)) else encoded
