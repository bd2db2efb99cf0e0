"""Whether the path of the database still leads to the files that are open: what is written to others is lost.

A file that was deleted or replaced takes every write and every sync without complaint until the last descriptor is
closed, and then it is gone. So the writer looks before it lets anybody be told "stored". Nothing can be deleted or
renamed in a folder without moving the folder's own time: as long as that stands still, one ``stat`` tells.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from losswatch_server.store.errors import StoreLostError

Inode = tuple[int, int]

SETTLED_NS = 2_000_000_000
"""A folder's time is as coarse as the kernel's clock (10 ms at most; 2 s on FAT): until it is this old a second
change might share it with the first."""


class OpenFiles:
    """The database and its write-ahead log as they are now; SQLite leaves both in place while a connection is open."""

    def __init__(self, path: Path) -> None:
        self._folder = str(path.parent)
        self._path = str(path)
        self._log = f"{path}-wal"
        self._database = _inode(self._path)
        self._logged: Inode | None = None
        self._settled: tuple[int, int, int] | None = None

    def log_opened(self) -> None:
        """The write-ahead log that is there now is the one in use."""
        if self._logged is None:
            self._logged = _inode(self._log)

    def check(self) -> None:
        """Raises StoreLostError where a path leads elsewhere, OSError where that cannot be told."""
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


def _inode(path: str) -> Inode:
    found = os.stat(path)  # noqa: PTH116
    return found.st_dev, found.st_ino
