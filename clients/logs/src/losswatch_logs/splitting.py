"""A line as text and numbers by turns: ``step 10 loss 0.5`` is "step ", "10", " loss ", "0.5", ""."""

from __future__ import annotations

import re
from typing import List

from losswatch_logs.numbers import spelled_out

_NUMBER = re.compile(
    r"(?=[-+.\dni])(?:(?<![\w.@$])(?<![A-Za-z_\])]-)(?<![A-Za-z]/)"
    r"|(?=[.\d])(?:(?<=epoch)|(?<=epoch[_-])|(?<=step)|(?<=step[_-])|(?<=iter)|(?<=iter[_-])|(?<=rank)|(?<=\bep)|(?:(?<=loss)|(?<=loss-))(?=\d+\.\d)))"
    r"([-+]?(?:(?<![\[(\d])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d|,\d)|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
    r"|(?:nan|inf(?:inity)?)(?![\w(])))",
    re.IGNORECASE | re.ASCII,
)
_BAR = re.compile(r"[\u2500-\u259f]+|(?<=[\[|])[#=>.\-* ]{4,}(?=[\]|])|(?<=[\[|])[#=>.\-*]{1,3}(?=[\]|])")
_COLUMNS = re.compile(r"(?<=[^\s\[(:=|,])(?: {2,}|\s*\t\s*)(?=[A-Za-z])")
_SET_COUNTED = re.compile(r"\b(train|val|valid|test|eval)-(?=\d+ (?:epoch|step|iter))", re.IGNORECASE)


def split_numbers(line: str) -> List[str]:
    """Text, number, text, number, …, text."""
    if "#" in line or "(ind)" in line or "(snan)" in line:
        line = spelled_out(line)
    if not line.isascii() or "[=" in line or "[#" in line or "[." in line or "[>" in line or "|#" in line:
        line = _BAR.sub("", line)
    if "-" in line and " " in line and _SET_COUNTED.search(line):
        line = _SET_COUNTED.sub(r"\1 ", line)
    line = line.strip()
    if "  " in line or "\t" in line:
        line = " ".join(_COLUMNS.sub(" | ", line).split())
    return _NUMBER.split(line)
