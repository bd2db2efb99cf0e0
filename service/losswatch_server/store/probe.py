"""Whether a write would be kept now, without writing more often than that takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.errors import StoreBusyError, StoreFailedError
from losswatch_server.store.lanes import Writing

TRUSTED_S = 30.0
"""A write that was kept so lately says that the next one can be, too: an idle service that is asked writes two pages
a minute."""
PROBE_S = 1.0
"""A failed probe is not repeated sooner, however often somebody asks: each is a write that waits for the disk."""
PATIENCE_S = 5.0
"""A database that takes longer for one small write keeps nothing, for whoever asks whether it does."""


class WriteProbe:
    """``touch`` makes one small write."""

    def __init__(self, writer: Writing, touch: Callable[[DatabaseConnection], None]) -> None:
        self._writer = writer
        self._touch = touch
        self._probing: asyncio.Task[None] | None = None
        self._probed_at = -PROBE_S

    async def check(self, trusted_s: float) -> None:
        """Raises the StoreError that a write would raise.

        A write that was kept in the last ``trusted_s`` is answer enough, and so are points that could not be kept just
        now; else there is one, however many ask.
        """
        if not self._writer.is_alive:
            raise StoreFailedError("The writer thread has ended.")
        last = self._writer.last
        if last.error is None and time.monotonic() - last.at < trusted_s:
            return
        if last.error is not None and (last.tells_of_all or time.monotonic() - self._probed_at < PROBE_S):
            raise StoreFailedError(str(last.error))
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.shield(self._probing)
        except TimeoutError:
            raise StoreFailedError(f"The database took longer than {PATIENCE_S:g} s for one small write.") from None

    async def _probe(self) -> None:
        try:
            await self._writer.write(self._touch)
        except StoreBusyError:
            return  # others are writing: their outcome will tell
        finally:
            self._probed_at = time.monotonic()
