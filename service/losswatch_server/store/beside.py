"""Work on many rows of a record in another process: it has no database, so the rows go there as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from losswatch_server.codec import damage
from losswatch_server.store.rows import RecordRow
from losswatch_server.workers import Elsewhere

T = TypeVar("T")
MANY = 8192
"""Entries from which on rows are worked on there: some 30 ms of the interpreter."""


async def beside(elsewhere: Elsewhere, work: Callable[..., T], raw: bytes, *arguments: Any) -> T:
    """What ``work(raw, *arguments)`` gives, which is a function of a module; damage that it meets is noted here.

    Raises WorkerLostError where the process is killed.
    """
    value: T
    value, met = await elsewhere.run(damage.told, raw, work, *arguments)
    for one in met:
        damage.note(*one)
    return value


def are_many(rows: Iterable[RecordRow]) -> bool:
    """Whether there are MANY entries in the rows."""
    return sum(row.n for row in rows) >= MANY
