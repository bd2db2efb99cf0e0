"""The SQLite file: how it is opened, and how its schema is brought up to date."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path

from losswatch_server.store.dialect import SQLITE, Dialect
from losswatch_server.store.errors import SchemaTooNewError, StoreFailedError

_log = logging.getLogger("losswatch.store")
MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_MS = 10_000
OLDEST = "SELECT oldest FROM works_with WHERE name = 'schema'"
"""What a migration that takes something away from older programs raises."""


class SqliteConnection(sqlite3.Connection):
    """SQLite's connection, which has what ``connection.Connection`` describes."""

    dialect: Dialect = SQLITE


def connect(path: Path) -> SqliteConnection:
    """A connection for writing. A commit returns when the data is on the disk (WAL, synchronous=FULL)."""
    return _open(
        path,
        256,
        "page_size = 4096",
        f"busy_timeout = {BUSY_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "temp_store = MEMORY",
        "cache_size = -32768",  # 32 MiB
        "wal_autocheckpoint = 4000",  # 16 MiB of log before pages are copied back
        "journal_size_limit = 67108864",
    )


def empty_log(path: Path) -> None:
    """Copy what was committed into the file and cut the log off, where no reader is in the way."""
    with contextlib.closing(connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect_reader(path: Path) -> SqliteConnection:
    """A connection that cannot write, and does not wait for the one that does."""
    return _open(path, 128, f"busy_timeout = {BUSY_MS}", "query_only = ON")


def _open(path: Path, statements: int, *pragmas: str) -> SqliteConnection:
    """An existing file, never a new one: that would be an empty database in the place of one that was deleted."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=statements,
        factory=SqliteConnection,
    )
    try:
        connection.text_factory = _text
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _text(data: bytes) -> str:
    """A damaged text is read with marks in it: Python's own reading would refuse the row, and all rows beside it."""
    return data.decode("utf-8", "replace")


def head() -> str:
    """The newest schema that this version knows."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def migrate(path: Path) -> tuple[str | None, str]:
    """Bring the file up to date; the schema that was found (None: a new file) and the one that is there now.

    A newer one stays where this version can work with it. Raises SchemaTooNewError where it cannot: the file is left
    as it is. Raises StoreFailedError where the file cannot be read or written.
    """
    newest = head()
    try:
        found = current(path)
        if found is not None and found > newest:
            check_newer(found, newest, oldest(path))
            return found, found
    except sqlite3.Error as error:
        raise StoreFailedError(f"The database cannot be read: {error}.") from error
    if found != newest:
        _upgrade(path)
    return found, newest


def check_newer(found: str, newest: str, since: str | None) -> None:
    """Whether this version, which knows schemas up to ``newest``, can work with a newer one that can be worked with
    ``since`` another (None: since itself). Raises SchemaTooNewError."""
    if since is None or since > newest:
        raise SchemaTooNewError(found, newest)
    _log.warning("the database has the schema of a newer version (%s); this one (%s) works with it", found, newest)


def current(path: Path) -> str | None:
    """The schema of the file, None where there is none yet."""
    if not path.exists():
        return None
    connection = sqlite3.connect(path)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
    finally:
        connection.close()


def oldest(path: Path) -> str | None:
    """The oldest schema whose programs can work with the file; None where that was not yet written down."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'works_with'").fetchone():
            return None
        row = connection.execute(OLDEST).fetchone()
        return None if row is None else str(row[0])


def _upgrade(path: Path) -> None:
    # Alembic takes 0.4 s to import: only a file that is behind pays for it.
    import sqlalchemy
    import sqlalchemy.exc
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=str(path)))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sqlalchemy.exc.DBAPIError as error:
        raise StoreFailedError(f"The database cannot be brought up to date: {error.orig}.") from error
    finally:
        engine.dispose()
