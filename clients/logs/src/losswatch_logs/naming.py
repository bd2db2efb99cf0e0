"""The name that ends a piece of text: of ``step 3 | train loss:`` the "train loss"."""

from __future__ import annotations

import re
from typing import List, Optional

from losswatch_logs.names import NOTHING, meaning

_LEVELS = frozenset(["info", "debug", "warning", "warn", "error", "notice", "trace", "critical"])
_COMPLETING = frozenset(["rate", "entropy", "likelihood", "error"])
"""Words that mean a series with the word before them alone."""
_SEPARATORS = re.compile(r"[|,;{}()\[\]<>\"`]|'(?!s\s)|\.\s|\s[-–—~*]+(?=\s)|[:=]|->|=>|→|：|，|。|、")
_STOP = frozenset(
    [
        "is",
        "was",
        "are",
        "of",
        "at",
        "the",
        "a",
        "an",
        "with",
        "and",
        "or",
        "to",
        "from",
        "by",
        "for",
        "in",
        "on",
        "so",
        "now",
        "got",
        "reached",
        "became",
        "equals",
        "after",
        "epoch",
        "step",
        "iter",
        "done",
    ]
)
_LONGEST_NAME = 80


def name_at_end(text: str, explicit: bool, *, following: bool) -> Optional[str]:
    """The name that ends ``text``: the whole words back to the last separator; None for none, or prose."""
    text = text.rstrip(" :=：→>\t\"'`*").rstrip()
    if text.endswith("-") and text[-2:-1].isalpha():
        text = text[:-1]  # Epoch-3 Loss-0.5
    if text.endswith(("-", "–")) and not explicit:
        return None
    pieces = _SEPARATORS.split(text)
    last = pieces[-1].strip(" \"'*-–~.#!")
    if not last and pieces[-1].strip() == "#":
        last = "#"
    found = [word for word in last.split(" ") if word]
    if found and found[-1].lower() in ("is", "was", "are", "at", "of", "="):
        found = found[:-1]
    if not found:
        return None
    if following and len(pieces) == 1 and len(found) > 1 and ("/" in found[0] or text[:1].isalpha()):
        found = found[1:]  # the unit of the number before: samples/sec, 1.2s
    while len(found) > 1 and (found[0].lower() in _STOP or found[0].lower() in _LEVELS or not found[0][0].isalnum()):
        found = found[1:]
    if explicit and len(found) <= 6:
        name = " ".join(found)
        if len(name) <= _LONGEST_NAME and (name[0].isalpha() or name[0] in "_#<"):
            tail = _known_tail(found)
            if meaning(name).kind in (NOTHING, "metric") and tail and len(found) > 3:
                return tail
            if len(found) > 2 and "_" in found[-1] and meaning(found[-1]).kind == "loss":
                return found[-1]  # "saved the weights loss_A: 0.2"
            return name
        return None
    return _known_tail(found)


def _known_tail(found: List[str]) -> Optional[str]:
    """The longest run of words at the end that means a series; in running text nothing else counts as a name."""
    best: Optional[str] = None
    if meaning(found[-1]).kind in (NOTHING, "metric") and found[-1].lower() not in _COMPLETING:
        return None
    for length in range(1, min(4, len(found)) + 1):
        if found[-length].lower() in _STOP and best is not None:
            break
        name = " ".join(found[-length:])
        said = meaning(name)
        if said.kind in (NOTHING, "metric"):
            if best is None and length < 3:
                continue
            if said.kind == NOTHING and best is not None and said.split == meaning(best).split:
                return None if meaning(best).kind == "loss" else best  # "loss scale", "best loss"
            break
        best = name
    return best
