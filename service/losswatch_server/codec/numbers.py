"""The contract's rules for numbers in requests.

A number is a JSON number, a bare ``NaN``, ``Infinity`` or ``-Infinity``, or one of these words as a string in any
case; ``null`` and ``"NA"`` mean "not measured". ``true`` and ``"1.5"`` are not numbers.
"""

from __future__ import annotations

from typing import Any, Literal

from losswatch_server.codec.problems import printable

NOT_MEASURED = "NA"
_WORDS = {
    sign + word: sign_value * value
    for sign, sign_value in (("", 1.0), ("+", 1.0), ("-", -1.0))
    for word, value in (("nan", float("nan")), ("inf", float("inf")), ("infinity", float("inf")))
}


class NumberRefusedError(ValueError):
    """Not a number by the contract's rules; the text says what to send instead."""


def read_number(value: Any, what: str) -> float | None:
    """The number as float64, or None for "not measured". Raises NumberRefusedError with a sentence about ``what``."""
    match value:
        case bool():
            word = "true" if value else "false"
            raise NumberRefusedError(f"{what} is {word}; send a number, such as {int(value)}")
        case float() | None:
            return value
        case int():
            return as_float(value)
        case str():
            word = value.strip().lower()
            if word in _WORDS:
                return _WORDS[word]
            if word == "na":
                return None
            raise NumberRefusedError(_about_text(value, what))
    raise NumberRefusedError(_not_single(value, what) or f"{what} must be a number")


def read_integer(value: Any, what: str, low: int, high: int) -> int:
    """An integer in ``low .. high``; a float without a fraction is one. Raises NumberRefusedError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if refusal := _not_single(value, what):
        raise NumberRefusedError(refusal)
    if isinstance(value, bool) or not isinstance(value, int):
        kind: Literal["text"] | None = "text" if isinstance(value, str) else None
        without = " without quotes" if kind == "text" else ""
        raise NumberRefusedError(f"{what} must be a whole number{without}, from {low} to {high}")
    if not low <= value <= high:
        raise NumberRefusedError(f"{what} is {short(value)}; it must be from {low} to {high}")
    return value


def as_float(value: int) -> float:
    """An integer as float64; one beyond float64 is an infinity, as it is in every JSON reader that has only floats."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def short(value: int | float) -> str:
    """The number as text, in scientific form when it is long."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return "beyond 64 bits"
    return str(value)


def _not_single(value: Any, what: str) -> str | None:
    if isinstance(value, list):
        return (
            f"{what} is a list; send a single number (in R, write the JSON with auto_unbox = TRUE; "
            "of a tensor or an array with one value, send its .item())"
        )
    return f"{what} is an object; send a single number" if isinstance(value, dict) else None


def _about_text(value: str, what: str) -> str:
    try:
        float(value)
    except ValueError:
        return (
            f'{what} is the text "{printable(value)}"; send a number, or one of "NaN", "Infinity", "-Infinity", '
            f'or null or "NA" when it was not measured'
        )
    return f'{what} is the text "{printable(value)}"; send it as a number, without the quotes'
