"""Blocks of ``| name | value |`` lines: Stable-Baselines3, Spinning Up, OpenAI Baselines, rllab's tabular output."""

from __future__ import annotations

import re
from typing import Dict, Optional, Sequence, Tuple

from losswatch_logs.lines import Line
from losswatch_logs.names import meaning
from losswatch_logs.numbers import cell
from losswatch_logs.table import Mark, Table

_RULE = re.compile(r"\s*[-=+_─━╭╮╰╯├┤┼┬┴ ]{5,}\s*")
_LEAST = 4


def _pair(text: str) -> Optional[Tuple[str, str]]:
    """Name and value of a line, or None where it is none of these."""
    text = text.strip().replace("│", "|")
    if not (text.startswith("|") and text.endswith("|")) or text.count("|") != 3:
        return None
    name, value = (each.strip() for each in text[1:-1].split("|"))
    return (name, value) if any(map(str.isalpha, name)) else None


def read_boxes(lines: Sequence[Line]) -> Optional[Table]:
    """A row for each block, or None where the text has none."""
    sample = [line for line in lines if "|" in line.text or "│" in line.text]
    if len(sample) < _LEAST or sum(_pair(line.text) is not None for line in sample[:200]) * 2 < len(sample[:200]):
        return None
    table = Table("boxes")
    row: Dict[str, Optional[float]] = {}
    group, start = "", 0
    for line in lines:
        found = _pair(line.text)
        if found is None:
            if row:
                table.add(row, Mark(start))
                row, group = {}, ""
            if not _RULE.fullmatch(line.text):
                table.skip(line.number, line.text, "no line of a block of names and values")
            continue
        name, value = found[0], cell(found[1])
        if not found[1]:
            group = name if name.endswith("/") else f"{name}/"
        elif value is not None:
            start = start if row else line.number
            row[f"{group}{name}" if group else name] = value
    if row:
        table.add(row, Mark(start))
    measured = any(meaning(name).kind in ("loss", "grad_norm") for name in table.counts())
    return table if len(table.rows) > 1 and measured else None
