"""From a table of rows to points: which column is what, which rows belong to one step, where an attempt begins."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from losswatch_logs import axis as axes
from losswatch_logs import columns
from losswatch_logs.result import LogPoint, ReadLog, UnreadableLogError
from losswatch_logs.table import Row, Table

_FIELDS = ("loss", "grad_norm", "learning_rate", "validation_loss", "epoch")
_NOTHING: Dict[str, float] = {}


def assemble(table: Table, total_lines: int) -> ReadLog:
    """The points of a table. Raises UnreadableLogError when no column is a loss or a gradient norm."""
    counts = table.counts()
    roles = columns.roles(counts)
    if not (roles.loss or roles.grad_norm or roles.validation_loss):
        raise UnreadableLogError(_no_loss(counts))
    driven_by = _driven_by(roles)
    driving = [any(name in row for name in driven_by) for row in table.rows]
    repeated = _silence_repeated(table.rows, driving, roles)
    axis = axes.choose(table, roles, driving)
    builder = _Builder(roles)
    builder.repeated = repeated
    steps = axis.steps
    for place, row in enumerate(table.rows):
        step = None if steps is None else steps[place]
        if driving[place] and steps is not None and step is None:
            builder.see_stepless(row, at_end=place == len(table.rows) - 1)
        else:
            builder.see(row, step, driving[place], numbered=steps is None)
    context = dict(table.context)
    if axis.unit:
        context.setdefault("step_unit", axis.unit)
    if axis.steps_per_epoch:
        context.setdefault("steps_per_epoch", axis.steps_per_epoch)
    return ReadLog(
        format=table.format,
        points=builder.points(),
        context=context,
        read_as=[*_sentences(roles, counts), axis.sentence, *builder.notes(), *table.notes],
        skipped=table.skipped,
        skipped_lines=table.skipped_lines,
        total_lines=total_lines,
    )


def _silence_repeated(rows: Sequence[Row], driving: List[bool], roles: columns.Roles) -> int:
    """Take the drive from a row that repeats the row before it, counter and all (a line that two handlers print)."""
    repeated = 0
    counters = [name for name in (roles.step, roles.epoch, roles.batch) if name]
    for place in range(1, len(rows)):
        row, before = rows[place], rows[place - 1]
        if driving[place] and row.keys() == before.keys() and any(name in row for name in counters):
            same = all(_same_value(row[name], before[name]) for name in row)
            driving[place] = not same
            repeated += same
    return repeated


def _same_value(old: Optional[float], new: Optional[float]) -> bool:
    return old == new or (old is not None and new is not None and _same(old, new))


def _driven_by(roles: columns.Roles) -> Tuple[str, ...]:
    """The columns whose presence makes a row a point of its own; a validation loss only where there is nothing else."""
    training = (*roles.loss, *((roles.grad_norm,) if roles.grad_norm else ()))
    return training or roles.validation_loss


class _Builder:
    """Collects the points. A row belongs to the point before it when it has the same step or, without steps, when it
    brings nothing that this point has already.
    """

    def __init__(self, roles: columns.Roles) -> None:
        self.roles = roles
        self.metrics = frozenset(roles.metrics)
        self.names = (
            *(names[0] if len(names) == 1 else None for names in (roles.loss,)),
            roles.grad_norm,
            roles.learning_rate,
            roles.validation_loss[0] if len(roles.validation_loss) == 1 else None,
            roles.epoch,
        )
        self.open: Optional[List[Any]] = None  # step, the five fields, metrics, loss_is_null, attempt
        self.done: List[LogPoint] = []
        self.attempt = 1
        self.repeated = self.stepless = 0
        self.drives = False
        self.ended_non_finite = False

    def see(self, row: Row, step: Optional[int], driving: bool, *, numbered: bool) -> None:
        values = [None if name is None else row.get(name) for name in self.names]
        if len(self.roles.loss) > 1:
            values[0] = _sum(row, self.roles.loss)
        if len(self.roles.validation_loss) > 1:
            values[3] = _sum(row, self.roles.validation_loss)
        metrics = {name: value for name, value in row.items() if value is not None and name in self.metrics}
        is_null = values[0] is None and self.names[0] is not None and self.names[0] in row
        last = self.open
        if last is None:
            if driving or values[3] is not None:
                self._begin(1 if numbered else (step or 0), values, metrics, is_null, driving)
            return
        if numbered:
            if driving and self.drives and _contradicts(last, values, is_null, driving=True):
                self._begin(last[0] + 1, values, metrics, is_null, driving)
                return
        elif step is not None and step > last[0]:
            if driving or values[3] is not None or metrics:
                self._begin(step, values, metrics, is_null, driving)
                return
        elif driving and step is not None:
            if step < last[0] or _contradicts(last, values, is_null, driving=False):
                self.attempt += 1
                self._begin(step, values, metrics, is_null, driving)
                return
            if self.drives and _repeats(last, values):
                self.repeated += 1
        self.drives = self.drives or driving
        _merge(last, values, metrics, is_null)

    def see_stepless(self, row: Row, *, at_end: bool) -> None:
        """A row without a step among rows with one. "Loss is nan, stopping training" ends many a log: the next step."""
        loss = row.get(self.names[0]) if self.names[0] else None
        if at_end and self.open is not None and loss is not None and not math.isfinite(loss):
            self._begin(self.open[0] + 1, [loss, None, None, None, None], {}, False, True)
            self.ended_non_finite = True
        else:
            self.stepless += 1

    def _begin(
        self, step: int, values: List[Optional[float]], metrics: Dict[str, float], is_null: bool, driving: bool
    ) -> None:
        self._close()
        self.open = [step, *values, metrics or _NOTHING, is_null, self.attempt]
        self.drives = driving

    def _close(self) -> None:
        if self.open is not None:
            self.done.append(LogPoint(*self.open))
            self.open = None

    def points(self) -> List[LogPoint]:
        self._close()
        return self.done

    def notes(self) -> List[str]:
        notes = []
        if self.attempt > 1:
            notes.append(
                f"the steps go back {_times(self.attempt - 1)}: each begins a new attempt "
                "(a resume from a checkpoint, or another run in the same log)"
            )
        if self.repeated:
            notes.append(f"{self.repeated} rows that repeat the step before them were left out")
        if self.ended_non_finite:
            notes.append("the last line says without a step that the loss is not finite: read as the next step")
        if self.stepless:
            notes.append(f"{self.stepless} rows without a step were left out")
        return notes


def _contradicts(last: List[Any], values: List[Optional[float]], is_null: bool, *, driving: bool) -> bool:
    """Whether the row cannot be of the same step as the open point.

    With ``driving`` a loss or gradient norm that is there already is enough (rows without steps); else it must differ.
    """
    for place in (0, 1):
        old, new = last[place + 1], values[place]
        if new is not None and old is not None and (driving or not _same(old, new)):
            return True
    if driving and (is_null or last[7]):
        return (is_null or values[0] is not None) and (last[1] is not None or bool(last[7]))
    both_validation = values[3] is not None and last[4] is not None
    return driving and both_validation and last[1] is None and values[0] is None


def _repeats(last: List[Any], values: List[Optional[float]]) -> bool:
    return all(new is None or (old is not None and _same(old, new)) for old, new in zip(last[1:6], values))


def _merge(last: List[Any], values: List[Optional[float]], metrics: Dict[str, float], is_null: bool) -> None:
    """Add what is not yet measured at the open point; what is stands."""
    for place, value in enumerate(values, start=1):
        if last[place] is None and value is not None:
            last[place] = value
    if metrics:
        last[6] = {**last[6], **{name: metrics[name] for name in metrics if name not in last[6]}}
    last[7] = last[1] is None and (last[7] or is_null)


def _same(old: float, new: float) -> bool:
    return old == new or (old != old and new != new)


def _sum(row: Row, names: Tuple[str, ...]) -> Optional[float]:
    parts = [row.get(name) for name in names]
    numbers = [part for part in parts if part is not None]
    return sum(numbers) if len(numbers) == len(names) else None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _sentences(roles: columns.Roles, counts: Dict[str, int]) -> List[str]:
    sentences = []
    for names, meaning in (
        (roles.loss, "loss"),
        (roles.grad_norm, "gradient norm"),
        (roles.learning_rate, "learning rate"),
        (roles.validation_loss, "validation loss"),
        (roles.epoch, "epoch"),
    ):
        if isinstance(names, str):
            sentences.append(f"{names!r} as {meaning} ({_values(counts[names])})")
        elif names and len(names) == 1:
            sentences.append(f"{names[0]!r} as {meaning} ({_values(counts[names[0]])})")
        elif names:
            sentences.append(f"the sum of {', '.join(map(repr, names))} as {meaning} ({_values(counts[names[0]])})")
    if roles.metrics:
        shown = ", ".join(map(repr, roles.metrics[:8]))
        more = len(roles.metrics) - 8 + roles.left_out if len(roles.metrics) > 8 else roles.left_out
        sentences.append(f"{shown}{f' and {more} more' if more > 0 else ''} as metrics, kept but not judged")
    if roles.left_out:
        sentences.append(f"{roles.left_out} columns beyond the first {columns.MAX_METRICS} metrics were left out")
    return sentences


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _no_loss(counts: Dict[str, int]) -> str:
    names = [name for name in counts if len(name) <= 40][:8]
    found = f"found {', '.join(map(repr, names))}; " if names else ""
    return (
        f"No column or pattern in this text is a loss: {found}name one 'loss' or 'train_loss', as in "
        '\'step 10 loss 0.53\', a CSV with a header line, or JSON lines like {"step": 10, "loss": 0.53}.'
    )
