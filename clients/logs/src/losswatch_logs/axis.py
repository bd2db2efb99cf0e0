"""Which step a row belongs to: every counter is tried, and one that never changes or does not ascend is not trusted."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from losswatch_logs import progress
from losswatch_logs.names import BRACKET, LEAD, PLACE, meaning
from losswatch_logs.roles import Roles
from losswatch_logs.table import Row, Table

MAX_STEP = 2**53 - 1
# A counter that goes back more often than at every fifth row counts something else than the steps of a few runs in
# one file: batches within an epoch, or several ranks writing into the same log.
_ROWS_PER_RETURN = 5
FOLLOWERS = 3
"""So many rows without a step may follow one with a step and say the same in other words."""
_MOST, _NEARLY_ALL = 0.5, 0.75
"""So many rows must have a counter with a name; one without may be a bar that happens to stand on some lines."""
_MOST_PER_STEP = 64
"""Rows of one step: processes that write into one log, or the heads of a network."""

Steps = List[Optional[int]]


_UNNAMED = {
    PLACE: "the counter without a name",
    LEAD: "the number at the start of the line",
    BRACKET: "the number in brackets",
}


class Axis(NamedTuple):
    """A step for each row (None: the row says nothing of its step) and the sentence that says where it comes from.

    ``steps`` is None where the number of the point is the step. ``doubts`` name counters that were not trusted;
    ``per_step`` is how many rows with values of their own each step has.
    """

    steps: Optional[Steps]
    sentence: str
    unit: Optional[str] = None
    steps_per_epoch: Optional[int] = None
    total_steps: Optional[int] = None
    doubts: Tuple[str, ...] = ()
    per_step: int = 1
    within_epoch: bool = False
    """Whether the steps come from a counter that begins anew in each epoch."""


def choose(table: Table, roles: Roles, driving: Sequence[bool], *, asked: bool) -> Axis:
    """The axis of a table; ``driving`` marks the rows that bring what makes a point (a loss or a gradient norm)."""
    doubts: List[str] = []
    epochs = _counter(table.rows, roles.epoch) if roles.epoch else None
    if epochs is not None and not _usable(epochs, driving, _MOST):
        epochs = None
    axis = None
    for name in roles.counters:
        steps = _counter(table.rows, name)
        if steps is None or not _usable(steps, driving, _NEARLY_ALL if name in _UNNAMED else _MOST):
            if asked:
                doubts.append(f"{table.spelled(name)!r} does not count: most rows lack it, or it is not whole")
            continue
        axis = _by_counter(table, name, steps, epochs, driving, doubts, asked=asked)
        if axis is not None:
            break
    if axis is None and progress.COUNT in table.totals and not asked:
        axis = _by_progress(table, epochs, driving)
    if (
        axis is None
        and epochs is not None
        and _goes_on(epochs, driving)
        and _returns(epochs, driving) * _ROWS_PER_RETURN <= sum(driving)
    ):
        axis = _by_epoch(table, roles.epoch or "", epochs, driving)
    if axis is None:
        why = f": {'; '.join(doubts)}" if doubts else ""
        axis = Axis(None, f"the number of the row as the step{why}", unit="epoch" if table.by_epoch else None)
    return axis._replace(doubts=tuple(doubts))


def _by_counter(
    table: Table, name: str, steps: Steps, epochs: Optional[Steps], driving: Sequence[bool], doubts: List[str],
    *, asked: bool,
) -> Optional[Axis]:  # fmt: skip
    called = _UNNAMED.get(name) or repr(table.spelled(name))
    rows = sum(1 for step, drive in zip(steps, driving) if drive and step is not None)
    if rows > 2 and not _goes_on(steps, driving):
        doubts.append(f"{called} never changes")
        return None
    total = _whole(table.totals.get(name)) or _total_of_twin(table, name)
    returns = _returns(steps, driving)
    if epochs is not None and total and _counts_batches(table, name, steps, epochs, driving):
        return _within_epoch(steps, epochs, driving, total, called)
    if returns and epochs is not None and _restarts(steps, epochs, driving):
        return _within_epoch(steps, epochs, driving, total, called)
    anew = _begins_anew(steps, driving, total) or (total is None and meaning(table.spelled(name)).kind == "batch")
    if returns and epochs is None and anew:
        return _adding_up(steps, driving, total, called)
    if returns * _ROWS_PER_RETURN > rows and not asked:
        doubts.append(f"{called} goes back {returns} times in {rows} rows")
        return None
    per_step = _per_step(steps, driving)
    if per_step > 1 and not asked and (per_step > _MOST_PER_STEP or _uneven(steps, driving, per_step)):
        doubts.append(f"{called} stands still over many rows")
        return None
    if epochs is not None and meaning(table.spelled(name)).kind == "batch":
        return Axis(steps, f"{called} as the step, within one epoch", steps_per_epoch=total, per_step=per_step)
    single = epochs is not None and not _goes_on(epochs, driving)
    return Axis(
        steps,
        f"{called} as the step",
        total_steps=None if single else total,
        steps_per_epoch=total if single and _has_epoch_total(table) else None,
        per_step=per_step,
    )


def _total_of_twin(table: Table, name: str) -> Optional[int]:
    """The total of a counter that stands beside this one and counts the same: "batch 20/308, iter: 20"."""
    for twin, total in table.totals.items():
        both = [(row[name], row[twin]) for row in table.rows if name in row and twin in row]
        if twin != name and len(both) > 1 and all(one == other for one, other in both):
            return _whole(total)
    return None


def _has_epoch_total(table: Table) -> bool:
    """Whether the epochs are counted with a total ("epoch: 1/80, iter: 10/57"): the other total is then an epoch's."""
    return any(meaning(table.spelled(name)).kind == "epoch" for name in table.totals)


