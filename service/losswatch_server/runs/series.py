"""The points of a run for charts: what stands, what was superseded, and a thinner series that looks the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from losswatch_server.monitor.points import SERIES, Point
from losswatch_server.runs.answers import StoredPoint
from losswatch_server.runs.record import Chart, Item, read
from losswatch_server.store.rows import Attempt, EntryKind, RecordRow


def chart(rows: Iterable[RecordRow], attempts: Sequence[Attempt]) -> list[StoredPoint]:
    """All points of the rows, by attempt, step and rank; merges and late fields laid into them."""
    drawing = Chart()
    begins = [Item(a.seq, EntryKind.ATTEMPT, a.number, Point(a.step)) for a in sorted(attempts, key=lambda a: a.seq)]
    place = 0
    for item in read(rows):
        while place < len(begins) and begins[place].seq <= item.seq:
            drawing.add(begins[place])
            place += 1
        if item.kind != EntryKind.ATTEMPT:
            drawing.add(item)
    for begin in begins[place:]:
        drawing.add(begin)
    standing = [StoredPoint(point, attempt, False) for point, attempt in drawing.judged.values()]
    gone = [StoredPoint(point, attempt, True) for (attempt, _, _), point in drawing.superseded.items()]
    return sorted(standing + gone, key=lambda stored: (stored.attempt, stored.point.step, stored.point.rank))


def within(
    points: Iterable[StoredPoint], first_step: int | None, last_step: int | None, attempt: int | None
) -> list[StoredPoint]:
    """The points at steps from ``first_step`` to ``last_step``, both included, of one attempt or of all."""
    low = -1 if first_step is None else first_step
    return [
        stored
        for stored in points
        if stored.point.step >= low
        and (last_step is None or stored.point.step <= last_step)
        and (attempt is None or stored.attempt == attempt)
    ]


def thin(points: Sequence[StoredPoint], resolution: int) -> list[StoredPoint]:
    """About ``resolution`` points that keep the picture: in each of ``resolution / 2`` stretches of equal count the
    lowest and highest value of every series, besides the first and last point of each attempt and every point with
    a number that is not finite. A point is kept whole or not at all."""
    if len(points) <= resolution:
        return list(points)
    kept = {0, len(points) - 1}
    kept.update(n for n in range(1, len(points)) if points[n].attempt != points[n - 1].attempt)
    kept.update(n - 1 for n in range(1, len(points)) if points[n].attempt != points[n - 1].attempt)
    kept.update(n for n, stored in enumerate(points) if not _finite(stored.point))
    stretches = max(1, resolution // 2)
    for stretch in range(stretches):
        start, end = len(points) * stretch // stretches, len(points) * (stretch + 1) // stretches
        for name in SERIES:
            there = [(value, n) for n in range(start, end) if (value := getattr(points[n].point, name)) is not None]
            if there:
                kept.add(min(there)[1])
                kept.add(max(there)[1])
    return [points[n] for n in sorted(kept)]


def _finite(point: Point) -> bool:
    if point.loss_is_null:
        return False
    numbers = [value for value in point[1:6] if isinstance(value, float | int)]
    for named in (point.layers, point.metrics):
        if named:
            numbers.extend(named.values())
    return all(map(math.isfinite, numbers))
