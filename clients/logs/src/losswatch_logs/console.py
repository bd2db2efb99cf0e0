"""Console logs of ``name value`` lines: nanoGPT, llm.c, modded-nanogpt, PyTorch's examples, mmengine, detectron2,
Megatron, fairseq, progress bars, and what people print themselves.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

from losswatch_logs import columns
from losswatch_logs.lines import Line
from losswatch_logs.numbers import spelled_out
from losswatch_logs.table import Row, Table
from losswatch_logs.words import BATCH, Words, is_known, read_words

_LONGEST = 20_000
"""A console line is shorter; longer ones are skipped unread."""
_COUNTERS = frozenset(columns.STEP + columns.EPOCH + columns.BATCH)


def read_console(lines: Sequence[Line]) -> Optional[Table]:
    """The rows of the lines that name a loss or a gradient norm, or None when there is none."""
    table = Table("console")
    carried: Dict[str, float] = {}
    totals: Dict[str, float] = {}
    for line in lines:
        if len(line.text) > _LONGEST:
            table.skip(line.number, line.text[:400], f"longer than {_LONGEST:,} characters")
            continue
        words = read_words(spelled_out(line.text))
        if any(_measured(name) for name in words.values):
            row = {**{name: value for name, value in carried.items() if not _has(words, name)}, **words.values}
            table.add(_distinct(row))
            totals.update(words.totals)
            continue
        counters = {
            columns.plain(name): value for name, value in words.values.items() if columns.plain(name) in _COUNTERS
        }
        if counters and len(counters) == len(words.values) and BATCH not in counters:
            carried = {**carried, **counters} if set(counters) & set(columns.STEP) else counters
            totals.update({columns.plain(name): total for name, total in words.totals.items()})
        table.skip(line.number, line.text, "no loss or gradient norm in it")
    if not table.rows:
        return None
    _tell_totals(table, totals)
    _join_counters(table)
    return table


def _join_counters(table: Table) -> None:
    """nanoGPT counts training lines as "iter" and evaluations as "step": one counter where no line has two."""
    counters = [name for name in table.counts() if name in columns.STEP]
    if len(counters) < 2 or any(sum(name in row for name in counters) > 1 for row in table.rows):
        return
    table.rows = [
        {"step" if name in counters else name: value for name, value in row.items()} for row in table.rows
    ]  # fmt: skip


def _measured(name: str) -> bool:
    plain = columns.plain(name)
    return (
        columns.is_loss(name)
        or columns.is_validation_loss(name)
        or plain in columns.GRAD_NORM
        or (plain in ("train", "val") and is_known(name))
    )


def _has(words: Words, name: str) -> bool:
    return any(columns.plain(given) == name for given in words.values)


def _distinct(row: Dict[str, float]) -> Row:
    """The same series under one spelling: "Step" and "step" of different lines are one column."""
    return {columns.plain(name) or name: value for name, value in row.items()}


def _tell_totals(table: Table, totals: Dict[str, float]) -> None:
    """``step 10/500`` says the total of steps; ``[3][40/735]`` the steps of an epoch."""
    named = {columns.plain(name): total for name, total in totals.items()}
    counts = table.counts()
    batches = _whole(named.get(BATCH))
    if batches and "epoch" in counts and not any(name in counts for name in columns.STEP):
        table.steps_per_epoch = batches
        return
    for name in columns.STEP:
        total = _whole(named.get(name))
        if total is None:
            continue
        if _restarts(table.rows, name):
            table.steps_per_epoch = total
        else:
            table.context["total_steps"] = total
        return


def _whole(total: Optional[float]) -> Optional[int]:
    return int(total) if total is not None and 0 < total < 2**53 and total == int(total) else None


def _restarts(rows: List[Row], name: str) -> bool:
    """Whether the counter goes back while an epoch is counted beside it."""
    epochs = [name for name in columns.EPOCH if any(name in row for row in rows)]
    last = -1.0
    for row in rows:
        value = row.get(name)
        if value is not None:
            if value < last and epochs:
                return True
            last = value
    return False
