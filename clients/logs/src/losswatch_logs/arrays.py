"""Lists of numbers as Python prints them: ``losses = [0.9, 0.8]``, ``{'loss': [0.9, …]}``, NumPy's ``[0.9 0.8]``."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

from losswatch_logs.names import meaning
from losswatch_logs.numbers import NUMBER
from losswatch_logs.table import MAX_ROWS, Table

_LIST = re.compile(r"\[\s*(" + NUMBER + r"(?:[\s,]+" + NUMBER + r")+)[\s,]*\]", re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"(?:^|[\s,{(\"'])([A-Za-z_][\w ./\-]{0,60}?)[\"']?\s*[:=]\s*(?:[\w.]{0,30}\(\s*)?$")
_LEAST = 3
"""Shorter lists are shapes, sizes and betas."""


def read_lists(text: str) -> Optional[Table]:
    """The named lists of losses and what goes with them, or one list without a name; None where there is none."""
    lists: Dict[str, List[float]] = {}
    bare: List[List[float]] = []
    for found in _LIST.finditer(text):
        numbers = [float(each) for each in found[1].replace(",", " ").split()]
        name = _name(text[max(0, found.start() - 100) : found.start()])
        if name is None:
            bare.append(numbers)
        elif len(numbers) >= _LEAST and len(lists) < 200:
            lists.setdefault(name, []).extend(numbers)
    named = {name: values for name, values in lists.items() if meaning(name).kind not in ("nothing", "metric")}
    if any(meaning(name).kind == "loss" for name in named):
        longest = max(len(values) for name, values in named.items() if meaning(name).kind == "loss")
        named = {name: values for name, values in named.items() if len(values) <= longest}
        return _table(named, "python-lists")
    if not named and sum(map(len, bare)) >= _LEAST and len(bare) == 1 and len(bare[0]) * 3 > len(text) // 8:
        table = _table({"loss": bare[0]}, "numbers")
        table.notes.append("a bare list of numbers, each taken as a loss")
        return table
    return None


def longest(table: Table) -> int:
    """How many losses the lists of a table hold."""
    counts = table.counts()
    return max((count for name, count in counts.items() if meaning(name).kind == "loss"), default=0)


def _name(before: str) -> Optional[str]:
    found = _NAME.search(before)
    return found[1].strip() if found else None


def _table(lists: Dict[str, List[float]], kind: str) -> Table:
    table = Table(kind, by_epoch=any(meaning(name).held_out for name in lists))
    columns: List[Tuple[str, List[float]]] = list(lists.items())
    for place in range(min(MAX_ROWS + 1, max(map(len, lists.values())))):
        table.add({name: values[place] for name, values in columns if place < len(values)})
    return table
