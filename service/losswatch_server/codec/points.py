"""Points: one JSON object in, read by the contract's rules with every fault named; and out again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from losswatch_server.codec.encoding import number_json
from losswatch_server.codec.numbers import NumberRefusedError, read_integer, read_number
from losswatch_server.codec.problems import Problem, did_you_mean, name_problem, pointer, printable
from losswatch_server.monitor.points import MAX_STEP, SERIES, Point

MAX_LAYERS = 1024
"""A transformer of 70 billion parameters (80 blocks, 9 tensors each) has 723 tensors; an encoder-decoder a few more."""

MAX_METRICS = 256
"""What a trainer logs beside the loss is rarely more than a hundred numbers; per-class scores are."""

MAX_RANK = 2**31 - 1
FIELDS = (*("step",), *SERIES, "time", "layers", "metrics", "rank")

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:(?:[0-5]\d|60)(?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_SYNONYMS = {
    "lr": "learning_rate",
    "val_loss": "validation_loss",
    "valid_loss": "validation_loss",
    "eval_loss": "validation_loss",
    "test_loss": "validation_loss",
    "train_loss": "loss",
    "training_loss": "loss",
    "gradient_norm": "grad_norm",
    "gradnorm": "grad_norm",
    "gradients_norm": "grad_norm",
    "global_step": "step",
    "iteration": "step",
    "iter": "step",
    "steps": "step",
    "timestamp": "time",
    "epochs": "epoch",
}


def point_json(point: Point) -> dict[str, Any]:
    """The fields that were measured, as they were sent."""
    data: dict[str, Any] = {"step": point.step}
    if point.loss is None and point.loss_is_null:
        data["loss"] = None
    for name in SERIES:
        value = getattr(point, name)
        if value is not None:
            data[name] = number_json(value)
    if point.time is not None:
        data["time"] = point.time
    if point.layers:
        data["layers"] = {name: number_json(value) for name, value in point.layers.items()}
    if point.metrics:
        data["metrics"] = {name: number_json(value) for name, value in point.metrics.items()}
    if point.rank:
        data["rank"] = point.rank
    return data


def read_point(data: Any, at: tuple[str | int, ...], problems: list[Problem]) -> Point | None:
    """The point that ``data`` describes; what is wrong with it goes to ``problems``, and None comes back."""
    if not isinstance(data, dict):
        problems.append(Problem(pointer(*at), 'a point must be an object, such as {"step": 1, "loss": 0.7}'))
        return None
    before = len(problems)
    values: dict[str, Any] = {}
    for name, value in data.items():
        reader = _READERS.get(name)
        if reader is None:
            problems.append(Problem(pointer(*at, name), unknown_field(name)))
            continue
        try:
            values[name] = reader(name, value)
        except ValueError as refusal:
            problems.append(Problem(pointer(*at, name), str(refusal)))
    if "step" not in data:
        problems.append(Problem(pointer(*at), 'the point has no step; add "step": a whole number that counts up'))
    if len(problems) > before:
        return None
    return Point(**values, loss_is_null="loss" in data and values["loss"] is None)


def unknown_field(name: str) -> str:
    """What to do about a field that points do not have."""
    meant = did_you_mean(name, FIELDS, _SYNONYMS)
    if meant:
        return f'unknown field "{printable(name)}": did you mean {meant}? Free numbers go in metrics'
    return (
        f'unknown field "{printable(name)}": a point has {", ".join(FIELDS)}; '
        f'free numbers go in metrics, as in {{"metrics": {{"{printable(name, 32)}": 1.5}}}}'
    )


def valid_time(text: str) -> bool:
    """Whether ``text`` is an RFC 3339 date and time with its offset, of a day that exists."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(f"{text[:10]} {text[11:17]}00")
    except ValueError:
        return False
    return True


def _read_step(name: str, value: Any) -> int:
    return read_integer(value, name, 0, MAX_STEP)


def _read_rank(name: str, value: Any) -> int:
    return 0 if value is None else read_integer(value, name, 0, MAX_RANK)


def _read_time(name: str, value: Any) -> str | None:
    if value is None or value == "NA":
        return None
    if not isinstance(value, str):
        raise ValueError('time must be text as in RFC 3339, such as "2026-03-01T12:00:00Z"')
    if not valid_time(value):
        raise ValueError(
            f'time is "{printable(value)}"; write it as RFC 3339 with its offset, such as "2026-03-01T12:00:00Z"'
        )
    return value


def _read_layers(name: str, value: Any) -> Mapping[str, float] | None:
    return _read_named(name, value, MAX_LAYERS, '{"dense_1": 0.02}')


def _read_metrics(name: str, value: Any) -> Mapping[str, float] | None:
    return _read_named(name, value, MAX_METRICS, '{"accuracy": 0.91}')


def _read_named(name: str, value: Any, most: int, example: str) -> Mapping[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object of names and numbers, such as {example}")
    if len(value) > most:
        raise ValueError(f"{name} has {len(value)} entries; at most {most} are kept, so send fewer")
    numbers = {}
    for key, item in value.items():
        if problem := name_problem(key, f"a name in {name}"):
            raise ValueError(problem)
        number = read_number(item, f'{name} "{printable(key)}"')
        if number is not None:
            numbers[key] = number
    return numbers or None


_READERS = {
    "step": _read_step,
    **dict.fromkeys(SERIES, lambda name, value: read_number(value, name)),
    "time": _read_time,
    "layers": _read_layers,
    "metrics": _read_metrics,
    "rank": _read_rank,
}
__all__ = ["FIELDS", "MAX_LAYERS", "MAX_METRICS", "MAX_RANK", "NumberRefusedError", "point_json", "read_point"]
