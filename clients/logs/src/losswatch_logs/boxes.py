"""Blocks of ``| name | value |`` lines: Stable-Baselines3, Spinning Up, OpenAI Baselines, rllab's tabular output."""

from __future__ import annotations

import re
from typing import Dict, Optional, Sequence

from losswatch_logs.lines import Line
from losswatch_logs.names import meaning
from losswatch_logs.numbers import cell
from losswatch_logs.table import Mark, Table

_BOX = re.compile(r"\s*[|│]\s*([^|│]*?[A-Za-z][^|│]*?)\s*[|│]\s*([^|│]*?)\s*[|│]\s*")
_RULE = re.compile(r"\s*[-=+_─━╭╮╰╯├┤┼┬┴ ]{5,}\s*")
_LEAST = 4


def read_boxes(lines: Sequence[Line]) -> Optional[Table]:
    """A row for each block, or None where the text has none."""
    sample = [line for line in lines if "|" in line.text or "│" in line.text]
    if len(sample) < _LEAST or sum(_BOX.fullmatch(line.text) is not None for line in sample[:200]) * 2 < len(
        sample[:200]
    ):
        return None
    table = Table("boxes")
    row: Dict[str, Optional[float]] = {}
    group, start = "", 0
    for line in lines:
        found = _BOX.fullmatch(line.text)
        if found is None:
            if row:
                table.add(row, Mark(start))
                row, group = {}, ""
            if not _RULE.fullmatch(line.text):
                table.skip(line.number, line.text, "no line of a block of names and values")
            continue
        name, value = found[1], cell(found[2])
        if not found[2]:
            group = name if name.endswith("/") else f"{name}/"
        elif value is not None:
            start = start if row else line.number
            row[f"{group}{name}" if group else name] = value
    if row:
        table.add(row, Mark(start))
    measured = any(meaning(name).kind in ("loss", "grad_norm") for name in table.counts())
    return table if len(table.rows) > 1 and measured else None
