"""How often a run is heard of: what the watch for silent runs needs, kept as a few bytes beside the run.

Only live requests count: a request whose newest point was measured long before it arrived, or that brings very many
points at once, is an import and says nothing about when the next one is due.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from losswatch_server.monitor.points import Point

KEPT_GAPS = 32
IMPORT_POINTS = 5000
"""No training loop measures this many points between two of its requests; a log that is replayed does."""
IMPORT_AGE_S = 600.0
"""A point measured this long before it arrives was kept somewhere meanwhile."""
_HEAD = struct.Struct("<BIIdB")
_GAPS = [struct.Struct(f"<{count}f") for count in range(KEPT_GAPS + 1)]
FORMAT = 1


class Rhythm(NamedTuple):
    """Separate live requests, imports, when the last live one came (seconds since 1970), and the last gaps (s)."""

    requests: int = 0
    imports: int = 0
    last_at: float = 0.0
    gaps: tuple[float, ...] = ()

    def heard(self, at: float, points: Sequence[Point]) -> Rhythm:
        """With one more request, of ``points`` received ``at``."""
        if is_import(at, points):
            return Rhythm(self.requests, self.imports + 1, self.last_at, self.gaps)
        if at < self.last_at:  # the clock was ahead: what it made of the gap before is no gap, and nor is this one
            return Rhythm(self.requests + 1, self.imports, at, self.gaps[:-1])
        gaps = (*self.gaps[1 - KEPT_GAPS :], at - self.last_at) if self.requests else ()
        return Rhythm(self.requests + 1, self.imports, at, gaps)

    def pack(self) -> bytes:
        """As bytes: gaps to 24 bits of precision."""
        count = len(self.gaps)
        head = _HEAD.pack(FORMAT, self.requests, self.imports, self.last_at, count)
        return head + _GAPS[count].pack(*self.gaps)

    @classmethod
    def unpack(cls, data: bytes) -> Rhythm:
        """From ``pack``; no bytes mean that nothing was heard yet, and so do bytes that ``pack`` cannot have made."""
        try:
            version, requests, imports, last_at, count = _HEAD.unpack_from(data)
            gaps = _GAPS[count].unpack_from(data, _HEAD.size)
        except (struct.error, IndexError, TypeError):
            return cls()
        sound = version == FORMAT and all(map(math.isfinite, (last_at, *gaps))) and min(gaps, default=0.0) >= 0
        return cls(requests, imports, last_at, gaps) if sound else cls()


NOT_HEARD = Rhythm()


def is_import(at: float, points: Sequence[Point]) -> bool:
    """Whether a request brings old points rather than news."""
    if len(points) >= IMPORT_POINTS:
        return True
    measured = points[-1].time if points else None
    if measured is None:
        return False
    try:
        when = datetime.fromisoformat(measured)
    except ValueError:
        return False
    return when.tzinfo is not None and at - when.timestamp() > IMPORT_AGE_S
