"""The keys of a data folder, whether or not a service has it open."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from losswatch_server.keys import table
from losswatch_server.store import schema
from losswatch_server.store.datadir import DATABASE, DataDirectory
from losswatch_server.store.errors import DataDirectoryLockedError, StoreFailedError

T = TypeVar("T")

KEYS_SINCE = "0008"
"""The schema that has the table."""


def there_are_keys(folder: Path) -> bool:
    """Whether a service on this folder asks for keys. A folder that cannot be read has none: the service says why."""
    try:
        if (schema.current(folder / DATABASE) or "") < KEYS_SINCE:
            return False
        with contextlib.closing(schema.connect_reader(folder / DATABASE)) as connection:
            return bool(table.keys(connection))
    except (sqlite3.Error, OSError):
        return False


def change(folder: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """What ``work`` makes of the database, in one transaction.

    Raises StoreError where the folder cannot be had, and what ``work`` raises.
    """
    try:
        _bring_up_to_date(folder)
        with contextlib.closing(schema.connect(folder / DATABASE)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            made = work(connection)
            connection.execute("COMMIT")
            return made
    except (sqlite3.Error, OSError) as error:
        raise StoreFailedError(str(error)) from error


def _bring_up_to_date(folder: Path) -> None:
    try:
        directory = DataDirectory(folder)
    except DataDirectoryLockedError:  # by the service, which did that when it started
        if (schema.current(folder / DATABASE) or "") < KEYS_SINCE:
            raise StoreFailedError(
                "The service that runs on this folder is of a version without keys; restart it first."
            ) from None
        return
    try:
        schema.migrate(directory.database)
    finally:
        directory.release()
