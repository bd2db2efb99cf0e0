"""Whether the files that are open are still the database, and still where they were: what is written to others is lost.

A file that was deleted or replaced takes every write and every sync without complaint until the last descriptor is
closed, and then it is gone; one that was truncated or overwritten in place has lost what it held already. So the
writer looks before it lets anybody be told "stored". Nothing can be deleted or renamed in a folder without moving the
folder's own time, and nothing overwritten without moving the file's: as long as both stand still, two ``stat`` tell.

What is in the file is told by its first page: SQLite's own mark, and the application id, which is drawn anew at each
start. So a copy of this very database that is laid over it, as who restores a backup may do, is another one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path

from losswatch_server.store.errors import StoreLostError

Inode = tuple[int, int]

SETTLED_NS = 2_000_000_000
"""A folder's time is as coarse as the kernel's clock (10 ms at most; 2 s on FAT): until it is this old a second
change might share it with the first."""

_HEADER = struct.Struct(">16sH10xI36xI")
"""Of a database file: mark, size of a page, number of pages, application id."""
_MARK = b"SQLite format 3\0"
_LOG_MARKS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


def draw_mark(path: Path, connect: Callable[[Path], sqlite3.Connection]) -> int | None:
    """Write a fresh application id into the database; None where the disk does not take it now."""
    mark = secrets.randbits(31)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {mark}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return mark
    return None


class OpenFiles:
    """The database and its write-ahead log as they are now; SQLite leaves both in place while a connection is open.

    ``mark`` is the application id that was drawn for this start. Keeps a descriptor of each file until ``close``: with
    the first that a process closes of a database, it loses its locks on it.
    """

    def __init__(self, path: Path, mark: int | None = None) -> None:
        self._folder = str(path.parent)
        self._path = str(path)
        self._log = f"{path}-wal"
        self._file = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._log_file: int | None = None
        self._database = _inode(self._path)
        self._logged: Inode | None = None
        self._settled: tuple[int, int, int] | None = None
        self._seen = (0, 0)
        self._marks = {mark}
        with contextlib.suppress(struct.error):  # new and empty
            self._marks.add(_HEADER.unpack_from(_read(self._file, _HEADER.size))[3])

    def log_opened(self) -> None:
        """The write-ahead log that is there now is the one in use."""
        if self._logged is None:
            self._log_file = os.open(self._log, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            self._logged = _inode(self._log)

    def close(self) -> None:
        """Let go of the files, after every connection."""
        for file in (self._file, self._log_file):
            if file is not None:
                os.close(file)
        self._log_file = None

    def check(self) -> None:
        """Raises StoreLostError where a path leads elsewhere or a file holds something else, OSError where that cannot
        be told. Of the writer's own thread, or while it writes nothing."""
        self._check_place()
        self._check_database()
        if self._log_file is not None:
            begins = _read(self._log_file, 4)
            if begins and begins not in _LOG_MARKS:
                raise StoreLostError(f"{self._log} was overwritten or truncated while the service was using it.")

    def _check_place(self) -> None:
        try:
            folder = os.stat(self._folder)  # noqa: PTH116 - half the time of Path.stat, and once for every commit
            seen = (folder.st_dev, folder.st_ino, folder.st_mtime_ns)
            if seen == self._settled:
                return
            if _inode(self._path) != self._database:
                raise StoreLostError(f"The database file {self._path} was replaced while the service was using it.")
            if self._logged is not None and _inode(self._log) != self._logged:
                raise StoreLostError(f"{self._log} was replaced while the service was using it.")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreLostError(f"{error.filename} was deleted or moved while the service was using it.") from None
        self._settled = seen if abs(time.time_ns() - folder.st_mtime_ns) > SETTLED_NS else None

    def _check_database(self) -> None:
        found = os.fstat(self._file)
        seen = (found.st_size, found.st_mtime_ns)
        if seen == self._seen:
            return
        try:
            mark, page, pages, application = _HEADER.unpack_from(_read(self._file, _HEADER.size))
        except struct.error:
            mark = b""
        if mark == _MARK and application in self._marks:
            # A full disk leaves fewer pages than the first one says, but takes none away; VACUUM does both.
            is_cut = found.st_size < self._seen[0] and found.st_size < (page if page > 1 else 1 << 16) * pages
        else:
            is_cut = True
        if is_cut:
            raise StoreLostError(
                f"The database file {self._path} was overwritten or truncated while the service was using it."
            )
        self._seen = seen


def _inode(path: str) -> Inode:
    found = os.stat(path)  # noqa: PTH116
    return found.st_dev, found.st_ino


def _read(file: int, size: int) -> bytes:
    """The first bytes of a file."""
    if hasattr(os, "pread"):
        return os.pread(file, size, 0)
    os.lseek(file, 0, os.SEEK_SET)
    return os.read(file, size)
