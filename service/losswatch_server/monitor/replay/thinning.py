"""Fewer rows that tell the same: extremes, the ends, and everything around the steps that matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One point at which a finding's rule judged: the series' value there (None: not measured), and what was judged.

    ``statistic`` may be infinite, never NaN; a ``threshold`` of None means that nothing could alarm there.
    ``failed`` is the first test of the rule that did not pass, None where all did.
    """

    step: int
    value: float | None
    statistic: float
    threshold: float | None
    failed: str | None = None


MOST_ROWS = 500
AROUND = 20
"""Rows kept before and after each step that matters."""
_KINDS = 4  # lowest and highest statistic and value of a stretch


def thin(rows: Sequence[Row], marks: Sequence[int], most: int = MOST_ROWS) -> list[Row]:
    """At most ``most`` of the rows, in their order: the first and the last, ``AROUND`` rows on both sides of each of
    the steps ``marks``, and the extremes of stretches of equal count. ``most`` must leave room for the marks."""
    if len(rows) <= most:
        return list(rows)
    kept = _always(rows, marks)
    stretches = max(1, (most - len(kept)) // _KINDS)
    count = len(rows)
    for stretch in range(stretches):
        kept |= _extremes(rows, count * stretch // stretches, count * (stretch + 1) // stretches)
    return [rows[place] for place in sorted(kept)]


def condense(rows: Sequence[Row], marks: Sequence[int], stretches: int) -> list[Row]:
    """The extremes of ``stretches`` stretches of equally many steps: what can be done again as rows are added."""
    kept = _always(rows, marks)
    first, last = rows[0].step, rows[-1].step
    width = max(1, (last - first) // stretches + 1)
    start = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or (rows[place].step - first) // width != (rows[start].step - first) // width:
            kept |= _extremes(rows, start, place)
            start = place
    return [rows[place] for place in sorted(kept)]


def _always(rows: Sequence[Row], marks: Sequence[int]) -> set[int]:
    kept = {0, len(rows) - 1}
    for mark in marks:
        at = next((place for place, row in enumerate(rows) if row.step >= mark), len(rows) - 1)
        kept.update(range(max(0, at - AROUND), min(len(rows), at + AROUND + 1)))
    return kept


def _extremes(rows: Sequence[Row], start: int, end: int) -> set[int]:
    places = range(start, end)
    valued = [place for place in places if rows[place].value is not None and rows[place].value == rows[place].value]
    return {
        choose(among, key=key)
        for among, key in ((places, _statistic(rows)), (valued, _value(rows)))
        if among
        for choose in (min, max)
    }


def _statistic(rows: Sequence[Row]) -> Callable[[int], float]:
    return lambda place: rows[place].statistic


def _value(rows: Sequence[Row]) -> Callable[[int], float]:
    return lambda place: rows[place].value or 0.0
