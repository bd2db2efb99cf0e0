"""Writing strict JSON: NaN and infinities as strings, floats exactly, times as RFC 3339."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from types import NoneType
from typing import Any

import msgspec

SIGNIFICANT_DIGITS = 6
"""Evidence is rounded to these where it leaves the service: more would claim a precision that no estimate has."""

_LATEST = 253402300799.999
"""The last millisecond that RFC 3339's four-digit years can write."""

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=lambda value: plain(value)
)


exact_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""JSON in Python's own dialect, whose bare NaN and Infinity tokens keep every float64: for the store alone."""

encode_plain = msgspec.json.Encoder().encode
"""As ``dumps_plain``, but raises NOT_PLAIN for what only ``dumps`` can write."""
NOT_PLAIN = (UnicodeEncodeError, OverflowError)
"""A lone surrogate, or an integer beyond 64 bits."""
_AS_THEY_ARE = frozenset({str, int, bool, NoneType})


def dumps(value: Any) -> bytes:
    """Strict JSON in UTF-8 of plain values, mappings, sequences and numpy scalars; floats come back exactly.

    Raises TypeError for anything else.
    """
    try:
        text = _ENCODER.encode(value)
    except ValueError:  # a NaN or an infinity somewhere: rare, so the common case pays nothing for it
        text = _ENCODER.encode(plain(value))
    # A lone surrogate has no UTF-8; as the escape it came in with (\ud800) it is still strict JSON.
    return text.encode("utf-8", "backslashreplace")


def dumps_plain(value: Any) -> bytes:
    """The same for values that hold neither numpy's scalars nor numbers that are not finite, several times faster.

    What ``rounded`` made is so. A NaN in it would become null.
    """
    try:
        return encode_plain(value)
    except NOT_PLAIN:
        return dumps(value)


def plain(value: Any) -> Any:
    """``value`` with non-finite numbers as strings, tuples as lists and numpy scalars as Python's."""
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return number_json(float(value))
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"no JSON for {type(value).__name__}")
    return plain(item())


def number_json(value: float | None) -> float | str | None:
    """The number itself, or "NaN", "Infinity", "-Infinity"."""
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def rounded(value: Any) -> Any:
    """``value`` made plain, with every float in it at ``SIGNIFICANT_DIGITS``; integers stay as they are."""
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else number_json(float(value))
        case Mapping():
            return {str(name): rounded(item) for name, item in value.items()}
        case list() | tuple():
            return [rounded(item) for item in value]
    return rounded(plain(value))


def timestamp(seconds: float | None) -> str | None:
    """Unix seconds as RFC 3339 in UTC with milliseconds; never is the end of the year 9999."""
    if seconds is None:
        return None
    if seconds >= _LATEST:
        return "9999-12-31T23:59:59.999Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
