"""Where runs are kept: the record of each is the truth, everything else can be made from it again."""

from losswatch_server.store.errors import (
    DataDirectoryLockedError,
    RunMovedError,
    SchemaTooNewError,
    StoreBusyError,
    StoreClosedError,
    StoreError,
    StoreFailedError,
)
from losswatch_server.store.interface import Store
from losswatch_server.store.rows import RunRow, StoredEvent, StoredFinding
from losswatch_server.store.sqlite import SqliteStore

__all__ = [
    "DataDirectoryLockedError",
    "RunMovedError",
    "RunRow",
    "SchemaTooNewError",
    "SqliteStore",
    "Store",
    "StoreBusyError",
    "StoreClosedError",
    "StoreError",
    "StoreFailedError",
    "StoredEvent",
    "StoredFinding",
]
