"""A copy of the database of a data folder while a service uses it, and the way back.

Both make the new file beside its place and move it there whole: whenever it is killed, what is at the place is the
whole of the old or the whole of the new. Of SQLite alone: PostgreSQL has tools of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from losswatch_server.store import schema
from losswatch_server.store.datadir import DATABASE, FILE_MODE, DataDirectory
from losswatch_server.store.errors import StoreError, StoreFailedError

PARTIAL = ".partial"
REPLACED = ".replaced"


class NoBackupError(StoreError):
    """What was asked cannot be done; the message says why and what to do."""


def back_up(folder: Path, target: Path) -> int:
    """Copy the database, as it is at one moment, to a file that does not exist yet; the bytes that it has.

    Raises NoBackupError and StoreFailedError.
    """
    if target.exists():
        raise NoBackupError(f"{target} exists already; name another file.")
    if schema.current(folder / DATABASE) is None:
        raise NoBackupError(f"there is no database in {folder}.")
    try:
        partial = _copied(schema.connect_reader(folder / DATABASE), target.with_name(target.name + PARTIAL))
        os.link(partial, target)  # unlike a rename it never replaces what somebody else put there meanwhile
        partial.unlink()
        _sync(target.parent)
        return target.stat().st_size
    except FileExistsError:
        raise NoBackupError(f"{target} exists already; name another file.") from None
    except (sqlite3.Error, OSError) as error:
        raise StoreFailedError(f"The copy could not be made: {error}.") from error


def restore(source: Path, folder: Path, *, replace: bool = False) -> Path | None:
    """Put a copy into a data folder that no service uses. Where the database of what was there before is kept, if
    there was one.

    Raises NoBackupError, SchemaTooNewError, DataDirectoryError and StoreFailedError; all is as it was then.
    """
    _examine(source)
    directory = DataDirectory(folder)
    try:
        database = directory.database
        was_there = database.stat().st_size > 0
        if was_there and not replace:
            raise NoBackupError(f"there is a database in {folder} already; --replace puts it aside.")
        new = _copied(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True), folder / f"{DATABASE}.restoring"
        )
        aside = _put_aside(database) if was_there else None
        new.replace(database)
        _sync(folder)
        return aside
    except (sqlite3.Error, OSError) as error:
        raise StoreFailedError(f"The copy could not be put there: {error}.") from error
    finally:
        directory.release()


def _examine(source: Path) -> None:
    try:
        if not source.is_file():
            raise NoBackupError(f"{source} is not a file.")
        found = schema.current(source)
        if found is not None and found > schema.head():
            schema.check_newer(found, schema.head(), schema.oldest(source))
    except (sqlite3.Error, OSError) as error:
        raise NoBackupError(f"{source} is no database of Losswatch: {error}.") from None
    if found is None:
        raise NoBackupError(f"{source} is no database of Losswatch.")


def _copied(source: sqlite3.Connection, path: Path) -> Path:
    """A whole, sound copy on the disk, in one file, for its owner alone. In one step: a copy in several begins anew
    whenever somebody writes in between."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        (told,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if told != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {told}")
    _sync(path)
    return path


def _put_aside(database: Path) -> Path:
    """Keep the old database under another name, with what is still in its log. Its log must not be there any more
    when the new one is: SQLite would lay it over that."""
    aside = database.with_name(database.name + REPLACED)
    aside_log, log = Path(f"{aside}-wal"), Path(f"{database}-wal")
    for old in (aside, aside_log):
        old.unlink(missing_ok=True)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(schema.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.link(database, aside)
    with contextlib.suppress(FileNotFoundError):
        log.replace(aside_log)
    Path(f"{database}-shm").unlink(missing_ok=True)
    return aside


def _sync(path: Path) -> None:
    """Have it on the disk: a file, or the names in a folder."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
