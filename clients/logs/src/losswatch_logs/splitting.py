"""A line as text and numbers by turns: ``step 10 loss 0.5`` is "step ", "10", " loss ", "0.5", ""."""

from __future__ import annotations

import re
from typing import List

from losswatch_logs.numbers import spelled_out

_NUMBER = re.compile(
    r"(?=[-+.\dni])(?:(?<![\w.@$])(?<![A-Za-z_\])]-)(?<![A-Za-z]/)"
    r"|(?=[.\d])(?:(?<=epoch)|(?<=epoch[_-])|(?<=step)|(?<=step[_-])|(?<=iter)|(?<=iter[_-])|(?<=rank)|(?<=\bep)|(?:(?<=loss)|(?<=loss-))(?=\d+\.\d)))"
    r"([-+]?(?:(?<![\[(\d])[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?!\d|,\d)|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
    r"|(?:nan|inf(?:inity)?)(?![\w(])))",
    re.IGNORECASE | re.ASCII,
)
_BAR = re.compile(r"[\u2500-\u259f]+|(?<=[\[|])[#=>.\-* ]{4,}(?=[\]|])|(?<=[\[|])[#=>.\-*]{1,3}(?=[\]|])")
_COLUMNS = re.compile(r"(?<=[^\s\[(:=|,])(?: {2,}|\s*\t\s*)(?=[A-Za-z])")
_SET_COUNTED = re.compile(r"\b(train|val|valid|test|eval)-(?=\d+ (?:epoch|step|iter))", re.IGNORECASE)
_PAIR = re.compile(r"\[\s*(\d+/\d+)\s*[:,| ]\s*(\d+/\d+)\s*\]")
"""``[2/100:5/500]``: epoch and batch in one pair of brackets."""
_BOTH = re.compile(r"\bepoch/(iter|iteration|step|batch)\s?[:=]?\s*(\d+)/(\d+)", re.IGNORECASE)
"""``epoch/iter: 20/5399``: two counters, not one of a total."""


def split_numbers(line: str) -> List[str]:
    """Text, number, text, number, …, text."""
    if "#" in line or "nanxx" in line or "(ind)" in line or "(snan)" in line:
        line = spelled_out(line)
    if not line.isascii() or "[=" in line or "[#" in line or "[." in line or "[>" in line or "|#" in line:
        line = _BAR.sub("", line)
    if "-" in line and " " in line and _SET_COUNTED.search(line):
        line = _SET_COUNTED.sub(r"\1 ", line)
    if "/" in line and "[" in line:
        line = _PAIR.sub(r"[\1][\2]", line)
    if "poch/" in line:
        line = _BOTH.sub(r"epoch: \2 \1: \3", line)
    line = line.strip()
    if "  " in line or "\t" in line:
        line = " ".join(_COLUMNS.sub(" | ", line).split())
    return _NUMBER.split(line)
