"""How much the service takes on at once: one budget of memory for all requests together, and turns for long work.

A request takes its share before it reads: what is declared or has come, then what unpacking adds, then what reading
makes of it (``cost_of_points``, ``cost_of_log``). Where the budget does not have it the request is turned away with
503; where even the whole budget would not, with 413. The share is given back when the request ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import threading
from collections.abc import AsyncIterator

from losswatch_server.api.http.problems import BUSY, TOO_LARGE, ProblemError
from losswatch_server.codec.bodies import MAX_POINTS

MIB = 1 << 20

# Bytes of memory, measured as the peak while inputs of one kind were read (tests/api/test_load.py holds them).
SMALL = 64 << 10
"""Bodies below are taken at ``SMALL_FACTOR`` unseen: on the hot path counting costs more than it tells."""
SMALL_FACTOR = 32
VALUE = 160
"""For each value of a JSON document or a table: a name, a number, their places in a dictionary."""
POINT = 900
"""For each point of a request until it is stored: 254 to be read, the rest to be judged and written, or refused."""
LINE = 190
"""For each line of a log that is looked at."""
ROW = 600
"""For each point that a log gives, up to the million that are read."""
MAX_ROWS = 1_000_000


class RequestMemory:
    """The budget, ``total`` bytes."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0
        self._lock = threading.Lock()

    def share(self) -> Share:
        """The share of one request, empty at first."""
        return Share(self)

    def move(self, size: int, leave: int = 0) -> bool:
        """Take ``size`` bytes, or give them back if negative; False where less than ``leave`` would be left."""
        with self._lock:
            if size > 0 and self.held + size > self.total - leave:
                return False
            self.held += size
            return True


class Share:
    """What one request holds of the memory. Threads may use it, one at a time."""

    __slots__ = ("held", "memory")

    def __init__(self, memory: RequestMemory) -> None:
        self.memory = memory
        self.held = 0

    def take(self, size: int, *, leave: float = 0.0, remedy: str = "Send less at a time") -> None:
        """Hold ``size`` bytes more, where that leaves the part ``leave`` of the whole to others.

        Raises ProblemError 503 where it does not, and 413 with the ``remedy`` where it never could.
        """
        kept = int(leave * self.memory.total) if leave else 0
        if self.held + size > self.memory.total - kept:
            needed = self.held + size
            raise ProblemError(
                TOO_LARGE,
                f"Reading this would take about {max(1, needed // MIB)} MiB of memory; one request gets "
                f"{(self.memory.total - kept) // MIB}. {remedy}; the operator can allow this with "
                f"--request-memory-mib {math.ceil(needed / (1 - leave) / MIB)}.",
            )
        if not self.memory.move(size, kept):
            raise ProblemError(BUSY, "Other requests hold the memory that this one needs. Send it again in a moment.")
        self.held += size

    def close(self) -> None:
        """Give everything back."""
        self.memory.move(-self.held)
        self.held = 0


class Turns:
    """``at_once`` at the same time, ``waiting`` in line, and 503 for who comes then."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._room = at_once + waiting

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn. Raises ProblemError 503 where too many wait."""
        if self._room <= 0:
            raise ProblemError(BUSY, "As many of these are waiting as fit. Send it again in a moment.")
        self._room -= 1
        try:
            async with self._slots:
                yield
        finally:
            self._room += 1


def cost_of_points(raw: bytes) -> int:
    """Bytes of memory, at most, for the JSON body ``raw`` until its points are stored. Counted, not parsed."""
    if len(raw) < SMALL:
        return SMALL_FACTOR * len(raw)
    return _text(raw) + VALUE * raw.count(b",") + POINT * min(raw.count(b"{") + raw.count(b"["), MAX_POINTS)


def remedy_of_log(raw: bytes, cost: int, room: int) -> str:
    """What who sends a log of that ``cost`` can do where there is only so much ``room``."""
    every = max(2, math.ceil(cost / max(1, room)))
    lines = raw.count(b"\n") + raw.count(b"\r") + 1
    return (
        f"It has {lines:,} lines: send every {every}th of them (awk 'NR % {every} == 1' FILE), which is judged alike, "
        "or read it where it lies with losswatch-server diagnose FILE, which has no such limit"
    )


def cost_of_log(raw: bytes) -> int:
    """Bytes of memory, at most, to diagnose ``raw``, a points request or a log. Counted, not parsed."""
    if len(raw) < SMALL // 8:
        return SMALL_FACTOR * 8 * len(raw)
    if _POINTS_REQUEST.match(raw):
        return cost_of_points(raw)
    lines = raw.count(b"\n") + raw.count(b"\r")
    values = raw.count(b",")
    # A document may hold a column, each value of which is a point; JSON lines and tables give one a line.
    rows = max(lines, values) if _DOCUMENT.match(raw) and not _JSON_LINES.match(raw) else lines
    return _text(raw) + LINE * lines + VALUE * values + ROW * min(rows, MAX_ROWS)


_POINTS_REQUEST = re.compile(rb'\s*\{\s*"points"\s*:')
_DOCUMENT = re.compile(rb"(\xef\xbb\xbf)?\s*[\[{]")
_JSON_LINES = re.compile(rb"(\xef\xbb\xbf)?\s*\{[^\[\]{}]{0,20000}\}\s*\n")
"""The first object ends with its line, so the whole is no document."""


def _text(raw: bytes) -> int:
    """The text of ``raw`` and the copies that are made of it: 1, 2 or 4 bytes a character."""
    if raw.isascii():
        return 4 * len(raw)
    return (16 if re.search(rb"[\xf0-\xff]", raw) else 8) * len(raw)
