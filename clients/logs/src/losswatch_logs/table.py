"""A log as rows of named numbers: what every reader gives and `points` turns into points."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from losswatch_logs.endings import Said
from losswatch_logs.names import meaning
from losswatch_logs.result import MAX_QUOTE, MAX_SKIPPED, Doubt, Skipped, UnreadableLogError

MAX_ROWS = 1_000_000
"""A point costs about 200 bytes; more rows than this come from a log that should be thinned before it is sent."""

Row = Mapping[str, Optional[float]]
"""Column -> value; None is an explicit null, a column without a value is absent."""


class Mark(NamedTuple):
    """Where a row comes from: its line, whether a progress bar was drawn there, and the template of its line."""

    line: int = 0
    bar: bool = False
    form: int = 0


_NO_MARK = Mark()
_LOSS_VALUE = re.compile(r"[Ll]oss\w{0,12}[\"']?\s{0,2}[:=]?\s{0,2}\(?-?\d{1,9}\.\d")


@dataclass
class Table:
    """The rows that a reader found, in the order of the log, and what it says about them."""

    format: str
    rows: List[Row] = field(default_factory=list)
    marks: List[Mark] = field(default_factory=list)
    runs: List[str] = field(default_factory=list)
    """The run that each row belongs to, where a column says so."""
    headings: List[Tuple[int, str]] = field(default_factory=list)
    """Lines that may be the heading of a run, with the number of rows before them."""
    names: Dict[str, str] = field(default_factory=dict)
    """How the log spells a column, where that is not the column's key."""
    totals: Dict[str, float] = field(default_factory=dict)
    """What stands behind the slash of a counter."""
    context: Dict[str, Any] = field(default_factory=dict)
    notes: List[str] = field(default_factory=list)
    doubts: List[Doubt] = field(default_factory=list)
    skipped: List[Skipped] = field(default_factory=list)
    skipped_lines: int = 0
    unread: int = 0
    """Skipped lines in which a loss seems to have a value."""
    by_epoch: bool = False
    """Whether a row without a step stands for a whole epoch, whatever its columns are."""
    run: Optional[str] = None
    said: Optional[Said] = None
    """What the text says in words of a loss that is not finite."""
    _counted: Optional[Tuple[Tuple[int, int], Dict[str, int]]] = None

    def add(self, row: Row, mark: Mark = _NO_MARK, run: Optional[str] = None) -> None:
        """Append a row. Raises UnreadableLogError when there are too many."""
        if len(self.rows) >= MAX_ROWS:
            raise UnreadableLogError(
                f"The log has more than {MAX_ROWS:,} points; keep every tenth or hundredth line and send it again."
            )
        self.rows.append(row)
        self.marks.append(mark)
        if run is not None:
            self.runs.append(run)

    def skip(self, line: int, text: str, reason: str) -> None:
        """Say that a line was not read, and why."""
        self.skipped_lines += 1
        if "oss" in text and _LOSS_VALUE.search(text[:2000]):
            self.unread += 1
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(Skipped(line, text.strip()[:MAX_QUOTE], reason))

    def counts(self) -> Dict[str, int]:
        """How many values each column has, in the order of first appearance; nulls count."""
        key = (id(self.rows), len(self.rows))
        if self._counted is None or self._counted[0] != key:
            counts: Dict[str, int] = {}
            for names, times in Counter(map(tuple, self.rows)).items():
                for name in names:
                    counts[name] = counts.get(name, 0) + times
            self._counted = (key, counts)
        return dict(self._counted[1])

    def names_measured(self) -> Tuple[str, ...]:
        """The columns that are a loss or a gradient norm, or TensorBoard's and MLflow's "value"."""
        means = {name: meaning(self.spelled(name)) for name in self.counts()}
        return tuple(name for name, each in means.items() if each.measured or name.lower() == "value")

    def spelled(self, name: str) -> str:
        """A column's name as the log spells it."""
        return self.names.get(name, name)

    def part(self, places: List[int], run: str) -> Table:
        """The rows of one run."""
        return Table(
            self.format,
            rows=[self.rows[place] for place in places],
            marks=[self.marks[place] for place in places],
            names=self.names,
            totals=self.totals,
            context=dict(self.context),
            notes=list(self.notes),
            doubts=list(self.doubts),
            skipped=self.skipped,
            skipped_lines=self.skipped_lines,
            unread=self.unread,
            by_epoch=self.by_epoch,
            run=run,
        )
