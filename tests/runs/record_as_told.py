"""What the series of a run are, worked out from its whole record the simple way: to hold the fast ways against it."""

from __future__ import annotations

from collections.abc import Sequence

from house import House
from losswatch_server.monitor.entries import EntryKind
from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.answers import StoredPoint
from losswatch_server.store.entries import read


def whole_series(house: House, name: str = "run") -> list[StoredPoint]:
    """Every point by attempt, step and rank, from one reading of the record from its beginning to its end."""
    (uid,) = house.sql("SELECT uid FROM run_name WHERE name = ?", name)[0]
    rows = house.do(house.store.record_page("default", uid, 0, 1 << 60))
    stands: dict[tuple[int, int], tuple[Point, int]] = {}
    gone: dict[tuple[int, int, int], Point] = {}
    for entry in read(rows):
        point, key = entry.point, (entry.point.step, entry.point.rank)
        if entry.kind == EntryKind.ATTEMPT:
            for old in [old for old in stands if old[0] >= point.step]:
                taken, attempt = stands.pop(old)
                gone[attempt, *old] = taken
        elif entry.kind == EntryKind.SUPERSEDED_BY_WRITER:
            known = gone.get((entry.attempt, *key))
            gone[entry.attempt, *key] = point if known is None else merge(known, point)
        elif entry.kind != EntryKind.CONTEXT:
            before = stands.get(key)
            stands[key] = (point, entry.attempt) if before is None else (merge(before[0], point), before[1])
    points = [StoredPoint(point, attempt, False) for point, attempt in stands.values()]
    points += [StoredPoint(point, attempt, True) for (attempt, _, _), point in gone.items()]
    return sorted(points, key=lambda stored: (stored.attempt, stored.point.step, stored.point.rank))


def chosen(
    points: Sequence[StoredPoint], low: int = 0, high: int = 1 << 60, attempt: int | None = None
) -> list[StoredPoint]:
    """Those at steps from low to high, of one attempt or of all."""
    return [p for p in points if low <= p.point.step <= high and attempt in (None, p.attempt)]
