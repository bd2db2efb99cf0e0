"""What an MLflow client sends: a JSON object, its metrics, parameters and tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from losswatch.names import printable
from losswatch_server.api.http.body import POINTS_LIMIT, read_as
from losswatch_server.codec.bodies import parse_json
from losswatch_server.codec.numbers import NumberRefusedError, read_number
from losswatch_server.compat.mlflow.errors import invalid
from losswatch_server.compat.series import Logged

PREFIX = "/api/2.0/mlflow"


async def fields(request: Request) -> Mapping[str, Any]:
    """The body, an object. Raises what ``read_as`` raises, and ProblemError for another kind of JSON."""
    value = await read_as(request, POINTS_LIMIT, parse_json)
    if not isinstance(value, dict):
        raise invalid("The body must be a JSON object.")
    return value


def texts(body: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, or of numbers as such, empty where it is missing."""
    found = body.get(name) or []
    if not isinstance(found, list):
        raise invalid(f"{name} must be a list.")
    return [str(item) for item in found]


def items(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of objects, empty where it is missing."""
    found = body.get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise invalid(f"{name} must be a list of objects.")
    return found


def metric(item: Mapping[str, Any]) -> Logged:
    """One metric: ``{"key": "loss", "value": "NaN", "timestamp": 1700000000000, "step": 7}``."""
    name = item.get("key") or item.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("A metric needs a key.")
    try:
        value = read_number(_unquoted(item.get("value", 0.0)), f"metric {printable(name)[:64]}")
    except NumberRefusedError as refusal:
        raise invalid(str(refusal)) from refusal
    if value is None:
        raise invalid(f"Metric {printable(name)[:64]} has no value.")
    return Logged(name, value, _integer(item.get("step", 0)), _integer(item.get("timestamp")))


def _unquoted(value: Any) -> Any:
    """A number that is written as text, as protobuf's JSON may."""
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*", value):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _integer(value: Any) -> int | None:
    """An integer, which protobuf's JSON may write as text; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def pairs(found: list[Mapping[str, Any]]) -> dict[str, str]:
    """``[{"key": …, "value": …}]`` as a dictionary of texts."""
    return {
        str(item["key"]): "" if item.get("value") is None else str(item["value"]) for item in found if item.get("key")
    }


def parameters(found: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The same with numbers and truth values as such."""
    return {name: _as_number(value) for name, value in pairs(found).items()}


def _as_number(text: str) -> Any:
    """A parameter that is a number or a truth value, as such: MLflow's clients send every one as text."""
    if text in ("True", "False"):
        return text == "True"
    if re.fullmatch(r"[-+]?\d{1,15}", text):
        return int(text)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?", text):
        return float(text)
    return text
