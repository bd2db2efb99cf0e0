"""The schema of a PostgreSQL database: the same migrations as SQLite's, by one service at a time."""

from __future__ import annotations

import contextlib

from losswatch_server.store.errors import StoreFailedError
from losswatch_server.store.postgres.connection import Database, PostgresConnection
from losswatch_server.store.schema import MIGRATIONS, OLDEST, check_newer, head

LOCK = 7_162_004_213
"""Of whoever migrates; any number that others do not use."""


def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the database up to date; the schema that was found (None: an empty one), and the one there now.

    A newer one stays where this version can work with it. Raises SchemaTooNewError where it cannot, and
    ConnectionBrokenError, StoreFailedError.
    """
    newest = head()
    connection = database.connect()
    try:
        found = current(connection)
        if found is None or found < newest:
            connection.execute("SELECT pg_advisory_lock(?)", (LOCK,))
            found = current(connection)  # another service may have been first
        if found is not None and found > newest:
            check_newer(found, newest, oldest(connection))
            return found, found
        if found != newest:
            _upgrade(database)
        return found, newest
    finally:
        connection.close()


def current(connection: PostgresConnection) -> str | None:
    """The schema of the database; None where there is none yet."""
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def oldest(connection: PostgresConnection) -> str | None:
    """The oldest schema whose programs can work with the database; None where that was not yet written down."""
    if connection.execute("SELECT to_regclass('works_with')").fetchone() == (None,):
        return None
    row = connection.execute(OLDEST).fetchone()
    return None if row is None else str(row[0])


def is_distributed(database: Database) -> bool:
    """Whether the tables are spread over nodes by project, as Citus says it."""
    with contextlib.closing(database.connect()) as connection:
        if connection.execute("SELECT to_regclass('pg_dist_partition')").fetchone() == (None,):
            return False
        query = "SELECT 1 FROM pg_dist_partition WHERE logicalrelid = 'record'::regclass AND partmethod = 'h'"
        return connection.execute(query).fetchone() is not None


def _upgrade(database: Database) -> None:
    # Alembic takes 0.4 s to import: only a database that is behind pays for it.
    import sqlalchemy
    import sqlalchemy.exc
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=database.connect_plainly)
    try:
        with engine.begin() as migrating:
            config.attributes["connection"] = migrating
            command.upgrade(config, "head")
    except sqlalchemy.exc.DBAPIError as error:
        raise StoreFailedError(f"The database cannot be brought up to date: {error.orig}.") from error
    finally:
        engine.dispose()
