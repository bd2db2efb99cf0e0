"""What notifications and keys need of a store: reading one state of the database, writing in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from losswatch_server.store.connection import DatabaseConnection

T = TypeVar("T")


class Transactions(Protocol):
    """Every store offers them."""

    async def read(self, work: Callable[[DatabaseConnection], T]) -> T:
        """What ``work`` returns."""
        ...

    async def write(self, work: Callable[[DatabaseConnection], T]) -> T:
        """What ``work`` returns, once its changes survive a power loss; an error of ``work`` undoes them."""
        ...

    async def leads(self, work: str, seconds: float) -> bool:
        """Whether this service is the one that does this work, of all that have the database open: then no other does
        it for so many seconds."""
        ...
