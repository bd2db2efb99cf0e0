"""Values of names that the contract does not know: plain ones are kept as they are."""

from __future__ import annotations

from typing import Any

from losswatch_server.codec.problems import name_problem, printable, text_problem
from losswatch_server.monitor.points import MAX_STEP

MAX_TEXT = 1024
MAX_TAGS = 64
"""Tags of a run, and values in a list."""


def read_extra(name: str, value: Any) -> Any:
    """Any plain value, or a list of plain values (the betas of an optimizer)."""
    if problem := name_problem(name, "the name of a hyper-parameter"):
        raise ValueError(problem)
    match value:
        case bool() | float():
            return value
        case int():
            return (
                value if abs(value) <= MAX_STEP else float(value) if abs(value) < 1 << 1023 else str(value)[:MAX_TEXT]
            )
        case str():
            if len(value) > MAX_TEXT:
                raise ValueError(
                    f"{printable(name)} has {len(value)} characters; at most {MAX_TEXT} are kept, so shorten it"
                )
            if problem := text_problem(value.replace("\n", " ").replace("\t", " "), printable(name)):
                raise ValueError(problem)
            return value
        case list() if len(value) <= MAX_TAGS and not any(isinstance(item, list | dict) for item in value):
            return tuple(None if item is None else read_extra(name, item) for item in value)
    raise ValueError(
        f"{printable(name)} must be a plain value (text, number, true or false) or a short list of them; "
        f'flatten an object into names such as "{printable(name, 32)}.…"'
    )
