"""Where a database is: a data folder with a SQLite file, or the address of a PostgreSQL server."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from losswatch_server.store import schema
from losswatch_server.store.connection import Connection
from losswatch_server.store.datadir import DATABASE, DataDirectory
from losswatch_server.store.errors import RAW, DataDirectoryLockedError, StoreFailedError

T = TypeVar("T")


def look(folder: Path, since: str, work: Callable[[Connection], T]) -> T | None:
    """What ``work`` reads of the database, whether or not a service has it open; None where it cannot be read, or its
    schema is older than ``since``."""
    try:
        if (schema.current(folder / DATABASE) or "") < since:
            return None
        with contextlib.closing(schema.connect_reader(folder / DATABASE)) as connection:
            return work(connection)
    except (sqlite3.Error, OSError):
        return None


def change(folder: Path, since: str, work: Callable[[Connection], T]) -> T:
    """What ``work`` makes of the database, in one transaction, whether or not a service has it open; then its schema
    may not be older than ``since``.

    Raises StoreError where the database cannot be had, and what ``work`` raises.
    """
    try:
        _bring_up_to_date(folder, since)
        with contextlib.closing(schema.connect(folder / DATABASE)) as connection:
            connection.execute(connection.dialect.begin)
            made = work(connection)
            connection.execute("COMMIT")
            return made
    except RAW as error:
        raise StoreFailedError(str(error)) from error


def _bring_up_to_date(folder: Path, since: str) -> None:
    try:
        directory = DataDirectory(folder)
    except DataDirectoryLockedError:  # by the service, which did that when it started
        if (schema.current(folder / DATABASE) or "") < since:
            raise StoreFailedError("An older version of the service runs on this folder; restart it first.") from None
        return
    try:
        schema.migrate(directory.database)
    finally:
        directory.release()
