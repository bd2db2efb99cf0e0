"""Keras' console output of all ages: progress bars drawn with ``=`` or ``━``, ``verbose=2``, and R's.

An epoch is a header (``Epoch 3/10``; Keras 0.x: ``Epoch 3``) and one or more states of one progress line::

    57/100 [=====>....] - ETA: 1s - loss: 0.71            loss and metrics are running means of the epoch so far
    100/100 [==========] - 2s 20ms/step - loss: 0.69 - val_loss: 0.70
    100/100 ━━━━━━━━━━ 2s 20ms/step - loss: 0.69 - val_loss: 0.70
    100/100 - 2s - 20ms/step - loss: 0.69 - val_loss: 0.70
     - 2s - loss: 0.69 - val_loss: 0.70
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Sequence

from losswatch_logs.lines import Line
from losswatch_logs.numbers import number
from losswatch_logs.table import Mark, Table

_HEADER = re.compile(r"Epoch (\d{1,12})(?:/(\d{1,12}))?(?=\s|$)", re.ASCII)
_COUNTER = re.compile(r"(\d{1,12})/(\d{1,12}|Unknown)(?=\s)", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][\w@./]*")
_LONGEST = 10_000


class _State(NamedTuple):
    """One state of the progress line. ``total`` is None where it is not printed (``verbose=2``) or not known."""

    line: int
    done: Optional[int]
    total: Optional[int]
    values: Dict[str, float]

    @property
    def complete(self) -> bool:
        return self.done is None or self.total is None or self.done >= self.total


class _Epoch:
    """The states that the log shows of one epoch; the last complete one says what the epoch gave."""

    def __init__(self, number: float, total: Optional[int]) -> None:
        self.number = number
        self.total = total
        self.result: Optional[_State] = None
        self.states: List[_State] = []

    def see(self, state: _State) -> bool:
        """Take in a state; False for a further result that is not of this epoch (``model.evaluate``)."""
        if self.result is not None:
            redrawn = state.line == self.result.line or (
                state.total == self.result.total and state.values.keys() >= self.result.values.keys()
                and (state.total is None or _adds_validation(self.result, state))
            )  # fmt: skip
            if not redrawn:
                return False
        self.states.append(state)
        if state.complete:
            self.result = state
        return True


def read_keras(lines: Sequence[Line]) -> Optional[Table]:
    """The epochs of a Keras log, or None when the text is none."""
    if not any(" - " in line.text and _state(0, line.text.strip()) is not None for line in lines):
        return None
    table = Table("keras-console", by_epoch=True)
    epochs: List[_Epoch] = []
    for line in lines:
        text = line.text.strip()
        header = _HEADER.match(text) if text.startswith("Epoch ") else None
        if header:
            epochs.append(_Epoch(float(header[1]), int(header[2]) if header[2] else None))
            text = text[header.end() :].strip()
            if not text:
                continue
        state = _state(line.number, text)
        if state is None:
            table.skip(line.number, line.text, "not a line of Keras' progress")
        elif not epochs:
            epochs.append(_Epoch(1.0, None))
            epochs[-1].see(state)
        elif not epochs[-1].see(state):
            table.skip(line.number, line.text, "a second result within one epoch, as model.evaluate prints it")
    _fill(table, epochs)
    return table if table.rows else None


def _state(line: int, text: str) -> Optional[_State]:
    if "loss" not in text or len(text) > _LONGEST:
        return None
    parts = text.split(" - ")
    if text.startswith("- "):
        parts[0] = parts[0][2:]
    counter = _COUNTER.match(text)
    if counter is None and len(parts) < 2:
        return None
    values: Dict[str, float] = {}
    for part in parts:
        name, colon, rest = part.strip().partition(":")
        if colon and _NAME.fullmatch(name):
            value = number(rest.split()[0]) if rest.split() else None
            if value is not None:
                values[name] = value
    if not any("loss" in name for name in values) or not (counter or parts[0].strip().endswith("s")):
        return None
    total = int(counter[2]) if counter and counter[2] != "Unknown" else None
    return _State(line, int(counter[1]) if counter else None, total, values)


def _adds_validation(result: _State, state: _State) -> bool:
    return any(name not in result.values for name in state.values)


def _fill(table: Table, epochs: Sequence[_Epoch]) -> None:
    table.context["framework"] = "keras"
    finished = [epoch for epoch in epochs if epoch.result is not None]
    if len(epochs) == 1 and len(epochs[0].states) > 2:
        _fill_from_batches(table, epochs[0])
        return
    for epoch in epochs:
        state = epoch.result
        if state is not None:
            table.add({"epoch": epoch.number, **state.values}, Mark(state.line))
        elif epoch.states:
            _see_unfinished(table, epoch)
    totals = {epoch.total for epoch in epochs}
    if len(totals) == 1 and None not in totals:
        table.context["total_steps"] = totals.pop()
    batches = {epoch.result.total for epoch in finished if epoch.result}
    if batches == {1}:  # larger totals are batches or, before Keras 2.3, samples
        table.context["steps_per_epoch"] = 1


def _see_unfinished(table: Table, epoch: _Epoch) -> None:
    last = epoch.states[-1]
    if any(value != value or value in (float("inf"), float("-inf")) for value in last.values.values()):
        table.add({"epoch": epoch.number, **last.values}, Mark(last.line))
        table.notes.append(
            f"epoch {epoch.number:g} is not finished, but its running mean is not finite: read as its result"
        )
    else:
        table.skip(
            last.line, "", f"epoch {epoch.number:g} is not finished: a mean of {last.done} of {last.total} batches"
        )


def _fill_from_batches(table: Table, epoch: _Epoch) -> None:
    """One epoch alone: its running means are all there is."""
    table.by_epoch = False
    seen = -1
    for state in epoch.states:
        if state.done is not None and state.done > seen:
            seen = state.done
            table.add({"step": float(state.done), **state.values}, Mark(state.line))
    if epoch.result is not None and epoch.states[-1].total:
        table.context["total_steps"] = epoch.states[-1].total
    table.notes.append(
        "a single epoch: the batch counter as the step; the loss is the running mean of the epoch so far"
    )
