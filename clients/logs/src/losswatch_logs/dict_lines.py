"""Console lines that hold a dictionary as Python or JSON prints it, among whatever else is on the screen.

Hugging Face's Trainer prints ``{'loss': 0.53, 'grad_norm': nan, 'learning_rate': 5e-05, 'epoch': 0.32}`` (since
version 5 with the numbers as strings) without a step, between the redrawn states of a progress bar.
"""

from __future__ import annotations

import re
from typing import Dict, Optional, Sequence

from losswatch_logs import columns, json_logs
from losswatch_logs.lines import Line
from losswatch_logs.numbers import NUMBER
from losswatch_logs.table import Table

_LONGEST = 100_000
# A key in quotes, then a number, perhaps in quotes or wrapped (tensor(0.5), np.float64(0.5)), or None.
_ITEM = re.compile(
    r"""['"]([^'"]{1,200})['"]: ?(?:[\w.]{1,40}\()?['"]?(""" + NUMBER + r"""|None|null)(?=[\s'",)}\]]|$)""",
    re.IGNORECASE | re.ASCII,
)


def read_dicts(lines: Sequence[Line]) -> Optional[Table]:
    """The rows of the lines with a dictionary, or None when none names a loss."""
    table = Table("dict-lines")
    for line in lines:
        text = line.text
        start = text.find("{")
        if start < 0 or len(text) > _LONGEST:
            reason = "no dictionary in it" if start < 0 else f"longer than {_LONGEST:,} characters"
            table.skip(line.number, text, reason)
            continue
        row = _row(text[start : text.rfind("}") + 1])
        if "train_runtime" in row:
            table.context["framework"] = "transformers"
            table.skip(line.number, text, "the summary at the end of the training, not a step")
        elif row:
            table.add(row)
        else:
            table.skip(line.number, text, "no numbers in its dictionary")
    names = table.counts()
    if not any(columns.is_loss(name) or columns.is_validation_loss(name) for name in names):
        return None
    if {"loss", "learning_rate", "epoch"} <= names.keys() and "step" not in names:
        table.context["framework"] = "transformers"
        table.notes.append("these lines carry no step: its number is the count of the logged lines")
    return table


def _row(text: str) -> Dict[str, Optional[float]]:
    found, document = json_logs.parse(text)
    if found and isinstance(document, dict):
        return json_logs.row_of(document)
    row: Dict[str, Optional[float]] = {}
    for item in _ITEM.finditer(text):
        name, value = item[1], item[2]
        if value.lower() not in ("none", "null"):
            row[name] = float(value)
        elif columns.is_loss(name):
            row[name] = None
    return row
