"""Two points of one step: what the one adds to the other, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.points import MAP_FIELDS, SINGLE_FIELDS, Point, merge


@dataclass(frozen=True, slots=True)
class PointProblem:
    """What is wrong with the point at ``index`` of the request."""

    index: int
    field: str
    detail: str


class PointsRefusedError(ValueError):
    """Points of a request contradict each other; nothing of it is kept."""

    def __init__(self, problems: Sequence[PointProblem]) -> None:
        super().__init__(problems[0].detail)
        self.problems = list(problems)


TRAINING_FIELDS = ("loss", "grad_norm")
"""Where these contradict, the step was trained again."""


class Comparison(NamedTuple):
    """Fields that a point adds; whether its loss or gradient norm contradicts; whether another field does."""

    added: Point | None
    retrained: bool
    conflict: bool


def in_order(points: Sequence[Point]) -> Sequence[Point]:
    """The points by ascending step and rank, those of one step and rank as one.

    Raises PointsRefusedError where two of them contradict each other.
    """
    if len(points) < 2 or _ascending(points):
        return points
    problems: list[PointProblem] = []
    merged: dict[tuple[int, int], Point] = {}
    for index, point in enumerate(points):
        key = (point.step, point.rank)
        known = merged.get(key)
        if known is None:
            merged[key] = point
            continue
        wrong = _contradictions(known, point)
        if wrong:
            detail = (
                f"{wrong[0]} at step {point.step} is given twice in this request, with different values. Send one of "
                "them; where training resumed from a checkpoint, send what came after in a request of its own."
            )
            problems.append(PointProblem(index, wrong[0], detail))
        else:
            merged[key] = merge(known, point)
    if problems:
        raise PointsRefusedError(problems)
    return [merged[key] for key in sorted(merged)]


def _same(first: object, second: object) -> bool:
    return first == second or (first != first and second != second)


def compare(known: Point, point: Point) -> Comparison:
    """What ``point`` adds to ``known``, and whether it contradicts what was measured there."""
    if known == point:
        return _NOTHING
    added: dict[str, Any] = {}
    retrained = _compare_fields(TRAINING_FIELDS, known, point, added)
    if point.loss_is_null and known.loss is None and not known.loss_is_null:
        added["loss_is_null"] = True
    conflict = _compare_fields(SINGLE_FIELDS, known, point, added)
    conflict |= _compare_maps(known, point, added)
    return Comparison(Point(point.step, rank=point.rank)._replace(**added) if added else None, retrained, conflict)


def _compare_fields(names: Sequence[str], known: Point, point: Point, added: dict[str, Any]) -> bool:
    """Whether a field contradicts; those that ``known`` does not have go into ``added``."""
    contradicts = False
    for name in names:
        value = getattr(point, name)
        if value is not None:
            old = getattr(known, name)
            if old is None:
                added[name] = value
            elif not _same(old, value):
                contradicts = True
    return contradicts


def _compare_maps(known: Point, point: Point, added: dict[str, Any]) -> bool:
    """The same name by name for layers and metrics."""
    contradicts = False
    for field in MAP_FIELDS:
        values = getattr(point, field)
        if values:
            old = getattr(known, field) or {}
            new = {name: value for name, value in values.items() if name not in old}
            if new:
                added[field] = new
            contradicts |= any(name in old and not _same(old[name], value) for name, value in values.items())
    return contradicts


_NOTHING = Comparison(None, False, False)


def _contradictions(known: Point, point: Point) -> list[str]:
    """The fields in which two points of one step differ, as a request writes them."""
    wrong = [
        name
        for name in (*TRAINING_FIELDS, *SINGLE_FIELDS)
        if (old := getattr(known, name)) is not None
        and (new := getattr(point, name)) is not None
        and not _same(old, new)
    ]
    for name in MAP_FIELDS:
        old, new = getattr(known, name) or {}, getattr(point, name) or {}
        wrong += [f"{name}.{key}" for key in new if key in old and not _same(old[key], new[key])]
    return wrong


def _ascending(points: Sequence[Point]) -> bool:
    if isinstance(points, Batch):
        return points.is_of_rank_0 and points.ascends
    before = -1
    for point in points:
        if point.step <= before or point.rank:
            return False
        before = point.step
    return True
