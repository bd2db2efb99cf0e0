"""Rows of the record as they lie in the database: each body begins with a checksum of itself and of its row's cells.

So a flipped bit is named instead of served, and a damaged cell can be made again with certainty: what is tried in its
place is right where the checksum fits. Rows of older versions have none; they are read as they are.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from losswatch_server.codec import damage
from losswatch_server.monitor.entries import WITHOUT_POINT, Attempt, EntryKind
from losswatch_server.store.cells import MOST, given, text, whole
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.sealing import shape

RECORD = "seq, n, kind, attempt, writer, received_ms, first_step, last_step, body"
IS_WHOLE = "CAST(seq AS BIGINT) = seq"
"""Not so for a text or a fraction, which only a damaged cell of SQLite holds."""
Key = tuple[str, str]
"""Project and uid of a run."""

CHECKED = 2
"""The first byte of a body with a checksum; those without begin with 1, a brace, or are empty."""
_HEAD = struct.Struct("<BI")
CHECK_BYTES = _HEAD.size
_CELLS = struct.Struct("<qqBqqq")
_KINDS = {kind.value: kind for kind in EntryKind}
_MOST_MS = 1 << 48


def to_database(row: RecordRow) -> tuple[Any, ...]:
    """The cells of ``RECORD``."""
    seq, n, kind, attempt, writer, received_ms, first_step, last_step, body = row
    head = _HEAD.pack(CHECKED, _checksum(seq, n, kind, attempt, first_step, last_step, body))
    return seq, n, kind.value, attempt, writer, received_ms, first_step, last_step, head + body


def from_database(connection: DatabaseConnection, key: Key, found: Iterable[tuple[Any, ...]]) -> Iterator[RecordRow]:
    """The rows of a run as they were selected by ``RECORD``. One whose place is damaged is left out; one that cannot
    be mended has no body, so that whoever reads it names it."""
    for cells in found:
        row = as_written(cells) or _mended(connection, key, cells)
        if row is not None:
            yield row


def as_written(cells: Sequence[Any]) -> RecordRow | None:
    """The row, where every cell holds what it may, and its checksum, where there is one, fits."""
    seq, n, kind, attempt, writer, received_ms, first_step, last_step, body = cells
    try:
        if body[:1] == b"\x02":
            checksum: int = _HEAD.unpack_from(body)[1]
            body = body[_HEAD.size :]
            if _checksum(seq, n, kind, attempt, first_step, last_step, body) != checksum:
                return None
        elif type(body) is not bytes or not (
            _are_whole(seq, n - 1, attempt, first_step, last_step) and first_step <= last_step
        ):
            return None
        return RecordRow(seq, n, _KINDS[kind], attempt, given(text, writer), whole(received_ms, 0, _MOST_MS),
                         first_step, last_step, body)  # fmt: skip
    except (ValueError, KeyError, TypeError, struct.error):
        return None


def past_record(connection: DatabaseConnection, key: Key, otherwise: object) -> int:
    """The place past the last entry of a record: that of the next one. ``otherwise`` is what the run says of it, for
    a record whose last row is damaged itself."""
    found = connection.execute(
        f"SELECT {RECORD} FROM record WHERE project = ? AND uid = ? AND seq BETWEEN 0 AND ? "
        f"AND {IS_WHOLE} ORDER BY seq DESC LIMIT 1",
        (*key, MOST),
    ).fetchone()
    if found is None:
        return 0
    row = as_written(found)
    if row is not None:
        return row.seq + row.n
    mended = _mended(connection, key, found)
    past = 0 if mended is None else mended.seq + mended.n
    return otherwise if type(otherwise) is int and past <= otherwise <= MOST else past


def attempts_of(connection: DatabaseConnection, key: Key) -> list[Attempt]:
    """The attempts of a run after the first, by their numbers; where a row of them is damaged, as the record has
    them."""
    query = "SELECT number, step, seq FROM attempt WHERE project = ? AND uid = ? ORDER BY number"
    found = connection.execute(query, key).fetchall()
    try:
        return [Attempt(whole(number, 1), whole(step), whole(seq)) for number, step, seq in found]
    except ValueError as error:
        damage.note("attempts of run", key, error)
    query = "SELECT attempt, first_step, seq FROM record WHERE project = ? AND uid = ? AND kind = ? ORDER BY seq"
    attempts: list[Attempt] = []
    for number, step, seq in connection.execute(query, (*key, EntryKind.ATTEMPT.value)):
        if _are_whole(number, step, seq):
            attempts.append(Attempt(number, step, seq))
    return attempts


def _checksum(seq: int, n: int, kind: int, attempt: int, first_step: int, last_step: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_CELLS.pack(seq, n, kind, attempt, first_step, last_step)))


def _are_whole(*cells: object) -> bool:
    return all(type(cell) is int and 0 <= cell <= MOST for cell in cells)


def _mended(connection: DatabaseConnection, key: Key, cells: Sequence[Any]) -> RecordRow | None:
    seq, _, _, attempt, writer, received_ms, first_step, last_step, body = cells
    place = (*key, seq)
    if type(seq) is not int or not 0 <= seq <= MOST:
        damage.note("place of a row of the record", place, f"steps {first_step} to {last_step}")
        return None
    writer = writer if type(writer) is str else None
    received_ms = received_ms if type(received_ms) is int and 0 <= received_ms <= _MOST_MS else 0
    known = [row for row in attempts_in_table(connection, key) if row.seq <= seq]
    stored = body if type(body) is bytes else b""
    is_checked = stored[:1] == b"\x02" and len(stored) >= _HEAD.size
    content = stored[_HEAD.size :] if is_checked else stored
    numbers = [attempt, *sorted({1, *(row.number for row in known)}, reverse=True)]
    if is_checked:
        checksum = _HEAD.unpack_from(stored)[1]
        for one, (count, first, last) in _guesses(cells, content, known):
            for number in numbers:
                try:
                    fits = _checksum(seq, count, one, number, first, last, content) == checksum
                except (struct.error, TypeError):
                    continue
                if fits:
                    damage.note("cells of a row of the record", place, f"steps {first} to {last}")
                    return RecordRow(seq, count, _KINDS[one], number, writer, received_ms, first, last, content)
    return _stand_in(connection, key, cells, numbers, b"" if is_checked else content)


def _stand_in(
    connection: DatabaseConnection, key: Key, cells: Sequence[Any], numbers: Sequence[Any], content: bytes
) -> RecordRow:
    """The row with plain values in the place of damaged cells; it keeps its place, and its steps as far as they can
    be told."""
    seq, n, kind, _, writer, received_ms, first_step, last_step, _ = cells
    query = f"SELECT seq FROM record WHERE project = ? AND uid = ? AND seq > ? AND {IS_WHOLE} ORDER BY seq LIMIT 1"
    following = connection.execute(query, (*key, seq)).fetchone()
    known = _KINDS.get(kind) if type(kind) is int else None
    if known is None:
        content = b""
    derived = None if known is None or known in WITHOUT_POINT else shape(known, content)
    room = MOST if following is None else following[0] - seq
    count = n if type(n) is int and 0 < n <= room else derived[0] if derived else 1
    steps = [step for step in (first_step, last_step) if type(step) is int and 0 <= step <= MOST]
    if derived is not None and len(steps) < 2:
        steps = [*derived[1:]]
    damage.note("cells of a row of the record", (*key, seq), f"steps {first_step} to {last_step}")
    return RecordRow(
        seq,
        count,
        known or EntryKind.POINTS,
        next(number for number in numbers if type(number) is int and 0 < number <= MOST),
        writer if type(writer) is str else None,
        received_ms if type(received_ms) is int and 0 <= received_ms <= _MOST_MS else 0,
        min(steps, default=0),
        max(steps, default=MOST),
        content,
    )


def _guesses(
    cells: Sequence[Any], content: bytes, attempts: Sequence[Attempt]
) -> Iterator[tuple[int, tuple[Any, Any, Any]]]:
    """Kinds, and the counts and steps, that a row may have had; what is cheap to find comes first."""
    seq, n, kind, _, _, _, first_step, last_step, _ = cells
    kinds = [kind] if kind in _KINDS else [*_KINDS]
    for one in kinds:
        yield one, (n, first_step, last_step)
    yield EntryKind.CONTEXT.value, (1, 0, 0)
    for attempt in attempts:
        if attempt.seq == seq:
            yield EntryKind.ATTEMPT.value, (1, attempt.step, attempt.step)
    for like in (EntryKind.POINTS, EntryKind.SEALED):
        found = shape(like, content)
        if found is not None:
            for one in _KINDS:
                if (one == EntryKind.SEALED) == (like == EntryKind.SEALED):
                    yield one, found


def attempts_in_table(connection: DatabaseConnection, key: Key) -> list[Attempt]:
    """Those of the table whose cells are sound."""
    found = connection.execute("SELECT number, step, seq FROM attempt WHERE project = ? AND uid = ?", key)
    return [Attempt._make(cells) for cells in found if _are_whole(*cells)]
