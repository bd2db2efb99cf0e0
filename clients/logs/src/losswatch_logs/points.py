"""From a table of rows to points: which rows belong to one step, where an attempt begins, what is doubted."""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from losswatch_logs import account, endings, refusals, roles
from losswatch_logs import axis as axes
from losswatch_logs.names import meaning
from losswatch_logs.result import NO_COLUMNS, Columns, LogPoint, ReadLog, UnreadableLogError
from losswatch_logs.roles import MAX_METRICS, Roles
from losswatch_logs.table import Row, Table

_NOTHING: Dict[str, float] = {}
_ROUNDING = 1e-3
"""So far may two printed forms of one number differ: ``2.3000``, ``2.2999999999``; ``4.991e-05``, ``4.9911e-05``."""


def assemble(table: Table, total_lines: int, asked: Columns = NO_COLUMNS) -> ReadLog:
    """The points of a table. Raises UnreadableLogError when no column is a loss or a gradient norm."""
    chosen = roles.choose(table, asked)
    if not (chosen.loss or chosen.grad_norm or chosen.validation_loss):
        raise UnreadableLogError(refusals.no_loss(table))
    driven_by = _driven_by(chosen)
    driving = [any(name in row for name in driven_by) for row in table.rows]
    repeated = _silence_repeated(table, driving, chosen)
    axis = axes.choose(table, chosen, driving, asked=asked.step is not None)
    builder = _Builder(chosen, axis)
    builder.repeated = repeated
    builder.epochs_go_on = _epochs_go_on(table, chosen, driving)
    steps = axis.steps
    for place, row in enumerate(table.rows):
        step = None if steps is None else steps[place]
        builder.line = table.marks[place].line
        if driving[place] and steps is not None and step is None:
            builder.see_stepless(row, at_end=place == len(table.rows) - 1)
        else:
            builder.see(row, step, driving[place], numbered=steps is None, bar=table.marks[place].bar)
    points, notes, told = endings.with_ending(builder.points(), table.said)
    doubts = [
        *table.doubts,
        *chosen.doubts,
        *told,
        *account.doubts(table, chosen, axis, further=builder.further, stepless=builder.stepless, points=len(points)),
    ]
    return ReadLog(
        format=table.format,
        points=points,
        context=_context(table, chosen, axis),
        read_as=[*account.sentences(table, chosen), axis.sentence, *builder.notes(), *notes, *table.notes],
        columns=account.columns(table, chosen),
        doubts=[doubt for place, doubt in enumerate(doubts) if doubt not in doubts[:place]],
        skipped=table.skipped,
        skipped_lines=table.skipped_lines,
        total_lines=total_lines,
        run=table.run,
    )


def _context(table: Table, chosen: Roles, axis: axes.Axis) -> Dict[str, Any]:
    context = dict(table.context)
    for name, value in (
        ("step_unit", axis.unit),
        ("steps_per_epoch", axis.steps_per_epoch),
        ("total_steps", axis.total_steps),
        ("objective", chosen.objective),
        ("loss_name", chosen.loss_name),
    ):
        if value:
            context.setdefault(name, value)
    if chosen.learning_rate:
        rates = {row[chosen.learning_rate] for row in table.rows if chosen.learning_rate in row}
        if len(rates) == 1 and (rate := rates.pop()) is not None and math.isfinite(rate) and rate >= 0:
            context["learning_rate"] = rate
    return context


def _epochs_go_on(table: Table, chosen: Roles, driving: List[bool]) -> bool:
    """Whether the epochs ascend but for the few returns of further trainings in one text."""
    name = chosen.epoch
    if name is None:
        return False
    epochs = [row[name] or 0.0 for row, drive in zip(table.rows, driving) if drive and name in row]
    returns = sum(after < before for before, after in zip(epochs, epochs[1:]))
    return returns * 5 <= len(epochs)


def _driven_by(chosen: Roles) -> Tuple[str, ...]:
    """The columns whose presence makes a row a point of its own; a validation loss only where there is nothing else."""
    training = (*chosen.loss, *((chosen.grad_norm,) if chosen.grad_norm else ()))
    return training or chosen.validation_loss


