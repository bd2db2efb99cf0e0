"""DeepXDE: a row for each report, with the terms of the training loss and of the test loss in brackets."""

import re
from typing import Match

from losswatch_logs.formats import Format

_TERMS = r"\[([-+\d.eE, naif]+)\]"


def _sums(found: Match[str]) -> str:
    train, test = (sum(float(term) for term in found[group].split(",")) for group in (2, 3))
    return f"step {found[1]} loss: {train!r}, val loss: {test!r}"


FORMAT = Format(
    name="deepxde",
    sign=re.compile(r"^\s*Step\s+Train loss\s+Test loss", re.MULTILINE),
    rules=((re.compile(rf"^\s*(\d+)\s+{_TERMS}\s+{_TERMS}"), _sums), (re.compile("^.*$"), "")),
    note="the loss is the sum of the terms in brackets",
    framework="deepxde",
)
