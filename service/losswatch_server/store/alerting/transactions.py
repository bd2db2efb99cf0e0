"""What alerts need of a store: to read on one state of the database, and to write in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Transactions(Protocol):
    """Offered by ``SqliteStore``."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns."""
        ...

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, once its changes survive a power loss; an error of ``work`` undoes them."""
        ...
