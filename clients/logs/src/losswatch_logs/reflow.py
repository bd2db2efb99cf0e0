"""Lines as the program wrote them: dictionaries spread over lines, terminal wraps, newlines that a paste has lost."""

from __future__ import annotations

import re
from collections import Counter
from typing import List, Match, Sequence

from losswatch_logs.lines import Line

_LONGEST_RECORD = 40_000
_MOST_LINES = 80
_HEADS = re.compile(
    r"\[?\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d"  # a time stamp
    r"|\{(?=['\"]\w)"  # a dictionary
    r"|\d{1,6}/(\d{1,6}) \[(?=[=>.])"  # a bar of Keras
    r"|(?<![A-Za-z_/])(?:train epoch|epoch|step|iteration|iter|global step|ep\.)(?=[\s:=\[#]{1,3}\d)",
    re.IGNORECASE,
)
_LOSS = re.compile(r"loss|cost|xent|nll|entropy|\bppl\b", re.IGNORECASE)
_WIDTHS = frozenset(
    (72, 76, 78, 79, 80, 90, 96, 98, 99, 100, 110, 119, 120, 128, 130, 131, 132, 140, 150, 160, 180, 200, 240)
)
"""Widths that terminals, mails and forums have; lines of other lengths are as long as they are by chance."""
_LEAST_WRAPS = 4
_FEW_LINES, _LONG = 100, 400
"""In a text of more than so many lines only lines of such a length are looked at for records run together."""


def reflow(lines: Sequence[Line]) -> List[Line]:
    """The lines with records joined that were spread, and taken apart that were run together."""
    return _cut(_unwrap(_join_dictionaries(lines)))


def _join_dictionaries(lines: Sequence[Line]) -> List[Line]:
    """``{'loss': 0.5,`` and its further lines as one."""
    if not any("{" in line.text and line.text.count("{") > line.text.count("}") for line in lines):
        return list(lines)
    joined: List[Line] = []
    place = 0
    while place < len(lines):
        line = lines[place]
        depth = line.text.count("{") - line.text.count("}")
        end = place
        size = len(line.text)
        while depth > 0 and end + 1 < len(lines) and end - place < _MOST_LINES and size < _LONGEST_RECORD:
            end += 1
            depth += lines[end].text.count("{") - lines[end].text.count("}")
            size += len(lines[end].text)
        if depth == 0 and end > place:
            text = " ".join(part.text.strip() for part in lines[place : end + 1])
            joined.append(line._replace(text=text))
            place = end + 1
        else:
            joined.append(line)
            place += 1
    return joined


def _unwrap(lines: Sequence[Line]) -> List[Line]:
    """Lines that a terminal broke at its width: many lines are exactly so long, and what follows begins otherwise."""
    lengths = Counter(len(line.text) for line in lines)
    width = max(lengths, default=0)
    full = lengths[width]
    if width not in _WIDTHS or full < _LEAST_WRAPS or full * 4 < len(lines) or full * 6 > len(lines) * 5:
        return list(lines)  # too few that long; or all of them, as in a table
    heads = Counter(_head(line.text) for line, before in zip(lines[1:], lines) if len(before.text) != width)
    wrapped = [place for place, line in enumerate(lines[:-1]) if len(line.text) == width]
    heads[_head(lines[0].text)] += 1
    if sum(lines[place].text.rstrip().endswith(("|", "+")) for place in wrapped) * 2 > len(wrapped):
        return list(lines)  # a table drawn with bars
    whole = sum(lines[place].text[-1].islower() and lines[place + 1].text[0].isupper() for place in wrapped)
    if whole * 2 > len(wrapped):
        return list(lines)
    if sum(heads[_head(lines[place + 1].text)] > 0 for place in wrapped) * 4 > len(wrapped):
        return list(lines)
    joined: List[Line] = []
    going_on = False
    for line in lines:
        if going_on and len(joined[-1].text) < _LONGEST_RECORD:
            joined[-1] = joined[-1]._replace(text=joined[-1].text + line.text)
        else:
            joined.append(line)
        going_on = len(line.text) == width
    return joined


def _head(text: str) -> str:
    """How a line begins, whatever its numbers are."""
    return re.sub(r"\d+", "0", text[:16])[:5]


def _cut(lines: Sequence[Line]) -> List[Line]:
    """A line that holds three or more records, each with a loss, as so many lines."""
    least = 60 if len(lines) <= _FEW_LINES else _LONG
    if not any(len(line.text) > least and len(_LOSS.findall(line.text, 0, 4000)) >= 3 for line in lines):
        return list(lines)
    cut: List[Line] = []
    for line in lines:
        cut.extend(line._replace(text=record) for record in _records(line.text))
    return cut


def _records(text: str) -> List[str]:
    if len(text) <= 60 or len(_LOSS.findall(text, 0, 4000)) < 3:
        return [text]
    kinds = Counter(_kind(found[0]) for found in _HEADS.finditer(text, 0, 200_000))
    for kind in ("time", "{", "bar", *(name for name, _ in kinds.most_common())):
        if kinds.get(kind, 0) < 3:
            continue
        starts = [_start(found) for found in _HEADS.finditer(text) if _kind(found[0]) == kind]
        records = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)])]
        if sum(_LOSS.search(record) is not None for record in records) * 5 >= 4 * len(records):
            return ([text[: starts[0]]] if text[: starts[0]].strip() else []) + records
    return [text]


def _start(found: Match[str]) -> int:
    """Where a record begins. The count of a bar has no more digits than its total: 0.228910/19 is 0.2289 and 10/19."""
    if found[1] is None:
        return found.start()
    return max(found.start(), found.start(1) - 1 - len(found[1]))


def _kind(head: str) -> str:
    if head == "{":
        return head
    if head.endswith("["):
        return "bar"
    return "time" if head.lstrip("[")[:1].isdigit() else head.lower()
