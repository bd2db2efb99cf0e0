"""A line of words and numbers as pairs: ``step 10/500 | train loss 0.53 | lr 1e-4``, ``Epoch: [3][ 40/735] loss: 0.5``.

The line is cut at its numbers; the words before a number, back to the last separator, are its name. Nothing here looks
back over the line, so the time is linear.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Dict, NamedTuple, Optional

from losswatch_logs import columns
from losswatch_logs.numbers import NUMBER

_VALUE = re.compile(rf"(?<![\w.@#])({NUMBER})(?![\w@]|\.\w|:\d|,\d\d\d\b)", re.IGNORECASE | re.ASCII)
_SEPARATORS = re.compile(r"[|,;{}()\[\]<>]|\s-+\s|:\s|=\s|\s=|\s:")
_MODE = re.compile(r"\b(Epoch|Iter)\((train|val|test)\)", re.IGNORECASE)
_HELD_OUT = re.compile(r"\b(?:" + "|".join(columns.HELD_OUT) + r")\b", re.IGNORECASE)
_TRAIN = re.compile(r"\btrain", re.IGNORECASE)
_SAMPLES = re.compile(r"/\d+ \(\d")  # [640/60000 (1%)] counts samples, not batches
BATCH = "batch"


class Words(NamedTuple):
    """The named numbers of a line, and the totals that follow a counter (``10/500``) by the counter's name."""

    values: Dict[str, float]
    totals: Dict[str, float]


def read_words(line: str) -> Words:
    """The pairs of one line. Numbers without a name are left out, but for counters in brackets and a leading one."""
    line = " ".join(line.split())
    held_out = False
    mode = _MODE.search(line)
    if mode:
        held_out = mode[2].lower() != "train"
        line = f"{line[: mode.start()]}{mode[1]}{line[mode.end() :]}"
    values: Dict[str, float] = {}
    totals: Dict[str, float] = {}
    last: Optional[str] = None  # the name of the number before, "" when it had none
    position = 0
    slashes = 0
    for match in _VALUE.finditer(line):
        gap = line[position : match.start()]
        position = match.end()
        value = float(match[1])
        if gap.strip() == "/":
            slashes += 1
            if last is not None and slashes == 1:
                totals[last] = value
            elif slashes > 1:
                totals.pop(last or "", None)  # a date: 11/24/2024
            continue
        slashes = 0
        name = _name(gap[-200:], held_out) if match.start() else None
        if name is None:
            name = _unnamed(gap, line, match, values)
        last = name
        if name and name not in values:
            values[name] = value
    if BATCH in values and BATCH not in totals and "epoch" not in map(columns.plain, values):
        del values[BATCH]
    return Words(values, {name: total for name, total in totals.items() if name in values})


@lru_cache(maxsize=4096)
def _name(gap: str, held_out: bool) -> Optional[str]:
    """The words right before a number as its name, marked where they tell of held-out data; None for none or prose."""
    name = _words_before(gap)
    return _mark_held_out(name) if name and (held_out or _of_held_out(gap, name)) else name


def _words_before(gap: str) -> Optional[str]:
    text = gap.rstrip(" ([{\"'")
    explicit = text.endswith((":", "="))
    text = text.rstrip(" :=\"'")
    pieces = _SEPARATORS.split(text)
    words = pieces[-1].strip(" \"'*-").split(" ") if pieces else []
    if words and words[-1] == "is":
        words, explicit = words[:-1], False
    words = [word for word in words if word]
    if not words:
        return None
    for length in range(min(4, len(words)), 0, -1):
        name = " ".join(words[-length:])
        if is_known(name):
            return name
    name = " ".join(words[-3:])
    if explicit and name[0].isalpha() and len(name) <= 60 and not name.lower().startswith("eta"):
        return name
    return None


def is_known(name: str) -> bool:
    """Whether a name in running text means a series; the looser endings of column names are not enough there."""
    plain = columns.plain(name)
    return plain in columns.KNOWN or (
        " " not in name and (columns.is_loss(name) or columns.is_validation_loss(name))
    )  # fmt: skip


def _unnamed(gap: str, line: str, match: re.Match[str], values: Dict[str, float]) -> str:
    """``[3][40/735]`` and a progress bar's ``40/735`` count batches; a whole number at the start counts steps."""
    after = line[match.end() : match.end() + 1]
    if match[1].isdigit() and BATCH not in values:
        if after == "/" and gap.rstrip().endswith(("[", "|")) and not _SAMPLES.match(line, match.end()):
            return BATCH
        if gap == "" and after == " ":
            return "step"
        if line.startswith("[") and match.start() == 1 and after in ",":
            return "epoch"
        if gap == ", " and list(values) == ["epoch"] and after == "]":
            return BATCH
    return ""


def _of_held_out(gap: str, name: str) -> bool:
    before = gap[: gap.rfind(name)] if name in gap else gap
    return (
        columns.is_loss(name) and _HELD_OUT.search(before) is not None and not _TRAIN.search(f"{before} {name}")
    )  # fmt: skip


def _mark_held_out(name: str) -> str:
    counters = columns.STEP + columns.EPOCH + columns.BATCH
    return name if columns.plain(name) in counters or columns.held_out(name) else f"val {name}"
