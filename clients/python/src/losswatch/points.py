"""What was logged, as the service reads it: points as strict JSON, with NaN and infinities as strings."""

from __future__ import annotations

import json
import math
import operator
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from losswatch.values import read

NUMBERS = ("loss", "grad_norm", "learning_rate", "validation_loss", "epoch")
"""The fields of a point that are one number."""

FIELDS = (*NUMBERS, "time", "layers", "metrics", "rank")
MAX_STEP = 2**53 - 1
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


def number(value: float) -> Number:
    """A float as strict JSON can carry it."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def encode(step: Any, fields: Mapping[str, Any], rank: int = 0) -> Encoded:
    """One logged step as a JSON line. Waits for the device where a value is still being computed.

    What cannot be read is left out and complained about; ``None`` means "not measured" and is left out silently.
    A name that the service does not know is sent among ``metrics``, which are kept and drawn but not judged.
    """
    complaints: List[Complaint] = []
    try:
        if hasattr(step, "item"):
            step = step.item()
        index = int(step) if isinstance(step, float) and step.is_integer() else operator.index(step)
    except Exception:  # noqa: BLE001 - any object may come as a step
        index = -1
    if not 0 <= index <= MAX_STEP or isinstance(step, bool):
        sentence = f"a step must be a whole number from 0 to 2**53-1, not {step!r}; that point is left out"
        return Encoded(None, -1, (), [Complaint("step", sentence)])
    point: Dict[str, Any] = {"step": index}
    metrics: Dict[str, Number] = {}
    for name, value in fields.items():
        if value is None:
            continue
        try:
            if name in NUMBERS:
                point[name] = number(read(value))
            elif name == "layers":
                point["layers"] = {str(layer): number(read(norm)) for layer, norm in dict(value).items()}
            elif name == "metrics":
                metrics.update((str(key), number(read(item))) for key, item in dict(value).items())
            elif name == "time":
                point["time"] = value if isinstance(value, str) else value.astimezone().isoformat()
            elif name == "rank":
                rank = operator.index(value)
            else:
                metrics[name] = number(read(value))
                complaints.append(Complaint("name:" + name, _about_name(name)))
        except Exception as error:  # noqa: BLE001 - a foreign object may throw anything
            complaints.append(Complaint("value:" + name, f"{name} is left out: {error}"))
    if rank:
        point["rank"] = rank
    if metrics:
        point["metrics"] = metrics
    names = tuple(name for name in point if name != "step")
    return Encoded(dumps(point) if set(names) - {"rank"} else None, index, names, complaints)


def is_finite(line: bytes) -> bool:
    """Whether every number of an encoded point is finite (non-finite ones are its only strings besides ``time``)."""
    return not any(token in line for token in (b'"NaN"', b'"Infinity"', b'"-Infinity"'))


def encode_context(context: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[Complaint]]:
    """What the client knows of the job as plain JSON values; what is not plain is sent as its text."""
    plain: Dict[str, Any] = {}
    complaints: List[Complaint] = []
    for name, value in context.items():
        if value is None:
            continue
        try:
            plain[str(name)] = _plain(value)
        except Exception as error:  # noqa: BLE001 - a foreign object may throw anything
            complaints.append(Complaint("context:" + str(name), f"{name} is left out of the context: {error}"))
    return plain, complaints


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return number(float(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)


def _about_name(name: str) -> str:
    import difflib  # only the first point with a new name pays for it

    close = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.7)
    meant = _SHORT_NAMES.get(name) or (close[0] if close else None)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{name} is kept and drawn as a metric, but not judged{hint}"


def dumps(value: Any) -> bytes:
    """Strict, compact JSON."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
