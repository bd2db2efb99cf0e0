"""Watching in a thread of its own: what is passed on never waits for what is read of it."""

from __future__ import annotations

import queue
import threading
from typing import Optional

from losswatch.cli.watch import POLL_S, Watcher, say

MOST = 32 * 1024 * 1024
"""Bytes that may wait to be read; what comes beyond them is passed on and not watched."""
PATIENCE_S = 120.0
"""So long the end waits for what is still to be read."""


class Beside:
    """Reads pieces of a stream beside whoever passes them on."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.unwatched = 0
        self._pieces: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="losswatch-watcher", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Hands over a piece; at once, whatever the reader is at."""
        with self._lock:
            is_taken = self._waiting + len(data) <= MOST
            self._waiting += len(data) if is_taken else 0
        if is_taken:
            self._pieces.put(data)
        elif not self.unwatched:
            say(f"{self.watcher.reporter.name}: it prints faster than it can be read; some of it is not watched")
        self.unwatched += 0 if is_taken else len(data)

    def end(self) -> None:
        """Reads what is left, and the last line."""
        self._pieces.put(None)
        self._thread.join(PATIENCE_S)

    def _live(self) -> None:
        while True:
            try:
                data = self._pieces.get(timeout=POLL_S)
            except queue.Empty:
                self.watcher.look()
                continue
            if data is None:
                self.watcher.look(at_end=True)
                return
            with self._lock:
                self._waiting -= len(data)
            self.watcher.take(data)
            self.watcher.look()
