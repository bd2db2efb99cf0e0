"""What happens to a cell of a database: the kinds of damage that the tests do to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

Cell = str | bytes


def _flipped(cell: Cell) -> Cell:
    data = bytearray(cell.encode() if isinstance(cell, str) else cell)
    data[len(data) // 2] ^= 0x80
    return bytes(data)


def _of_a_newer_version(cell: Cell) -> Cell:
    if isinstance(cell, bytes):
        return b"\x63" + cell[1:]
    return cell[:-1] + ',"from_the_future":1}' if cell.endswith("}") else cell + "_2"


DAMAGES: dict[str, Callable[[Cell], Cell]] = {
    "garbage": lambda cell: b"\xff\x00\xfe garbage \x80",
    "flipped": _flipped,
    "truncated": lambda cell: cell[: len(cell) // 2],
    "empty": lambda cell: cell[:0],
    "misshapen": lambda cell: '{"a": [1, {"b": null}]}',
    "a-list": lambda cell: "[1, 2]",
    "newer": _of_a_newer_version,
}


def damage(connection: sqlite3.Connection, table: str, column: str, where: str, kind: str) -> int:
    """Damage that column of those rows; how many. A text stays a text, as SQLite keeps it."""
    connection.text_factory = bytes
    rows = connection.execute(f"SELECT rowid_or_key, {column} FROM ({_keyed(table)}) WHERE {where}").fetchall()
    for key, cell in rows:
        given = cell if isinstance(cell, bytes) else str(cell).encode()
        text = _is_text(connection, table, column)
        new = DAMAGES[kind](given.decode() if text else given)
        new = new.encode() if isinstance(new, str) else new
        value = "CAST(? AS TEXT)" if text else "?"
        named = key.decode() if isinstance(key, bytes) else key
        done = connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {_KEY[table]} = ?", (new, named))
        assert done.rowcount == 1
    return len(rows)


_KEY = {
    "run": "uid", "snapshot": "uid || '/' || seq", "record": "uid || '/' || seq", "finding": "id", "event": "id",
    "target": "id", "delivery": "id", "concern": "id", "target_group": "key", "silence": "id",
}  # fmt: skip


def _keyed(table: str) -> str:
    return f"SELECT {_KEY[table]} AS rowid_or_key, * FROM {table}"


def _is_text(connection: sqlite3.Connection, table: str, column: str) -> bool:
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return next(row[2] for row in columns if row[1] == column.encode()) == b"TEXT"
