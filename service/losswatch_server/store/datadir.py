"""The data directory: created when missing, for its owner alone, and held by one process at a time."""

from __future__ import annotations

import logging
import os
import stat
import sys
from pathlib import Path
from typing import IO

from losswatch_server.store.errors import DataDirectoryError, DataDirectoryLockedError

logger = logging.getLogger(__name__)

DATABASE = "losswatch.sqlite3"
LOCK = "losswatch.lock"
FOLDER_MODE = 0o700
FILE_MODE = 0o600
"""The database holds the secrets of notification targets; SQLite gives its log the mode of the database."""


class DataDirectory:
    """A locked directory. The lock is the operating system's: it ends with the process, however that ends.

    Raises DataDirectoryError where the directory cannot be had, DataDirectoryLockedError where another has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            _tighten_folder(path)
            self._file = _own(path / LOCK)
        except FileExistsError:
            raise DataDirectoryError("This is a file; the data directory is a folder.") from None
        except OSError as error:
            raise DataDirectoryError(_sentence(error)) from error
        if not _try_lock(self._file):
            self._file.seek(0)
            held_by = self._file.read(20).split(b"\n")[0]
            self._file.close()
            raise DataDirectoryLockedError(int(held_by) if held_by.isdigit() else None)
        try:
            self._file.truncate(0)
            self._file.write(b"%d\n" % os.getpid())
            self._file.flush()
            _own(self.database).close()
            for name in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
                _tighten(path / name, FILE_MODE)
        except OSError as error:
            self._file.close()
            raise DataDirectoryError(_sentence(error)) from error

    @property
    def database(self) -> Path:
        """The SQLite file in it."""
        return self.path / DATABASE

    def release(self) -> None:
        """Let another process have it."""
        try:
            self._file.truncate(0)
        finally:
            self._file.close()


def _sentence(error: OSError) -> str:
    return f"This cannot be the data directory: {(error.strerror or str(error)).lower()}. Choose another folder."


def _own(path: Path) -> IO[bytes]:
    """The file, made for the owner alone where it is new, and taken from others where it is not."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE), "a+b")
    _tighten(path, FILE_MODE)
    return file


def _tighten_folder(path: Path) -> None:
    """Only a folder that holds nothing else is closed to others: ``--data /tmp`` must not take that from everybody."""
    if all(entry.name.startswith("losswatch.") for entry in path.iterdir()):
        _tighten(path, FOLDER_MODE)


def _tighten(path: Path, mode: int) -> None:
    try:
        now = stat.S_IMODE(path.stat().st_mode)
        if now & ~mode:
            path.chmod(now & mode)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("%s can be read by others, and its mode cannot be changed: %s", path, error.strerror)


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
