"""A log as rows of named numbers: what every reader gives and `assemble` turns into points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

from losswatch_logs.result import MAX_QUOTE, MAX_SKIPPED, Skipped, UnreadableLogError

MAX_ROWS = 1_000_000
"""A point costs about 200 bytes; more rows than this come from a log that should be thinned before it is sent."""

Row = Mapping[str, Optional[float]]
"""Column -> value; None is an explicit null, a column without a value is absent."""


@dataclass
class Table:
    """The rows that a reader found, in the order of the log, and what it says about them."""

    format: str
    rows: List[Row] = field(default_factory=list)
    context: Dict[str, Any] = field(default_factory=dict)
    notes: List[str] = field(default_factory=list)
    skipped: List[Skipped] = field(default_factory=list)
    skipped_lines: int = 0
    steps_per_epoch: Optional[int] = None
    by_epoch: bool = False
    """Whether a row without a step stands for a whole epoch, whatever its columns are."""

    def add(self, row: Row) -> None:
        """Append a row. Raises UnreadableLogError when there are too many."""
        if len(self.rows) >= MAX_ROWS:
            raise UnreadableLogError(
                f"The log has more than {MAX_ROWS:,} points; keep every tenth or hundredth line and send it again."
            )
        self.rows.append(row)

    def skip(self, line: int, text: str, reason: str) -> None:
        """Say that a line was not read, and why."""
        self.skipped_lines += 1
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(Skipped(line, text.strip()[:MAX_QUOTE], reason))

    def counts(self) -> Dict[str, int]:
        """How many values each column has, in the order of first appearance; nulls count."""
        counts: Dict[str, int] = {}
        for row in self.rows:
            for name in row:
                counts[name] = counts.get(name, 0) + 1
        return counts
