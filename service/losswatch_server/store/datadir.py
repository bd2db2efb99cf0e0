"""The data directory: created when missing, and held by one process at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from losswatch_server.store.errors import DataDirectoryLockedError

DATABASE = "losswatch.sqlite3"
LOCK = "losswatch.lock"


class DataDirectory:
    """A locked directory. The lock is the operating system's: it ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._file = (path / LOCK).open("a+b")
        if not _try_lock(self._file):
            self._file.seek(0)
            held_by = self._file.read(20).split(b"\n")[0]
            self._file.close()
            raise DataDirectoryLockedError(int(held_by) if held_by.isdigit() else None)
        self._file.truncate(0)
        self._file.write(b"%d\n" % os.getpid())
        self._file.flush()

    @property
    def database(self) -> Path:
        """The SQLite file in it."""
        return self.path / DATABASE

    def release(self) -> None:
        """Let another process have it."""
        self._file.truncate(0)
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            file.seek(1 << 20)  # past the process number, which others must be able to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
