"""The one guarded reading of cells: what a column may hold is said here, and what else is found in it is damage.

SQLite takes any value in any column, so a row may come back with a text where a number was. A cell that can be made
again from others is; a plain value stands in for one that cannot; a row whose key is damaged is left out. Each is
noted once, and none of them is an error for whoever reads the rows beside it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from losswatch_server.codec import damage

T = TypeVar("T")
R = TypeVar("R", bound=NamedTuple)

MOST = 2**53
"""No count, step or place in a record is larger."""
LATEST = 253402300799.0
"""The last second of the year 9999: no time is later."""


def whole(value: object, low: int = 0, high: int = MOST) -> int:
    """The value where it is an integer from low to high. Raises ValueError."""
    if type(value) is int and low <= value <= high:
        return value
    raise ValueError(_shown(value))


def moment(value: object) -> float:
    """The value where it is a time: seconds since 1970, up to the year 9999. Raises ValueError."""
    if (type(value) is float or type(value) is int) and 0.0 <= value <= LATEST:
        return value
    raise ValueError(_shown(value))


def text(value: object, least: int = 0) -> str:
    """The value where it is a text of at least so many characters. Raises ValueError."""
    if type(value) is str and len(value) >= least:
        return value
    raise ValueError(_shown(value))


def given(check: Callable[[object], T], value: object) -> T | None:
    """The value where it passes the check or is None. Raises ValueError."""
    return None if value is None else check(value)


class GuardedRow:
    """Reads the cells of one row, and remembers which of them were damaged."""

    def __init__(self, table: str, *key: object) -> None:
        self._table = table
        self._key = key
        self.damaged: list[str] = []

    def cell(self, column: str, read: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """What ``read`` gives; where it raises ValueError or KeyError, what ``otherwise`` does."""
        try:
            return read()
        except (ValueError, KeyError) as error:
            damage.note(f"{column} of {self._table}", self._key, error)
            self.damaged.append(column)
            return otherwise()


def sound_rows(kind: type[R], table: str, keys: int, found: Iterable[Sequence[Any]]) -> Iterator[R]:
    """Rows as ``kind`` describes them; see ``sound_row``. Those with a damaged key are left out."""
    for cells in found:
        row = sound_row(kind, table, keys, cells)
        if row is not None:
            yield row


def sound_row(kind: type[R], table: str, keys: int, cells: Sequence[Any] | None) -> R | None:
    """The cells as ``kind``, a NamedTuple of texts, integers, times (float) and bytes, each also optional, of which
    the first ``keys`` are the row's key; None where there is no such row or its key is damaged.

    For another damaged cell None stands in where it is optional, else "", 0 or no bytes.
    """
    if cells is None:
        return None
    columns = _columns(kind)
    if all(check(cell) for (_, check, _), cell in zip(columns, cells, strict=True)):
        return kind._make(cells)
    row = []
    for place, ((name, check, stand_in), cell) in enumerate(zip(columns, cells, strict=True)):
        if not check(cell):
            damage.note(f"{name} of {table}", tuple(cells[:keys]), _shown(cell))
            if place < keys:
                return None
            cell = stand_in
        row.append(cell)
    return kind._make(row)


_Column = tuple[str, Callable[[object], bool], Any]
"""Name, whether a cell is sound, and what stands in for one that is not."""

_CHECKS: dict[object, tuple[Callable[[object], object], Any]] = {
    str: (text, ""),
    int: (whole, 0),
    float: (moment, 0.0),
}


@cache
def _columns(kind: type[Any]) -> tuple[_Column, ...]:
    return tuple(_column(name, hint) for name, hint in typing.get_type_hints(kind).items())


def _column(name: str, hint: Any) -> _Column:
    optional = isinstance(hint, types.UnionType)
    plain = next(part for part in typing.get_args(hint) if part is not type(None)) if optional else hint

    def is_sound(cell: object) -> bool:
        if cell is None:
            return optional
        if plain is bytes:
            return type(cell) is bytes
        try:
            _CHECKS[plain][0](cell)
        except ValueError:
            return False
        return True

    stand_in = None if optional else b"" if plain is bytes else _CHECKS[plain][1]
    return name, is_sound, stand_in


def _shown(value: object) -> str:
    return f"it holds {value!r:.80}"