def _silence_repeated(table: Table, driving: List[bool], chosen: Roles) -> int:
    """Take the drive from a row that prints once more what the row before it printed.

    That is so where all its numbers are the same and a counter of steps or batches is among them; where another form
    of line says the same (to the printed digits); or where every row comes twice. A loss that stands still is none.
    """
    rows, marks = table.rows, table.marks
    counters = set(chosen.counters)
    places = [place for place, drive in enumerate(driving) if drive]
    doubled = len(places) >= 8 and len(places) % 2 == 0 and all(
        rows[one] == rows[other] for one, other in zip(places[::2], places[1::2])
    ) and any(rows[one] != rows[other] for one, other in zip(places[1::2], places[2::2]))  # fmt: skip
    repeated = 0
    first = (chosen.loss or (chosen.grad_norm or "",))[0]
    for before, place in zip(places, places[1:]):
        row, last = rows[place], rows[before]
        value, previous = row.get(first), last.get(first)
        if marks[place].bar or (
            value is not None and previous is not None and abs(value - previous) > _ROUNDING * abs(previous)
        ):
            continue
        if not driving[before] and not doubled and not _identical(row, last):
            continue
        shared = row.keys() & last.keys()
        if row.keys() == last.keys() and marks[place].form == marks[before].form:
            same = _identical(row, last) and (bool(counters & shared) or (doubled and driving[before]))
        else:
            same = len(shared) >= 2 and all(
                _near(row[name], last[name], exact=meaning(table.spelled(name)).counts) for name in shared
            )
        if same:
            driving[place] = False
            repeated += 1
    return repeated


def _identical(row: Row, last: Row) -> bool:
    return row.keys() == last.keys() and all(_near(row[name], last[name], exact=True) for name in row)


def _near(one: Optional[float], other: Optional[float], *, exact: bool) -> bool:
    if one is None or other is None:
        return one is other
    return _same(one, other) or (not exact and abs(one - other) <= _ROUNDING * abs(one))


class _Open(NamedTuple):
    """Places in the open point's list of values."""

    loss: int = 1
    grad_norm: int = 2
    learning_rate: int = 3
    validation: int = 4
    epoch: int = 5
    metrics: int = 6
    is_null: int = 7


_AT = _Open()


