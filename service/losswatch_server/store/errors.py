"""What can go wrong with the store, each with what a caller may do about it.

Nothing else comes out of a store's reads and writes but these and the errors of the work itself: ``failed_read`` and
``failed_write`` translate what the database, the operating system and a machine without memory raise.
"""

from __future__ import annotations

import sqlite3
import zlib


class StoreError(Exception):
    """Something is wrong with the store; nothing of a refused write was kept, but see StoreUncertainError."""


class StoreBusyError(StoreError):
    """More writes are waiting than the store takes on. Try again a little later."""


class StoreClosedError(StoreError):
    """The store is closed, or is closing: the service is being stopped."""


class StoreFailedError(StoreError):
    """The database could not keep a write (a full disk, an input/output error). Nothing of it was kept. Try again."""


class StoreUncertainError(StoreFailedError):
    """The database broke while it committed: it may have kept the write, or not. Points can be sent again, as those
    that were kept are counted once."""


class StoreDamagedError(StoreFailedError):
    """What a write had to read is damaged. Others can be kept meanwhile."""


class StoreUnreadableError(StoreError):
    """The database could not be read (an input/output error, no file descriptors, a damaged page). Try again."""


class StoreLostError(StoreError):
    """The database file was replaced or deleted under the store. It stays so until the process is started again."""


class StoreConflictError(StoreError):
    """What was to be written contradicts what is there. Nothing of it was kept; trying again will not help."""


class RunMovedError(StoreError):
    """The stored run is no longer as the writer knew it: load it anew and try again."""


class DataDirectoryError(StoreError):
    """The data directory cannot be had; the message is a sentence for whoever chose it."""


class DataDirectoryLockedError(DataDirectoryError):
    """Another process has the data directory open; ``pid`` says which, where it is known."""

    def __init__(self, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"The data directory is in use by {holder}. Stop that, or choose another folder with --data.")
        self.pid = pid


class SchemaTooNewError(StoreError):
    """A newer Losswatch wrote this database; this one would not understand it."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"The database has schema {found}, this version of Losswatch knows schemas up to {known}. "
            "Start the newer version, or use another data directory."
        )
        self.found = found
        self.known = known


class DatabaseError(Exception):
    """What a database other than SQLite raised, in its own words."""


class DamageFoundError(DatabaseError):
    """What is in the database cannot be what was written to it."""


class CommitInDoubtError(DatabaseError):
    """A COMMIT ended in a way that does not say whether it was kept."""


class ContradictionError(DatabaseError):
    """A row contradicts what is there."""


class TransactionOvertakenError(DatabaseError):
    """Another transaction was in the way; the same again will do."""


class ConnectionBrokenError(DatabaseError):
    """The connection is broken. What was not committed is undone; of a COMMIT under way nobody knows."""


REFUSED = (sqlite3.IntegrityError, ContradictionError)
"""A row contradicts what is there."""
RAW = (sqlite3.Error, sqlite3.Warning, DatabaseError, zlib.error, MemoryError, OSError)
"""What a database, its file and the machine raise by themselves."""


def failed_read(error: Exception) -> Exception:
    """What a read that ended with ``error`` raises: a StoreError for what is in RAW, else the error itself."""
    if isinstance(error, RAW):
        return StoreUnreadableError(f"The database could not be read: {_reason(error)}.")
    return error


def failed_write(error: Exception) -> Exception:
    """The same for a write."""
    if isinstance(error, REFUSED):
        return StoreConflictError(f"The database refused a write that contradicts what it holds: {_reason(error)}.")
    if isinstance(error, CommitInDoubtError):
        return StoreUncertainError(f"The database may have kept the write, or not: {_reason(error)}.")
    if _is_damage(error):
        return StoreDamagedError(f"The database could not keep the write: {_reason(error)}.")
    if isinstance(error, RAW):
        return StoreFailedError(f"The database could not keep the write: {_reason(error)}.")
    return error


def is_io_error(error: Exception) -> bool:
    """Whether SQLite met one of the disk or its file system."""
    return _sqlite_code(error) == sqlite3.SQLITE_IOERR


def _is_damage(error: Exception) -> bool:
    return isinstance(error, (zlib.error, DamageFoundError)) or _sqlite_code(error) == sqlite3.SQLITE_CORRUPT


def _sqlite_code(error: Exception) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
