"""Cells that cannot be read: each costs what it held and nothing beside it, is logged once, and is counted.

What can be made again from the record is made again; what cannot is left out, and said to be left out.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterable
from threading import Lock

from losswatch_server.store.rows import RecordRow

logger = logging.getLogger(__name__)

MISSHAPEN = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
    zlib.error,
)
"""What reading raises where the bytes, or the shape of what they say, are not what was written."""

REMEMBERED = 10_000
"""Damaged cells that are told apart; what comes after them is neither logged nor counted."""

_lock = Lock()
_found: set[tuple[str, tuple[object, ...]]] = set()
"""Of this process, like the log: a cell that is met by every reader is one damaged cell."""


def note(what: str, key: tuple[object, ...], error: BaseException | str) -> None:
    """A cell could not be read: ``what`` it is and the ``key`` of its row."""
    with _lock:
        if (what, key) in _found or len(_found) >= REMEMBERED:
            return
        _found.add((what, key))
    why = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    logger.error("damaged in the database: %s of %s (%s)", what, "/".join(map(str, key)), why[:300])


def count() -> int:
    """How many damaged cells were met since the process started."""
    return len(_found)


def note_block(row: RecordRow, error: BaseException) -> None:
    """A block of points could not be read."""
    note(f"the block of {row.n} entries at {steps_of(row)}", _key(row), error)


def damaged_blocks(rows: Iterable[RecordRow]) -> list[RecordRow]:
    """Those of the rows whose block was found to be damaged."""
    if not _found:
        return []
    return [row for row in rows if (f"the block of {row.n} entries at {steps_of(row)}", _key(row)) in _found]


def steps_of(row: RecordRow) -> str:
    """Which steps a row holds, for people."""
    if row.first_step == row.last_step:
        return f"step {row.first_step}"
    return f"steps {row.first_step} to {row.last_step}"


def _key(row: RecordRow) -> tuple[object, ...]:
    return ("record", row.seq, row.received_ms, len(row.body))