class _Builder:
    """Collects the points. A row belongs to the point before it when it has the same step or, without steps, when it
    brings nothing that this point has already.
    """

    def __init__(self, chosen: Roles, axis: axes.Axis) -> None:
        self.roles = chosen
        self.axis = axis
        self.sign = -1.0 if chosen.maximized else 1.0
        self.metrics = frozenset(chosen.metrics)
        self.single = chosen.loss[0] if len(chosen.loss) == 1 else None
        self.validation = chosen.validation_loss[0] if len(chosen.validation_loss) == 1 else None
        self.open: Optional[List[Any]] = None  # step, the five fields, metrics, loss_is_null, attempt, line
        self.done: List[LogPoint] = []
        self.summaries = self.followers = self.followed = 0
        self.pending: Dict[int, Tuple[List[Optional[float]], Dict[str, float]]] = {}
        self.early: Optional[Tuple[List[Optional[float]], Dict[str, float]]] = None
        self.attempt = 1
        self.repeated = self.stepless = self.further = self.averaged = 0
        self.validations = 0
        self.drives = False
        self.line = 0
        self.ended_non_finite = False
        self.last_epoch: Optional[float] = None
        self.epochs_go_on = False

    def _read(self, row: Row) -> Tuple[List[Optional[float]], Dict[str, float], bool]:
        chosen, get = self.roles, row.get
        loss = get(self.single) if self.single else _sum(row, chosen.loss)
        validation = get(self.validation) if self.validation else _sum(row, chosen.validation_loss)
        if chosen.maximized:
            loss = None if loss is None else -loss
            validation = None if validation is None else -validation
        values = [
            loss,
            get(chosen.grad_norm) if chosen.grad_norm else None,
            get(chosen.learning_rate) if chosen.learning_rate else None,
            validation,
            get(chosen.epoch) if chosen.epoch else None,
        ]
        metrics = _NOTHING
        if self.metrics:
            metrics = {name: value for name, value in row.items() if value is not None and name in self.metrics}
        return values, metrics, loss is None and self.single is not None and self.single in row

    def see(self, row: Row, step: Optional[int], driving: bool, *, numbered: bool, bar: bool) -> None:
        values, metrics, is_null = self._read(row)
        last = self.open
        if last is None:
            if values[3] is not None and not driving and step is None and not numbered:
                self.early = (values, metrics)  # a test before the first step belongs to it
            elif driving or values[3] is not None:
                self._begin(1 if numbered else (step or 0), values, metrics, is_null, driving)
            elif step is not None:
                self.pending[step] = (values, metrics)
            return
        if numbered:
            if driving and self.drives and _contradicts(last, values, is_null, driving=True):
                again = self._begins_again(values[4])
                self.attempt += again
                self._begin(1 if again else last[0] + 1, values, metrics, is_null, driving)
                return
        elif step is not None and step > last[0]:
            if driving or (values[3] is not None and (not self.roles.loss or self._comes_alone(row))):
                self._begin(step, values, metrics, is_null, driving)
                return
            if values[3] is None:
                if len(self.pending) < 1000:
                    self.pending[step] = (values, metrics)
                return
        elif driving and step is not None:
            if step < last[0]:
                self.attempt += 1
                self._begin(step, values, metrics, is_null, driving)
                return
            if bar:
                _overwrite(last, values)
            elif _contradicts(last, values, is_null, driving=False):
                if self.axis.per_step == 1:
                    self.attempt += 1
                    self._begin(step, values, metrics, is_null, driving)
                    return
                self.further += 1
            elif self.drives and _repeats(last, values):
                self.repeated += 1
        self.drives = self.drives or driving
        self._merge(values, metrics, is_null)

    def _begins_again(self, epoch: Optional[float]) -> bool:
        """Whether the epoch of a row goes back, in a log that counts no steps: another training, or a resume."""
        before, self.last_epoch = self.last_epoch, epoch if epoch is not None else self.last_epoch
        return self.epochs_go_on and epoch is not None and before is not None and epoch < before

    def _comes_alone(self, row: Row) -> bool:
        """Whether a validation row counts the steps as the training rows do, and no batches of its own."""
        return any(name in row for name in (*self.roles.counters[:1], self.roles.epoch) if name)

    def see_stepless(self, row: Row, *, at_end: bool) -> None:
        """A row without a step among rows with one. "Loss is nan, stopping training" ends many a log: the next step."""
        loss = row.get(self.single) if self.single else None
        if at_end and self.open is not None and loss is not None and not math.isfinite(loss):
            self._begin(self.open[0] + 1, [loss, None, None, None, None], {}, False, True)
            self.ended_non_finite = True
            return
        values, metrics, is_null = self._read(row)
        if self.open is not None and values[0] is None:
            self._merge(values, metrics, is_null)  # the rest of a record that goes on in the next line
            return
        if self.roles.epoch in row and self.axis.within_epoch:
            self.summaries += 1  # the epoch's mean: a series of its own, beside that of the batches
        elif self.followers < axes.FOLLOWERS and self.open is not None:
            self.followers, self.followed = (
                self.followers + 1,
                self.followed + 1,
            )  # the same step in other words: Caffe's "Train net output", a mean of the last rows
        else:
            self.stepless += 1

    def _begin(
        self, step: int, values: List[Optional[float]], metrics: Dict[str, float], is_null: bool, driving: bool
    ) -> None:
        self._close()
        self.followers = 0
        self.open = [step, *values, metrics or _NOTHING, is_null, self.attempt, self.line]
        self.drives = driving
        self.validations = values[3] is not None
        if self.early:
            self._merge(*self.early, False)
            self.early = None
        if self.pending:
            waiting = self.pending.pop(step, None)
            self.pending = {at: rest for at, rest in self.pending.items() if at > step}
            if waiting:
                self._merge(*waiting, False)

    def _close(self) -> None:
        if self.open is not None:
            self.done.append(LogPoint(*self.open))
            self.open = None

    def _merge(self, values: List[Optional[float]], metrics: Dict[str, float], is_null: bool) -> None:
        """Add what is not yet measured at the open point; what is stands, but for a mean over validation batches."""
        last = self.open
        if last is None:
            return
        validation = values[3]
        if validation is not None and last[_AT.validation] is not None:
            if not _same(validation, last[_AT.validation]) and values[0] is None:
                last[_AT.validation] += (validation - last[_AT.validation]) / (self.validations + 1)
                self.averaged += 1
            self.validations += 1
        else:
            self.validations += validation is not None
        for place, value in enumerate(values, start=1):
            if last[place] is None and value is not None:
                last[place] = value
        if metrics:
            last[6] = {**last[6], **{name: metrics[name] for name in metrics if name not in last[6]}}
            if len(last[6]) > MAX_METRICS:
                last[6] = dict(list(last[6].items())[:MAX_METRICS])
        last[7] = last[1] is None and (last[7] or is_null)

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
        if self.summaries:
            notes.append(f"{self.summaries} rows that tell of a whole epoch were left out beside those of its batches")
        if self.followed:
            notes.append(f"{self.followed} rows without a step were taken to tell of the step before them once more")
        if self.averaged:
            notes.append("several validation rows at one step: their mean")
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
        if new is not None and old is not None and (driving or not _near(old, new, exact=False)):
            return True
    if driving and (is_null or last[7]):
        return (is_null or values[0] is not None) and (last[1] is not None or bool(last[7]))
    both_validation = values[3] is not None and last[4] is not None
    return driving and both_validation and last[1] is None and values[0] is None


def _repeats(last: List[Any], values: List[Optional[float]]) -> bool:
    return all(new is None or (old is not None and _same(old, new)) for old, new in zip(last[1:6], values))


def _overwrite(last: List[Any], values: List[Optional[float]]) -> None:
    """A bar is redrawn with the old value first, then with the new one: the later stands."""
    for place, value in enumerate(values, start=1):
        if value is not None:
            last[place] = value


def _same(old: float, new: float) -> bool:
    return old == new or (old != old and new != new)


def _sum(row: Row, names: Tuple[str, ...]) -> Optional[float]:
    parts = [row.get(name) for name in names]
    numbers = [part for part in parts if part is not None]
    return sum(numbers) if numbers and len(numbers) == len(names) else None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
