"""Cursors of the lists of runs and findings and of a run's series: opaque to clients, a place in the order to us."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from losswatch_server.runs.walk import Place
from losswatch_server.store.rows import RunOrder, RunRow

Cell = str | int | float | bytes
"""What SQLite sorts by, also where it is damaged: then a list goes on after it."""


def write_cursor(last: RunRow, order: RunOrder) -> str:
    """The cursor of the page after ``last``."""
    return _write([_cell(order.place(last), float), last.uid, *([] if order is RunOrder.CREATED else [order])])


def read_cursor(cursor: str, order: RunOrder) -> tuple[Cell, str]:
    """The place (that in the order, uid). Raises ValueError for anything that ``write_cursor`` did not write for this
    order."""
    match _read(cursor):
        case [place, str(uid)] if order is RunOrder.CREATED:
            return _of_cell(place, float), uid
        case [place, str(uid), str(of)] if of == order:
            return _of_cell(place, float), uid
    raise ValueError("not a cursor of this list")


def write_place(uid: str, place: Place) -> str:
    """The cursor of the page of a run's series after a point."""
    return _write([uid, *place])


def read_place(uid: str, cursor: str) -> Place:
    """The place. Raises ValueError for anything that ``write_place`` did not write for this run."""
    match _read(cursor):
        case [str(of), int(attempt), int(step), int(rank), bool(superseded)] if of == uid:
            return Place(attempt, step, rank, superseded)
    raise ValueError("not a cursor of this series")


def write_opening(place: tuple[object, object, object]) -> str:
    """The cursor of the page of a project's findings after one: when it opened, its run's uid, its id."""
    return _write([_cell(value, kind) for value, kind in zip(place, (float, str, str), strict=True)])


def read_opening(cursor: str) -> tuple[Cell, Cell, Cell]:
    """The place. Raises ValueError for anything that ``write_opening`` did not write."""
    match _read(cursor):
        case [opened_at, uid, finding_id]:
            return _of_cell(opened_at, float), _of_cell(uid, str), _of_cell(finding_id, str)
    raise ValueError("not a cursor of findings")


def _cell(value: object, kind: type[float | str]) -> object:
    """The value; one of another kind than the column's is damage, and written apart."""
    if isinstance(value, kind):
        return value
    return {"bytes": value.hex()} if isinstance(value, bytes) else {"cell": value}


def _of_cell(value: object, kind: type[float | str]) -> Cell:
    """The inverse of ``_cell``. Raises ValueError for anything that it did not write."""
    match value:
        case {"bytes": str(digits)}:
            return bytes.fromhex(digits)
        case {"cell": str(cell) | float(cell)}:
            return cell
        case {"cell": int(cell)} if abs(cell) < 1 << 63:
            return cell
        case str() | float() if isinstance(value, kind):
            return value
    raise ValueError("not a place in a list")


def _write(place: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ValueError("not a cursor") from error
