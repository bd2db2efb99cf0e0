"""Formats whose lines have to be said in other words before they can be read: one file each.

A file here defines ``FORMAT``. `losswatch_logs.formats.rewrite` tries the sign of each on a text; where it is found,
lines that match a rule are replaced by what the console reader understands ("step 9 loss 0.5"). That is all that a new
format needs; one whose lines already are names and numbers needs no file at all.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from typing import Callable, List, Match, NamedTuple, Optional, Pattern, Sequence, Tuple, Union

from losswatch_logs.lines import Line

_SIGNED_WITHIN = 400
"""The sign of a format is looked for in so many lines from the start of the text."""

Said = Union[str, Callable[[Match[str]], str]]


class Format(NamedTuple):
    """``rules``: pattern and replacement (as in ``re.sub``) of whole lines, the first that matches counts; ``note``: a
    sentence for the account of the reading; ``framework``: for the context."""

    name: str
    sign: Pattern[str]
    rules: Tuple[Tuple[Pattern[str], Said], ...]
    note: str = ""
    framework: str = ""


class Rewritten(NamedTuple):
    """The lines as the format says them."""

    format: Format
    lines: List[Line]


@lru_cache(maxsize=1)
def formats() -> Tuple[Format, ...]:
    """Every format that a file of this package defines."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").FORMAT for name in names)


def rewrite(lines: Sequence[Line]) -> Optional[Rewritten]:
    """The lines of the first format whose sign is in the text, or None."""
    head = "\n".join(line.text[:1000] for line in lines[:_SIGNED_WITHIN])
    for each in formats():
        if each.sign.search(head):
            return Rewritten(each, [_said(line, each) for line in lines])
    return None


def _said(line: Line, each: Format) -> Line:
    for pattern, replacement in each.rules:
        found = pattern.search(line.text[:4000])
        if found:
            return line._replace(text=replacement(found) if callable(replacement) else found.expand(replacement))
    return line
