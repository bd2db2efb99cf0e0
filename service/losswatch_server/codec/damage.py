"""Stored cells that cannot be read: each costs what it held and nothing beside it, is logged once, and is counted.

What can be made again from the record is made again; what cannot is left out, and said to be left out.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Callable
from threading import Lock, local
from typing import Any, NamedTuple, TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")

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

Cell = tuple[str, tuple[object, ...]]
"""What it is and the key of its row."""

_lock = Lock()
_found: set[Cell] = set()
"""Of this process, like the log: a cell that is met by every reader is one damaged cell."""


class DamagedCellError(ValueError):
    """The text or the bytes are not what was written."""


class Damage(NamedTuple):
    """A cell that could not be read, for ``note``."""

    what: str
    key: tuple[object, ...]
    why: str


_telling = local()


def told(raw: bytes, work: Callable[..., T], *arguments: Any) -> tuple[T, list[Damage]]:
    """What ``work(raw, *arguments)`` gives, and the damage that it meets, for the caller to note: what is done in
    another process would note it there."""
    met: list[Damage] = []
    _telling.met = met
    try:
        return work(raw, *arguments), met
    finally:
        _telling.met = None


def note(what: str, key: tuple[object, ...], error: BaseException | str) -> None:
    """A cell could not be read: ``what`` it is and the ``key`` of its row."""
    why = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    met: list[Damage] | None = getattr(_telling, "met", None)
    if met is not None:
        met.append(Damage(what, key, why))
        return
    with _lock:
        if (what, key) in _found or len(_found) >= REMEMBERED:
            return
        _found.add((what, key))
    logger.error("damaged in the database: %s of %s (%s)", what, "/".join(map(str, key)), why[:300])


def noted(what: str, key: tuple[object, ...]) -> bool:
    """Whether that cell was found to be damaged."""
    return (what, key) in _found


def count() -> int:
    """How many damaged cells were met since the process started."""
    return len(_found)
