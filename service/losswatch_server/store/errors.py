"""What can go wrong with the store, each with what a caller may do about it."""

from __future__ import annotations


class StoreError(Exception):
    """Something is wrong with the store; nothing of the refused write was kept."""


class StoreBusyError(StoreError):
    """More writes are waiting than the store takes on. Try again a little later."""


class StoreClosedError(StoreError):
    """The store is closed, or is closing: the service is being stopped."""


class StoreFailedError(StoreError):
    """The database could not keep a write (a full disk, an input/output error). Nothing of it was kept."""


class RunMovedError(StoreError):
    """The stored run is no longer as the writer knew it: load it anew and try again."""


class DataDirectoryLockedError(StoreError):
    """Another process has the data directory open; ``pid`` says which, where it is known."""

    def __init__(self, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"The data directory is in use by {holder}.")
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