def _counts_batches(table: Table, name: str, steps: Steps, epochs: Steps, driving: Sequence[bool]) -> bool:
    """Whether a counter with a total is one of batches: it goes back, or there are too few rows for that to show."""
    if meaning(table.spelled(name)).kind != "batch":
        return False
    seen = set(_driven(epochs, driving))
    few = len(seen) == 1 or len(_driven(steps, driving)) <= len(seen)
    driven = _driven(steps, driving)
    bars = all(mark.bar for mark, drive in zip(table.marks, driving) if drive)
    ascending = all(after > before for before, after in zip(driven, driven[1:]))
    if few and bars and ascending and len(driven) > 2 and len(seen) > 2:
        return False  # a bar of the whole training, looked at once an epoch
    if few or _returns(steps, driving) > 0:
        return True
    both = [(step, epoch) for step, epoch, drive in zip(steps, epochs, driving) if drive and step is not None]
    return any(after[0] == before[0] and after[1] != before[1] for before, after in zip(both, both[1:]))


def _by_progress(table: Table, epochs: Optional[Steps], driving: Sequence[bool]) -> Optional[Axis]:
    """The axis of an epoch's share, ``[640/60000 (1%)]``."""
    counts = _counter(table.rows, progress.COUNT)
    total = _whole(table.totals.get(progress.COUNT))
    if counts is None or total is None or not _usable(counts, driving, _NEARLY_ALL):
        return None
    found = progress.as_steps(counts, epochs, driving, total, table.context.get("batch_size"))
    if found is None or _returns(found.steps, driving) * _ROWS_PER_RETURN > sum(driving):
        return None
    per_step = _per_step(found.steps, driving)
    return Axis(
        found.steps, found.sentence, steps_per_epoch=found.steps_per_epoch, per_step=per_step, within_epoch=True
    )


def _by_epoch(table: Table, name: str, epochs: Steps, driving: Sequence[bool]) -> Optional[Axis]:
    if _per_step(epochs, driving) > 1:
        return None
    total = _whole(table.totals.get(name))
    return Axis(epochs, f"{table.spelled(name)!r} as the step: one point per epoch", unit="epoch", total_steps=total)


def _counter(rows: Sequence[Row], name: str) -> Optional[Steps]:
    """The column as whole numbers; None when a value is no count (an epoch of 0.32)."""
    counts: Steps = []
    for row in rows:
        value = row.get(name)
        if value is None:
            counts.append(None)
        elif 0 <= value <= MAX_STEP and value == int(value):
            counts.append(int(value))
        else:
            return None
    return counts


def _usable(steps: Steps, driving: Sequence[bool], share: float) -> bool:
    """Whether so large a share of the rows that make a point have a step at all."""
    having = missing = following = 0
    for step, drive in zip(steps, driving):
        if drive and step is not None:
            having, following = having + 1, 0
        elif drive:
            following += 1
            missing += share > _MOST or not having or following > FOLLOWERS
    return having > share * (having + missing)


def _driven(steps: Steps, driving: Sequence[bool]) -> List[int]:
    return [step for step, drive in zip(steps, driving) if drive and step is not None]


