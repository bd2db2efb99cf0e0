"""Blocks of points that cannot be read: how they are noted, and told again to whoever judges the run without them."""

from __future__ import annotations

from collections.abc import Iterable

from losswatch_server.codec import damage
from losswatch_server.store.rows import RecordRow


def note_block(row: RecordRow, error: BaseException) -> None:
    """A block of points could not be read."""
    damage.note(*_cell(row), error)


def damaged_blocks(rows: Iterable[RecordRow]) -> list[RecordRow]:
    """Those of the rows whose block was found to be damaged."""
    if not damage.count():
        return []
    return [row for row in rows if damage.noted(*_cell(row))]


def steps_of(row: RecordRow) -> str:
    """Which steps a row holds, for people."""
    if row.first_step == row.last_step:
        return f"step {row.first_step}"
    return f"steps {row.first_step} to {row.last_step}"


def _cell(row: RecordRow) -> damage.Cell:
    what = f"the block of {row.n} entries at {steps_of(row)}"
    return what, ("record", row.seq, row.received_ms, len(row.body))
