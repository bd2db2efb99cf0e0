"""What was logged, as the service reads it: points as strict JSON, with NaN and infinities as strings."""

from __future__ import annotations

import json
import math
import operator
from functools import lru_cache
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from losswatch.limits import Limits, cut_layers, cut_metrics
from losswatch.names import meant, plain, says_how_good
from losswatch.values import read

NUMBERS = ("loss", "grad_norm", "learning_rate", "validation_loss", "epoch")
"""The fields of a point that are one number."""

FIELDS = (*NUMBERS, "time", "layers", "metrics", "rank")
MAX_STEP = 2**53 - 1
NAMELESS = ""
"""Stands for the name of a value that was given without one."""

WIDEST = Limits()
_NAMELESS_SENTENCE = "a value without a name is left out; say what it is, as in log(step, loss=0.7)"
_KEPT = "the first, the last, the extremes, and a summary of all among the metrics (layers.…)"
_BOTH = ("loss", "grad_norm")
_SHORT_NAMES = {"lr": "learning_rate", "val_loss": "validation_loss", "gradient_norm": "grad_norm"}

Number = Union[float, str]


class Complaint(NamedTuple):
    """Something that was logged and could not be sent as it was. ``key`` tells complaints of one kind together."""

    key: str
    sentence: str


class Encoded(NamedTuple):
    """A point as JSON, or None where nothing was measured or nothing of it can be sent."""

    line: Optional[bytes]
    step: int
    names: Tuple[str, ...]
    complaints: List[Complaint]
    loss: Optional[Number] = None