def _goes_on(steps: Steps, driving: Sequence[bool]) -> bool:
    driven = _driven(steps, driving)
    return len(driven) < 3 or any(step != driven[0] for step in driven)


def _returns(steps: Steps, driving: Sequence[bool]) -> int:
    driven = _driven(steps, driving)
    return sum(after < before for before, after in zip(driven, driven[1:]))


def _per_step(steps: Steps, driving: Sequence[bool]) -> int:
    """Rows per step: the number that most steps have."""
    sizes = _sizes(steps, driving)
    if not sizes or sum(sizes) < 3:
        return 1
    return (
        max(set(sizes), key=lambda size: (sizes.count(size) * size, size))
        if len(sizes) <= 2000
        else max(sorted(set(sizes[:2000])), key=sizes[:2000].count)
    )


def _sizes(steps: Steps, driving: Sequence[bool]) -> List[int]:
    sizes: List[int] = []
    last: Optional[int] = None
    for step in _driven(steps, driving):
        if step == last:
            sizes[-1] += 1
        else:
            sizes.append(1)
        last = step
    return sizes


def _uneven(steps: Steps, driving: Sequence[bool], per_step: int) -> bool:
    sizes = _sizes(steps, driving)[:-1]
    return len(sizes) < 2 or sum(size == per_step for size in sizes) * 10 < 7 * len(sizes)


def _restarts(steps: Steps, epochs: Steps, driving: Sequence[bool]) -> bool:
    """Whether the counter goes back just where the epoch goes on."""
    last: Optional[int] = None
    epoch: Optional[int] = None
    returns = with_epoch = 0
    for step, now, drive in zip(steps, epochs, driving):
        if not drive or step is None:
            continue
        if last is not None and (step < last or (step == last and now != epoch)):
            returns += 1
            with_epoch += epoch is not None and now is not None and now > epoch
        last, epoch = step, now
    return with_epoch * 2 > returns


def _begins_anew(steps: Steps, driving: Sequence[bool], total: Optional[int]) -> bool:
    """Whether the counter, without an epoch beside it, runs to the same end again and again."""
    driven = _driven(steps, driving)
    ends = [before for before, after in zip(driven, driven[1:]) if after < before]
    starts = [after for before, after in zip(driven, driven[1:]) if after < before]
    if total is not None and len(ends) >= 1:
        return all(end * 5 >= total * 4 for end in ends) and max(driven) <= total
    if len(ends) < 3:
        return False
    top = max(driven)
    return all(end * 10 >= top * 8 for end in ends) and all(start * 2 <= top for start in starts)


def _adding_up(steps: Steps, driving: Sequence[bool], total: Optional[int], called: str) -> Axis:
    length = total or max(_driven(steps, driving))
    offset, last = 0, -1
    joined: Steps = []
    for step, drive in zip(steps, driving):
        if step is None or not drive:
            joined.append(None)
            continue
        if step < last:
            offset += length
        last = step
        joined.append(min(offset + step, MAX_STEP))
    sentence = f"{called} begins anew after {length}: its passes were added up to the step"
    return Axis(joined, sentence, steps_per_epoch=total)


def _within_epoch(
    steps: Steps, epochs: Steps, driving: Sequence[bool], total: Optional[int], called: str
) -> Optional[Axis]:
    """Step = whole epochs before + the counter; epochs count from 0 or, when none is 0, from 1."""
    base = 0 if 0 in epochs else 1
    length = total if total and total >= max(_driven(steps, driving)) else max(_driven(steps, driving))
    if length == 0:
        return None
    if total is None and min(_driven(steps, driving)) == 0:
        length += 1
    joined: Steps = []
    for step, epoch, drive in zip(steps, epochs, driving):
        if step is None or epoch is None or not drive:
            joined.append(None)  # a validation row counts its own batches
        else:
            joined.append(min((epoch - base) * length + step, MAX_STEP))
    times = f"(epoch - {base}) x {length}" if base else f"epoch x {length}"
    how = "" if total else " (its largest value, for want of a total)"
    if _returns(joined, driving) * _ROWS_PER_RETURN > sum(driving):
        return None
    per_step = _per_step(joined, driving)
    sentence = f"{times} + {called} as the step{how}"
    return Axis(joined, sentence, steps_per_epoch=total, per_step=per_step, within_epoch=True)


def _whole(total: Optional[float]) -> Optional[int]:
    return int(total) if total is not None and 0 < total < 2**53 and total == int(total) else None
