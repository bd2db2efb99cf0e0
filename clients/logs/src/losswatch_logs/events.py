"""TensorBoard's event files, as every framework's writer writes them: scalars out, no TensorFlow needed.

A file is a sequence of TFRecords: length (uint64), checksum, an ``Event`` message, checksum; all little-endian. Of the
messages only what a scalar consists of is decoded. The layout is that of ``tensorflow/core/util/event.proto`` and
``summary.proto``.
"""

from __future__ import annotations

import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from losswatch_logs import points
from losswatch_logs.result import NO_COLUMNS, Columns, ReadLog, UnreadableLogError
from losswatch_logs.table import Row, Table

_LENGTH = struct.Struct("<Q")
_OVERHEAD = 16
"""Bytes of a record beside its data."""
_MOST = 1 << 30
"""A longer record is none: the file is damaged."""
_FLOAT, _DOUBLE, _INT32, _INT64, _HALF = 1, 2, 3, 9, 19
_FORMATS = {_FLOAT: "<f", _DOUBLE: "<d", _INT32: "<i", _INT64: "<q", _HALF: "<e"}
_VALUES = {5: ("<f", 4), 6: ("<d", 8)}
"""Fields of a tensor that hold its numbers one by one."""

Field = Tuple[int, Union[int, bytes]]


class Scalar(NamedTuple):
    """One value of one series."""

    step: int
    tag: str
    value: float
    time: float


class EventFile:
    """A file that may still be written: fed with bytes, it gives the scalars of every record that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self.is_damaged = False

    def feed(self, data: bytes) -> List[Scalar]:
        """The scalars that ``data`` completes. A damaged file gives what came before the damage."""
        buffer = self._rest + data
        start = 0
        found: List[Scalar] = []
        while not self.is_damaged and len(buffer) - start >= _OVERHEAD:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > _MOST:
                self.is_damaged = True
                break
            end = start + _OVERHEAD + length
            if end > len(buffer):
                break
            try:
                found.extend(_scalars(buffer[start + 12 : end - 4]))
            except (struct.error, IndexError, ValueError):
                self.is_damaged = True
            start = end
        self._rest = b"" if self.is_damaged else buffer[start:]
        return found


def is_event_file(data: bytes) -> bool:
    """Whether a file begins as TensorBoard's do: with the version of its format."""
    return data[8:12] != b"" and b"brain.Event:" in data[:64]


def read_events(scalars: Sequence[Scalar], columns: Columns = NO_COLUMNS) -> ReadLog:
    """The points that scalars in the order of their writing make. Raises UnreadableLogError where none is a loss."""
    if not scalars:
        raise UnreadableLogError("The event files hold no scalars so far.")
    table = Table("tensorboard")
    row: Dict[str, Optional[float]] = {}
    for step, tag, value, _ in scalars:
        if row and (row["step"] != step or tag in row):
            table.add(row)
            row = {}
        row["step"] = float(step)
        row[tag] = value
    table.add(row)
    _join_rows(table)
    return points.assemble(table, len(scalars), columns)


def _join_rows(table: Table) -> None:
    """One row a step where each tag was written in a pass of its own; a step that comes back is a resume."""
    rows: List[Row] = []
    at: Dict[float, Dict[str, Optional[float]]] = {}
    for row in table.rows:
        step = row["step"] or 0.0
        before = at.get(step)
        if before is not None and not (row.keys() - {"step"}) & before.keys():
            before.update(row)
            continue
        if before is not None:
            at = {}  # the same series at the same step once more: what follows is another attempt
        fresh = dict(row)
        at[step] = fresh
        rows.append(fresh)
    table.rows[:] = rows
    del table.marks[len(rows) :]


def _scalars(event: bytes) -> Iterator[Scalar]:
    time, step = 0.0, 0
    summaries: List[bytes] = []
    for number, value in _fields(event):
        if number == 1 and isinstance(value, bytes):
            (time,) = struct.unpack("<d", value)
        elif number == 2 and isinstance(value, int):
            step = value - (1 << 64) if value >> 63 else value
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1 and isinstance(value, bytes):
                named = _value(value)
                if named is not None and step >= 0:
                    yield Scalar(step, named[0], named[1], time)


def _value(message: bytes) -> Optional[Tuple[str, float]]:
    """The tag and the number of a summary's value; None for an image, a histogram or a text."""
    tag: Optional[str] = None
    number: Optional[float] = None
    for field, value in _fields(message):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", errors="replace")
        elif field == 2 and isinstance(value, bytes) and len(value) == 4:
            number = _as_written(*struct.unpack("<f", value))
        elif field == 8 and isinstance(value, bytes):
            number = _tensor(value)
    return None if tag is None or number is None else (tag, number)


def _tensor(message: bytes) -> Optional[float]:
    """The one number of a tensor, as TensorFlow 2 writes scalars; None for any other."""
    kind = 0
    content = b""
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 4 and isinstance(value, bytes):
            content = value
        elif field in _VALUES and isinstance(value, bytes):
            form, size = _VALUES[field]
            return _number(form, value) if len(value) == size else None
    form = _FORMATS.get(kind, "")
    return _number(form, content) if form and len(content) == struct.calcsize(form) else None


def _number(form: str, content: bytes) -> float:
    (number,) = struct.unpack(form, content)
    return _as_written(number) if form == "<f" else float(number)


def _as_written(number: float) -> float:
    """The shortest number that a float32 may have been: 0.001 for 0.0010000000474974513."""
    for digits in (6, 7, 8):
        shorter = float(f"{number:.{digits}g}")
        if shorter == number or (abs(shorter) < 3e38 and struct.unpack("<f", struct.pack("<f", shorter))[0] == number):
            return shorter
    return number


def _fields(message: bytes) -> Iterator[Field]:
    """The fields of a protocol buffer's message: varints as int, everything else as bytes."""
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(message, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if place + size > end:
            raise ValueError("a field ends beyond its message")
        yield number, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
        shift += 7
        if shift > 70:
            raise ValueError("a number without an end")
