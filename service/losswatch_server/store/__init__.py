"""Where runs are kept: the record of each is the truth, everything else can be made from it again."""

from losswatch_server.store.errors import (
    DataDirectoryError,
    DataDirectoryLockedError,
    RunMovedError,
    SchemaTooNewError,
    StoreBusyError,
    StoreClosedError,
    StoreConflictError,
    StoreError,
    StoreFailedError,
    StoreLostError,
    StoreUncertainError,
    StoreUnreadableError,
)
from losswatch_server.store.interface import Store
from losswatch_server.store.rows import RunRow, StoredEvent, StoredFinding
from losswatch_server.store.sqlite import SqliteStore

__all__ = [
    "DataDirectoryError",
    "DataDirectoryLockedError",
    "RunMovedError",
    "RunRow",
    "SchemaTooNewError",
    "SqliteStore",
    "Store",
    "StoreBusyError",
    "StoreClosedError",
    "StoreConflictError",
    "StoreError",
    "StoreFailedError",
    "StoreLostError",
    "StoreUncertainError",
    "StoreUnreadableError",
    "StoredEvent",
    "StoredFinding",
]
