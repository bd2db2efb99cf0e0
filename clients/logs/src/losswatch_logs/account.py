"""The account of a reading: which column was read as what, and where that may be wrong."""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, Optional, Set

from losswatch_logs.axis import Axis
from losswatch_logs.names import meaning
from losswatch_logs.result import MAX_COLUMNS, Doubt, LogColumn
from losswatch_logs.roles import MAX_METRICS, Roles
from losswatch_logs.table import Row, Table

_RUNNING = re.compile(r"av[egr](?![a-z]{5})|running|smooth(?!_?l1)|\bema\b|moving", re.IGNORECASE)
_FEW = 3
_MUCH = 0.2
"""A share of the rows that may not be left out without a word."""


def doubts(table: Table, chosen: Roles, axis: Axis, *, further: int, stepless: int, points: int) -> List[Doubt]:
    """Where the reading may be wrong. ``further``: rows with a second value of a step; ``stepless``: rows left out."""
    found = [Doubt(f"the step is the number of the row: {reason}") for reason in axis.doubts if axis.steps is None]
    if axis.per_step > 1 and further:
        found.append(
            Doubt(
                f"each step comes {axis.per_step} times with values of its own (several processes in one log?): "
                "the first was read",
                serious=True,
                remedy="step_column",
            )
        )
    if stepless > _MUCH * (points + stepless):
        found.append(
            Doubt(
                f"{stepless} rows have a loss and no step and were left out",
                serious=True,
                remedy="step_column",
            )
        )
    if chosen.maximized:
        name = table.spelled((chosen.loss or chosen.validation_loss)[0])
        found.append(Doubt(f"{name!r} is to be maximised: its negative was read as the loss"))
    if table.unread > max(_FEW, points):
        found.append(Doubt(f"{table.unread} lines in which a loss seems to have a value were not read", serious=True))
    if chosen.loss and axis.unit != "epoch":
        name = table.spelled(chosen.loss[0])
        if _RUNNING.search(name):
            found.append(Doubt(f"{name!r} is a running mean: it turns later than the loss and hides single steps"))
    if len(chosen.loss) == 1 and meaning(table.spelled(chosen.loss[0])).score in range(20, 33):
        name = table.spelled(chosen.loss[0])
        found.append(Doubt(f"{name!r} was read as the loss, for want of a column that is named so"))
    return found


def sentences(table: Table, chosen: Roles) -> List[str]:
    """Which column was read as what."""
    counts = table.counts()
    what = "loss (its negative: it is to be maximised)" if chosen.maximized else "loss"
    said_of: List[str] = []
    for names, said in (
        (chosen.loss, what),
        ((chosen.grad_norm,) if chosen.grad_norm else (), "gradient norm"),
        ((chosen.learning_rate,) if chosen.learning_rate else (), "learning rate"),
        (chosen.validation_loss, f"validation {what}"),
        ((chosen.epoch,) if chosen.epoch else (), "epoch"),
    ):
        shown = [repr(table.spelled(name)) for name in names]
        if len(names) == 1:
            said_of.append(f"{shown[0]} as {said} ({_values(counts[names[0]])})")
        elif names:
            said_of.append(f"the sum of {', '.join(shown)} as {said} ({_values(counts[names[0]])})")
    if chosen.metrics:
        shown = [repr(table.spelled(name)) for name in chosen.metrics[:8]]
        more = len(chosen.metrics) - 8 + chosen.left_out if len(chosen.metrics) > 8 else chosen.left_out
        said_of.append(f"{', '.join(shown)}{f' and {more} more' if more > 0 else ''} as metrics, kept but not judged")
    if chosen.left_out:
        said_of.append(f"{chosen.left_out} columns beyond the first {MAX_METRICS} metrics were left out")
    return said_of


def columns(table: Table, chosen: Roles) -> List[LogColumn]:
    """Every column with what it was read as: those with a role first, else in the order of the log."""
    roles: Dict[str, str] = {
        **dict.fromkeys(chosen.metrics, "metric"),
        **dict.fromkeys(chosen.counters, "step"),
        **({chosen.epoch: "epoch"} if chosen.epoch else {}),
        **({chosen.learning_rate: "learning_rate"} if chosen.learning_rate else {}),
        **({chosen.grad_norm: "gradient_norm"} if chosen.grad_norm else {}),
        **dict.fromkeys(chosen.validation_loss, "validation"),
        **dict.fromkeys(chosen.loss, "loss"),
    }
    counts = table.counts()
    listed = sorted(counts, key=lambda name: (roles.get(name, "metric") == "metric", name not in roles))[:MAX_COLUMNS]
    first = _ends(table.rows, set(listed))
    last = _ends(reversed(table.rows), set(listed))
    return [
        LogColumn(table.spelled(name), counts[name], first.get(name), last.get(name), roles.get(name))
        for name in listed
    ]


def _ends(rows: Iterable[Row], wanted: Set[str]) -> Dict[str, Optional[float]]:
    """The value of each wanted column in the first row that has one."""
    found: Dict[str, Optional[float]] = {}
    for row in rows:
        for name in wanted & row.keys():
            found[name] = row[name]
        wanted -= found.keys()
        if not wanted:
            break
    return found


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"
