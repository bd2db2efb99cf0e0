"""The store on PostgreSQL, for several services at once. Needs ``losswatch-server[postgres]``."""

from losswatch_server.store.postgres import schema
from losswatch_server.store.postgres.connection import Database
from losswatch_server.store.postgres.store import PostgresStore

__all__ = ["Database", "PostgresStore", "schema"]
