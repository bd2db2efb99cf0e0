"""Which step a row belongs to: a step counter, a counter within the epoch, the epoch, or the number of the row."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

from losswatch_logs.columns import Roles
from losswatch_logs.table import Row, Table

MAX_STEP = 2**53 - 1
# A counter that goes back more often than at every fifth row counts something else than the steps of a few runs in
# one file: batches within an epoch, or several ranks writing into the same log.
_ROWS_PER_RETURN = 5


class Axis(NamedTuple):
    """A step for each row (None: the row says nothing of its step) and the sentence that says where it comes from.

    ``steps`` is None where the number of the point is the step.
    """

    steps: Optional[List[Optional[int]]]
    sentence: str
    unit: Optional[str] = None
    steps_per_epoch: Optional[int] = None


def choose(table: Table, roles: Roles, driving: Sequence[bool]) -> Axis:
    """The axis of a table; ``driving`` marks the rows that bring what makes a point (a loss or a gradient norm)."""
    epochs = _counter(table.rows, roles.epoch) if roles.epoch else None
    if epochs is not None and not _usable(epochs, driving):
        epochs = None
    for name in (roles.step, roles.batch):
        steps = _counter(table.rows, name) if name else None
        if steps is None or not _usable(steps, driving):
            continue
        if epochs is not None and (name == roles.batch or _restarts(steps, epochs, driving)):
            if table.steps_per_epoch:
                return _within_epoch(steps, epochs, driving, table.steps_per_epoch, name or "")
            return Axis(None, f"{name!r} begins anew in each epoch, so the number of the row is the step")
        if name == roles.step and _ascends(steps, driving):
            return Axis(steps, f"{name!r} as the step")
    if epochs is not None and _ascends(epochs, driving):
        return Axis(epochs, f"{roles.epoch!r} as the step: one point per epoch", unit="epoch")
    return Axis(None, "the number of the row as the step", unit="epoch" if table.by_epoch else None)


def _counter(rows: Sequence[Row], name: str) -> Optional[List[Optional[int]]]:
    """The column as whole numbers; None when a value is no count (an epoch of 0.32)."""
    counts: List[Optional[int]] = []
    for row in rows:
        value = row.get(name)
        if value is None:
            counts.append(None)
        elif 0 <= value <= MAX_STEP and value == int(value):
            counts.append(int(value))
        else:
            return None
    return counts


def _usable(steps: Sequence[Optional[int]], driving: Sequence[bool]) -> bool:
    """Whether most rows that make a point have a step at all."""
    drives = sum(driving)
    having = sum(1 for step, drive in zip(steps, driving) if drive and step is not None)
    return having > 0 and having * 2 > drives


def _ascends(steps: Sequence[Optional[int]], driving: Sequence[bool]) -> bool:
    """Whether the counter ascends, but for the few returns of resumes and of several runs in one file."""
    last, rows, returns = -1, 0, 0
    for step, drive in zip(steps, driving):
        if drive and step is not None:
            rows += 1
            returns += step <= last
            last = step
    return returns == 0 or returns * _ROWS_PER_RETURN <= rows


def _restarts(steps: Sequence[Optional[int]], epochs: Sequence[Optional[int]], driving: Sequence[bool]) -> bool:
    """Whether the counter goes back just where the epoch goes on."""
    last: Optional[int] = None
    epoch: Optional[int] = None
    returns = with_epoch = 0
    for step, now, drive in zip(steps, epochs, driving):
        if not drive or step is None:
            continue
        if last is not None and step <= last:
            returns += 1
            with_epoch += epoch is not None and now is not None and now > epoch
        last, epoch = step, now
    return with_epoch * 2 > returns


def _within_epoch(
    steps: Sequence[Optional[int]],
    epochs: Sequence[Optional[int]],
    driving: Sequence[bool],
    per_epoch: int,
    name: str,
) -> Axis:
    """Step = whole epochs before + the counter; epochs count from 0 or, when none is 0, from 1."""
    base = 0 if 0 in epochs else 1
    joined: List[Optional[int]] = []
    for step, epoch, drive in zip(steps, epochs, driving):
        if step is None or epoch is None or not drive:
            joined.append(None)  # a validation row counts its own batches
        else:
            joined.append(min((epoch - base) * per_epoch + step, MAX_STEP))
    sentence = (
        f"(epoch - {base}) x {per_epoch} + {name!r} as the step"
        if base
        else f"epoch x {per_epoch} + {name!r} as the step"
    )
    if not _ascends(joined, driving):
        return Axis(None, f"{name!r} begins anew in each epoch, so the number of the row is the step")
    return Axis(joined, sentence, steps_per_epoch=per_epoch)
