"""What reading a log gives: the points in the order of the log, and an account of how they were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

MAX_SKIPPED = 100
"""So many skipped lines are quoted; the rest is only counted."""
MAX_COLUMNS = 200
"""So many columns are listed, those with a role first."""
MAX_QUOTE = 200
"""Characters of a skipped line that are quoted."""


class UnreadableLogError(ValueError):
    """The text holds no training log that can be read. ``detail`` says why, and what could be read."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class LogPoint(NamedTuple):
    """What one step of the log says. ``None`` means "not in the log"; NaN and infinities are values.

    Within one ``attempt`` (1, 2, …) steps strictly ascend. An attempt ends where the log steps back: a resume from a
    checkpoint, or another run appended to the same file. ``loss_is_null`` tells an explicit JSON ``null`` (which many
    encoders write for NaN) from an absent loss; ``loss`` is then None. At most 64 ``metrics``. ``line`` is the line of
    the text in which the point begins, from 1; 0 where the text has none, as in a JSON document.
    """

    step: int
    loss: Optional[float] = None
    grad_norm: Optional[float] = None
    learning_rate: Optional[float] = None
    validation_loss: Optional[float] = None
    epoch: Optional[float] = None
    metrics: Mapping[str, float] = {}
    loss_is_null: bool = False
    attempt: int = 1
    line: int = 0


class Skipped(NamedTuple):
    """A line that was not read: its number (from 1), its text (at most 200 characters) and why."""

    line: int
    text: str
    reason: str


class Doubt(NamedTuple):
    """Where the reading may be wrong, as a sentence. ``serious``: so much so that no verdict should rest on it;
    ``remedy`` is then the choice that would settle it, such as ``loss_column=total`` (or ``step_column`` alone)."""

    detail: str
    serious: bool = False
    remedy: str = ""


class LogColumn(NamedTuple):
    """A column of numbers, as the log spells it. ``read_as``: the field of ``Columns`` that it was read as, ``metric``
    for one that is kept but not judged, None for one that was not read. ``first`` and ``last`` are its values."""

    name: str
    values: int
    first: Optional[float]
    last: Optional[float]
    read_as: Optional[str]


class Columns(NamedTuple):
    """The columns that a person names, over what the reading would choose. Case and punctuation do not matter."""

    loss: Optional[str] = None
    step: Optional[str] = None
    validation: Optional[str] = None
    gradient_norm: Optional[str] = None
    learning_rate: Optional[str] = None
    epoch: Optional[str] = None


NO_COLUMNS = Columns()
"""Nobody has named any."""


@dataclass(frozen=True)
class ReadLog:
    """A log that was read.

    ``format`` names the family (``keras-console``, ``csv``, …). ``context`` has keys of the contract's context
    (``framework``, ``step_unit``, ``total_steps``, ``steps_per_epoch``, ``batch_size``, …) as far as the log says
    them. ``read_as`` are sentences: which column or pattern was read as what; ``doubts`` where that may be wrong.
    ``columns`` are the first ``MAX_COLUMNS`` of the log, whatever they were read as.
    ``run`` names the run where one text holds several. ``skipped`` quotes the first hundred lines that were not read,
    ``skipped_lines`` counts all of them.
    """

    format: str
    points: List[LogPoint]
    context: Dict[str, Any] = field(default_factory=dict)
    read_as: List[str] = field(default_factory=list)
    columns: List[LogColumn] = field(default_factory=list)
    doubts: List[Doubt] = field(default_factory=list)
    skipped: List[Skipped] = field(default_factory=list)
    skipped_lines: int = 0
    total_lines: int = 0
    run: Optional[str] = None
