"""Where a database is: a data folder with a SQLite file, or the address of a PostgreSQL server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar
from urllib.parse import urlsplit

from losswatch_server.store import schema
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.datadir import DATABASE, DataDirectory
from losswatch_server.store.errors import RAW, DataDirectoryLockedError, StoreFailedError
from losswatch_server.store.sql_store import SqlStore
from losswatch_server.store.sqlite import SqliteStore

T = TypeVar("T")
Place = Path | str
"""The folder of a SQLite file, or the address of a PostgreSQL database: ``postgresql://user:password@host/name``."""


def open_store(place: Place) -> SqlStore:
    """The store at a place. Raises DataDirectoryError, SchemaTooNewError, StoreFailedError."""
    if isinstance(place, Path):
        return SqliteStore.open(place)
    store: SqlStore = _postgres().PostgresStore.open(place)
    return store


def shown(place: Place) -> str:
    """The place for people: without a password."""
    if isinstance(place, Path):
        return str(place)
    try:
        parts = urlsplit(place)
        return f"{parts.hostname or 'localhost'}{parts.path}"
    except ValueError:
        return "the database"


def migrate(place: Place) -> str:
    """Bring the database up to date; where it is, for people. Raises StoreError, OSError."""
    if isinstance(place, Path):
        directory = DataDirectory(place)
        try:
            schema.migrate(directory.database)
        finally:
            directory.release()
        return str(directory.database)
    try:
        _postgres().schema.migrate(_postgres().Database(place))
    except RAW as error:
        raise StoreFailedError(f"The database cannot be opened: {error}.") from error
    return shown(place)


def look(place: Place, since: str, work: Callable[[DatabaseConnection], T]) -> T | None:
    """What ``work`` reads of the database, whether or not a service has it open; None where it cannot be read, or its
    schema is older than ``since``."""
    try:
        connection: DatabaseConnection
        if isinstance(place, Path):
            if (schema.current(place / DATABASE) or "") < since:
                return None
            connection = schema.connect_reader(place / DATABASE)
        else:
            connection = _postgres().Database(place).connect()
        with contextlib.closing(connection):
            if not isinstance(place, Path) and (_postgres().schema.current(connection) or "") < since:
                return None
            return work(connection)
    except RAW:
        return None


def change(place: Place, since: str, work: Callable[[DatabaseConnection], T]) -> T:
    """What ``work`` makes of the database, in one transaction, whether or not a service has it open; then its schema
    may not be older than ``since``.

    Raises StoreError where the database cannot be had, and what ``work`` raises.
    """
    try:
        connection: DatabaseConnection
        if isinstance(place, Path):
            _bring_up_to_date(place, since)
            connection = schema.connect(place / DATABASE)
        else:
            database = _postgres().Database(place)
            _postgres().schema.migrate(database)
            connection = database.connect()
        with contextlib.closing(connection):
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


def _postgres() -> ModuleType:
    """The package of PostgreSQL's store, which needs more than is always installed."""
    try:
        from losswatch_server.store import postgres
    except ImportError as error:
        raise StoreFailedError(
            f"PostgreSQL needs one more package ({error.name}): pip install 'losswatch-server[postgres]'."
        ) from error
    return postgres
