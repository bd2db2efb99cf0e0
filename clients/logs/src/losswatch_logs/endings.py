"""What a log says in words of a loss that is not finite: "Model diverged with loss = NaN." ends many a training."""

from __future__ import annotations

import math
import re
from typing import List, NamedTuple, Optional, Sequence

from losswatch_logs.result import MAX_QUOTE, Doubt, LogPoint

_NOT_FINITE = r"(?:infinite or )?(?:nan|inf|infinite|infinity|non-?finite|not finite)\b"
_SAID = re.compile(
    r"\bloss(?:es)?\b[^\n]{0,24}?(?:\b(?:is|was|are|became|becomes?|went|turned|exploded)\b|[=:])\s*(?:to\s+|an?\s+)?"
    + _NOT_FINITE
    + r"|\bdiverged with loss\b|\breturned nan values\b|\bnan or inf found in input tensor\b"
    r"|\b(?:found|detected|encountered)\s+(?:an?\s+)?" + _NOT_FINITE + r"[^\n]{0,24}\b(?:loss|gradients?)\b"
    r"|\b"
    + _NOT_FINITE
    + r"[^\n]{0,12}\b(?:loss|gradients?)\b[^\n]{0,12}\b(?:found|detected|encountered|abort\w*|stop\w*|exit\w*)",
    re.IGNORECASE,
)
_OF_ANOTHER_THING = re.compile(
    r"(?:best|min|minimum|lowest|smallest|prev|previous|initial|old|val|valid\w*|test|eval\w*)[\s_]*$", re.IGNORECASE
)


class Said(NamedTuple):
    """Where a text speaks of a loss that is not finite: the line, and what it says."""

    line: int
    text: str


def said(text: str) -> Optional[Said]:
    """The last line of a text that says so; None for a text that says nothing of the kind."""
    lower = text.lower()
    if "nan" not in lower and "inf" not in lower and "finite" not in lower:
        return None
    last = None
    for found in _SAID.finditer(text):
        if not _OF_ANOTHER_THING.search(text[max(0, found.start() - 16) : found.start()]):
            last = found
    if last is None:
        return None
    start = text.rfind("\n", 0, last.start()) + 1
    end = text.find("\n", last.end())
    return Said(text.count("\n", 0, start) + 1, text[start : end if end > 0 else len(text)].strip()[:MAX_QUOTE])


class Ended(NamedTuple):
    """The points, with one more where the log's last words are of one; what was done, or what is in doubt."""

    points: List[LogPoint]
    notes: List[str]
    doubts: List[Doubt]


def with_ending(points: Sequence[LogPoint], told: Optional[Said]) -> Ended:
    """What a text says of a loss that is not finite, where no point shows it."""
    if told is None or not points or any(_shows(point) for point in points):
        return Ended(list(points), [], [])
    last = points[-1]
    if last.line and last.line <= told.line:
        ending = LogPoint(last.step + 1, math.nan, attempt=last.attempt, line=told.line)
        note = f"line {told.line} says that the loss is not finite ({told.text[:80]!r}): read as the next step"
        return Ended([*points, ending], [note], [])
    doubt = Doubt(
        f"line {told.line} says that a loss is not finite, and no point shows it: {told.text[:80]!r}", serious=True
    )
    return Ended(list(points), [], [doubt])


def _shows(point: LogPoint) -> bool:
    values = (point.loss, point.grad_norm, point.validation_loss)
    return any(value is not None and not math.isfinite(value) for value in values)