def number(value: float) -> Number:
    """A float as strict JSON can carry it."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def encode(step: Any, fields: Mapping[str, Any], rank: int = 0, limits: Limits = WIDEST) -> Encoded:
    """One logged step as a JSON line. Waits for the device where a value is still being computed.

    What cannot be read is left out and complained about; ``None`` means "not measured" and is left out silently.
    A name that the service does not know is sent among ``metrics``, which are kept and drawn but not judged. What goes
    beyond ``limits`` is cut: never the point.
    """
    index = _step(step)
    if index < 0:
        sentence = f"a step must be a whole number from 0 to 2**53-1, not {_shown(step)}; that point is left out"
        return Encoded(None, -1, (), [Complaint("step", sentence)])
    taken = _Fields(index, rank)
    for name, value in fields.items():
        if value is None:
            continue
        try:
            taken.take(name, value)
        except Exception as error:  # noqa: BLE001 - a foreign object may throw anything
            taken.complaints.append(Complaint("value:" + name, f"{_shown(name)} is left out: {error}"))
    point = taken.finished(limits)
    names = tuple(name for name in point if name != "step")
    return Encoded(dumps(point) if set(names) - {"rank"} else None, index, names, taken.complaints, point.get("loss"))


def encode_entry(
    step: Any, loss: Any, grad_norm: Any, others: Optional[Mapping[str, Any]], rank: int, limits: Limits
) -> Encoded:
    """`encode` of a point whose two most common numbers stand by themselves; mostly they are all there is."""
    usual = None if others or rank else encode_plain(step, loss, grad_norm)
    return usual or encode(step, {"loss": loss, "grad_norm": grad_norm, **(others or {})}, rank, limits)


def encode_plain(step: Any, loss: Any, grad_norm: Any) -> Optional[Encoded]:
    """What `encode` makes of a loss and a gradient norm, where nothing is odd about them: in a third of its time."""
    if type(step) is not int or type(loss) is not float or not (0 <= step <= MAX_STEP and math.isfinite(loss)):
        return None
    if grad_norm is None:
        return Encoded(b'{"step":%d,"loss":%a}' % (step, loss), step, ("loss",), [], loss)
    if type(grad_norm) is not float or not math.isfinite(grad_norm):
        return None
    return Encoded(b'{"step":%d,"loss":%a,"grad_norm":%a}' % (step, loss, grad_norm), step, _BOTH, [], loss)


class _Fields:
    """The fields of one point while they are read."""

    def __init__(self, step: int, rank: int) -> None:
        self.point: Dict[str, Any] = {"step": step}
        self.rank = rank
        self.metrics: Dict[str, float] = {}
        self.layers: Dict[str, float] = {}
        self.complaints: List[Complaint] = []

    def take(self, name: str, value: Any) -> None:
        """One field; whatever its value raises is for the caller."""
        if name in NUMBERS:
            self.point[name] = number(read(value))
        elif name == "layers":
            self.layers = _numbers(name, value, self.complaints)
        elif name == "metrics":
            self.metrics.update(_numbers(name, value, self.complaints))
        elif name == "time":
            self.point["time"] = value if isinstance(value, str) else value.astimezone().isoformat()
        elif name == "rank":
            self.rank = operator.index(value)
        elif name == NAMELESS:
            self.complaints.append(Complaint(name, _NAMELESS_SENTENCE))
        else:
            self.metrics[_plain_name(name, "metrics", self.complaints)] = read(value)
            if not says_how_good(name):
                self.complaints.append(_about_name(name))

    def finished(self, limits: Limits) -> Dict[str, Any]:
        """The point, with as many layers and metrics as there may be."""
        if self.rank:
            self.point["rank"] = self.rank
        metrics = self.metrics
        summary: Dict[str, float] = {}
        if self.layers:
            layers, summary = cut_layers(self.layers, limits.layers)
            self.point["layers"] = {name: number(value) for name, value in layers.items()}
        if summary:
            sentence = f"of {int(summary['layers.count'])} layers {limits.layers} are sent: {_KEPT}"
            self.complaints.append(Complaint("layers", sentence))
        if len(metrics) + len(summary) > limits.metrics:
            sentence = f"of {len(metrics)} metrics the first {limits.metrics - len(summary)} are sent"
            self.complaints.append(Complaint("metrics", sentence))
            metrics = cut_metrics(metrics, limits.metrics - len(summary))
        metrics.update(summary)
        if metrics:
            self.point["metrics"] = {name: number(value) for name, value in metrics.items()}
        return self.point


def _step(step: Any) -> int:
    """The step as a whole number, -1 for what is none."""
    try:
        if hasattr(step, "item"):
            step = step.item()
        if isinstance(step, bool):
            return -1
        index = int(step) if isinstance(step, float) and step.is_integer() else operator.index(step)
    except Exception:  # noqa: BLE001 - any object may come as a step
        return -1
    return index if 0 <= index <= MAX_STEP else -1


def _numbers(field: str, value: Any, complaints: List[Complaint]) -> Dict[str, float]:
    """The numbers of ``layers`` or ``metrics``; one that cannot be read is left out alone."""
    numbers: Dict[str, float] = {}
    for name, item in dict(value).items():
        if item is None:
            continue
        try:
            numbers[_plain_name(name, field, complaints)] = read(item)
        except Exception as error:  # noqa: BLE001 - a foreign object may throw anything
            complaints.append(Complaint("value:" + field, f"{_shown(name)} is left out of {field}: {error}"))
    return numbers


def _plain_name(name: Any, field: str, complaints: List[Complaint]) -> str:
    kept = plain(name)
    if kept != str(name):
        sentence = f"a name in {field} is too long or cannot be printed; it is reported as {_shown(kept)}"
        complaints.append(Complaint("names:" + field, sentence))
    return kept


def _shown(value: Any) -> str:
    """For a sentence: whatever it is, in a few words."""
    try:
        text = repr(value) if not isinstance(value, str) else value
    except Exception:  # noqa: BLE001 - a foreign object may throw anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:59] + "…"


def is_finite(line: bytes) -> bool:
    """Whether every number of an encoded point is finite (non-finite ones are its only strings besides ``time``)."""
    return not any(token in line for token in (b'"NaN"', b'"Infinity"', b'"-Infinity"'))


@lru_cache(maxsize=1024)
def _about_name(name: str) -> Complaint:
    field = meant(name, (*FIELDS, "accuracy", "val_accuracy"), _SHORT_NAMES)
    sentence = f"{_shown(name)} is kept and drawn as a metric, but not judged"
    return Complaint("name:" + field, f"{sentence}; did you mean {field}?") if field else Complaint("name", sentence)


def dumps(value: Any) -> bytes:
    """Strict, compact JSON."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
