"""What is wrong with a request body, place by place, and the names that may have been meant."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

MAX_PROBLEMS = 100
"""A refusal names at most so many bad places."""

MAX_NAME = 256
"""Characters in the name of a layer, a metric, a tag or a hyper-parameter."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad place: a JSON pointer (RFC 6901) into the body, and what to change."""

    pointer: str
    detail: str


class BodyRefusedError(ValueError):
    """The body is JSON, but not what was asked for. ``problems`` holds up to 100 of ``total`` bad places."""

    def __init__(self, problems: Iterable[Problem], total: int | None = None) -> None:
        self.problems = tuple(problems)[:MAX_PROBLEMS]
        self.total = len(self.problems) if total is None else total
        super().__init__("; ".join(f"{problem.pointer}: {problem.detail}" for problem in self.problems[:3]))


def pointer(*parts: str | int) -> str:
    """A JSON pointer, its parts escaped."""
    return "".join("/" + printable(str(part)).replace("~", "~0").replace("/", "~1") for part in parts)


def printable(text: str, limit: int = 64) -> str:
    """``text`` safe to show in an answer: nothing unprintable, not longer than ``limit`` characters."""
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def one_line(text: str, limit: int) -> str:
    """Text of a client as every store can keep it: one line, without U+0000 and what no UTF-8 has."""
    kept = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return " ".join(kept.split())[:limit]


def name_problem(name: str, what: str = "a name") -> str | None:
    """Why ``name`` cannot be kept as a name, or None. Control characters, NUL and lone surrogates cannot."""
    if not name:
        return f"{what} is empty; give it at least one character"
    if len(name) > MAX_NAME:
        return f"{what} has {len(name)} characters; at most {MAX_NAME} are kept, so shorten it"
    return text_problem(name, what)


def text_problem(text: str, what: str) -> str | None:
    """Why ``text`` cannot be kept, or None."""
    if text.isprintable():
        return None
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs"):
            return f"{what} contains the character U+{ord(char):04X}, which cannot be kept; remove it"
    return None


def did_you_mean(name: str, known: Iterable[str], synonyms: dict[str, str]) -> str | None:
    """The known name that ``name`` probably stands for."""
    folded = name.strip().lower().replace("-", "_").replace(" ", "_").replace("/", "_")
    known = tuple(known)
    if folded in known:
        return folded
    if folded in synonyms:
        return synonyms[folded]
    return next(iter(difflib.get_close_matches(folded, known, n=1, cutoff=0.75)), None)
