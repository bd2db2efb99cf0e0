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
_FLOAT = struct.Struct("<f")
_GAPS = [struct.Struct(f"<{count}f") for count in range(KEPT_GAPS + 1)]
FORMAT = 2
KEPT_LONGEST = 2
"""The longest gaps of all are kept too: an evaluation every 500 requests is out of the last gaps when it comes again,
and two of a length are a habit."""


class Rhythm(NamedTuple):
    """Separate live requests, imports, when the last live one came (seconds since 1970), the last gaps and the longest
    of all (s)."""

    requests: int = 0
    imports: int = 0
    last_at: float = 0.0
    gaps: tuple[float, ...] = ()
    longest: tuple[float, ...] = ()

    def heard(self, at: float, points: Sequence[Point], *, resumed: bool = False) -> Rhythm:
        """With one more request, of ``points`` received ``at``. The time before a resume from a checkpoint is no gap:
        the job was not there."""
        if is_import(at, points):
            return self._replace(imports=self.imports + 1)
        gaps, longest = self.gaps, self.longest
        if at < self.last_at:  # the clock was ahead: what it made of the gap before is no gap, and nor is this one
            gaps, longest = gaps[:-1], _without(longest, gaps[-1:])
        elif self.requests and not resumed:
            gap = _FLOAT.unpack(_FLOAT.pack(at - self.last_at))[0]
            gaps = (*gaps[1 - KEPT_GAPS :], gap)
            if len(longest) < KEPT_LONGEST or gap > longest[-1]:
                longest = tuple(sorted((*longest, gap), reverse=True)[:KEPT_LONGEST])
        return Rhythm(self.requests + 1, self.imports, at, gaps, longest)

    @property
    def habit(self) -> float:
        """The gap (s) that came twice, if not more often: the second longest of all."""
        return self.longest[-1] if len(self.longest) == KEPT_LONGEST else 0.0

    def pack(self) -> bytes:
        """As bytes: gaps to 24 bits of precision."""
        count = len(self.gaps)
        head = _HEAD.pack(FORMAT, self.requests, self.imports, self.last_at, count)
        return head + _GAPS[count].pack(*self.gaps) + _GAPS[len(self.longest)].pack(*self.longest)

    @classmethod
    def unpack(cls, data: bytes) -> Rhythm:
        """From ``pack``; no bytes mean that nothing was heard yet, and so do bytes that ``pack`` cannot have made."""
        try:
            version, requests, imports, last_at, count = _HEAD.unpack_from(data)
            gaps = _GAPS[count].unpack_from(data, _HEAD.size)
            left = (len(data) - _HEAD.size) // _FLOAT.size - count
            longest = _GAPS[left if version == FORMAT else 0].unpack_from(data, _HEAD.size + _GAPS[count].size)
        except (struct.error, IndexError, TypeError):
            return cls()
        times = (*gaps, *longest)
        sound = version in (1, FORMAT) and all(map(math.isfinite, (last_at, *times))) and min(times, default=0.0) >= 0
        sound &= len(longest) <= KEPT_LONGEST
        return cls(requests, imports, last_at, gaps, longest) if sound else cls()


NOT_HEARD = Rhythm()


def _without(longest: tuple[float, ...], gaps: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(gap for gap in longest if gap not in gaps)


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
