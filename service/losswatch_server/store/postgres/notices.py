"""A word from one service to the others that something was committed: LISTEN and NOTIFY.

Only a hint, and at most ten a second of each service, however many commits there are: NOTIFY takes a lock that all
transactions share. Who hears of none, because a connection pooler or a distributed database passes none on, finds out
by looking every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Callable

from losswatch_server.store.errors import RAW, ConnectionBrokenError, DatabaseError
from losswatch_server.store.postgres.connection import Database, PostgresConnection
from losswatch_server.store.sql_store import Notices

logger = logging.getLogger(__name__)

CHANNEL = "losswatch"
LISTEN_S = 1.0
"""A listener looks so often whether it should end."""
LONGEST_PAUSE_S = 30.0
"""Between two tries to listen while the server is away."""
SHORTEST_PASS_S = 0.1


class PostgresNotices(Notices):
    """``heard`` is called on the loop when another service has told something."""

    def __init__(self, database: Database, heard: Callable[[], None]) -> None:
        super().__init__()
        self._database = database
        self._heard = heard
        self._own = secrets.token_hex(6)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="losswatch-listener", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sender: PostgresConnection | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)
        if self._sender is not None:
            self._sender.close()

    async def tell(self) -> float | None:
        """One pass: tell the others of commits; the seconds until the next, unless ``wake`` is set."""
        try:
            await asyncio.to_thread(self._tell)
        except ConnectionBrokenError:
            raise
        except DatabaseError as error:
            logger.info("other services are told nothing, and look by themselves: %s", error)
            return None
        await asyncio.sleep(SHORTEST_PASS_S)
        return LONGEST_PAUSE_S

    def _tell(self) -> None:
        if self._sender is None:
            self._sender = self._database.connect()
        try:
            self._sender.execute("SELECT pg_notify(?, ?)", (CHANNEL, self._own))
        except BaseException:
            self._sender.close()
            self._sender = None
            raise

    def _listen(self) -> None:
        pause = 1.0
        while not self._closing.is_set():
            try:
                with contextlib.closing(self._database.connect()) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    pause = 1.0
                    self._hear(connection)
            except RAW as error:
                logger.info("nothing is heard of other services for now: %s", error)
                self._closing.wait(pause)
                pause = min(LONGEST_PAUSE_S, 2 * pause)

    def _hear(self, connection: PostgresConnection) -> None:
        while not self._closing.is_set():
            if any(said != self._own for said in connection.wait_for_notices(LISTEN_S)) and self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._heard)
