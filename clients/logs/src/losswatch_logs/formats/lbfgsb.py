"""L-BFGS-B (of SciPy, and so of scikit-learn): the objective at each iterate, in Fortran's numbers."""

import re
from typing import Match

from losswatch_logs.formats import Format


def _said(found: Match[str]) -> str:
    return f"step {found[1]} loss: {found[2].upper().replace('D', 'E')}"


FORMAT = Format(
    name="l-bfgs-b",
    sign=re.compile(r"^\s*At iterate\s+\d+\s+f=", re.MULTILINE),
    rules=((re.compile(r"^\s*At iterate\s+(\d+)\s+f=\s*([-+]?[\d.]+(?:[DEde][-+]?\d+)?|NaN|Infinity)"), _said),),
    note="f is the objective of the optimizer",
)
