"""Accepting connections: at most so many, and at least one answer to the rest.

Where there are too many connections the one that has been idle for longest makes room; where none is idle the new one
gets 503. When the process runs out of file descriptors, one is kept in reserve to take the waiting connection and to
end it: left in the queue it would wake the event loop for ever, and its client would wait for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Collection

from losswatch_server.api.http.problems import BUSY, ProblemError
from losswatch_server.cli.connections import Connection, answer_bytes

_log = logging.getLogger("losswatch.connections")

AT_ONCE = 64
"""Connections that are accepted before the event loop has its turn again."""
SAY_AGAIN_S = 60.0
"""Seconds after which the same trouble is worth another line in the log."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """Takes connections from ``listening`` until it is closed.

    ``make`` makes the protocol of a connection, ``connections`` are those that are open, ``limit`` is how many there
    may be.
    """

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        connections: Collection[Connection],
        limit: int,
    ) -> None:
        self._listening = listening
        self._make = make
        self._connections = connections
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._opening: dict[asyncio.Task[object], list[asyncio.Protocol]] = {}
        self._reserve = _any_descriptor()
        self._said: dict[str, float] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listening.fileno())
        if self._retry is not None:
            self._retry.cancel()
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._turn_away_without_descriptor(error)
                return
            accepted.setblocking(False)
            if self._is_full() and not self._make_room():
                self._turn_away(accepted)
                continue
            made: list[asyncio.Protocol] = []

            def make(made: list[asyncio.Protocol] = made) -> asyncio.Protocol:
                made.append(self._make())
                return made[0]

            task: asyncio.Task[object] = self._loop.create_task(self._loop.connect_accepted_socket(make, accepted))
            self._opening[task] = made
            task.add_done_callback(self._opened)

    def _is_full(self) -> bool:
        """Whether as many connections as there may be are open or about to be: one whose task has yet to end may be
        among the open ones already, and one that closes is as good as gone."""
        if len(self._connections) + len(self._opening) < self._limit:
            return False
        opening = sum(not made or made[0] not in self._connections for made in self._opening.values())
        there = sum(not connection.transport.is_closing() for connection in self._connections)
        return opening + there >= self._limit

    def _opened(self, task: asyncio.Task[object]) -> None:
        del self._opening[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"a connection could not be taken: {error}")

    def _make_room(self) -> bool:
        idle = [
            (connection.idle_from, connection)
            for connection in self._connections
            if connection.idle_from is not None and not connection.transport.is_closing()
        ]
        if not idle:
            return False
        min(idle, key=lambda one: one[0])[1].transport.close()
        return True

    def _turn_away(self, accepted: socket.socket) -> None:
        self._say(f"{self._limit} connections are busy: new ones get 503 until some end (--max-connections)")
        with accepted, contextlib.suppress(OSError):
            accepted.send(_TOO_MANY)

    def _turn_away_without_descriptor(self, error: OSError) -> None:
        self._say(
            f"no connection can be taken: {error.strerror}. New ones are ended until some are free; "
            "allow more file descriptors (ulimit -n, LimitNOFILE=), or fewer connections (--max-connections)"
        )
        if self._reserve is not None:
            os.close(self._reserve)
            with contextlib.suppress(OSError):
                self._listening.accept()[0].close()
            self._reserve = _any_descriptor()
        if self._reserve is None:
            self._pause()

    def _pause(self) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._retry = self._loop.call_later(0.5, self._resume)

    def _resume(self) -> None:
        self._retry = None
        self._reserve = _any_descriptor()
        if self._reserve is None:
            self._pause()
        else:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _say(self, text: str) -> None:
        now = self._loop.time()
        key = text[:24]
        if now - self._said.get(key, -SAY_AGAIN_S) >= SAY_AGAIN_S:
            self._said[key] = now
            _log.warning("%s", text)


_TOO_MANY = answer_bytes(ProblemError(BUSY, "The service has as many connections as it takes. Try again in a second."))


def _any_descriptor() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
