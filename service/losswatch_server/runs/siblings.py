"""Gathering what a run is compared with: the other runs of its group, and its own earlier attempts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from losswatch_server.monitor.loss_kind import loss_kind
from losswatch_server.monitor.siblings import SMOOTHED, Sibling, Standing, common_step, comparable, compare, level
from losswatch_server.runs.answers import StoredPoint
from losswatch_server.runs.walk import walk
from losswatch_server.store import Store
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.rows import RunFilter, RunOrder, RunRow, StoredRun

MOST = 200
"""Runs of a group that are looked at: the newest."""


class _EarlierAttempt(NamedTuple):
    """An earlier attempt of the run: its number and how far it came."""

    number: int
    last_step: int


async def stand(store: Store, run: StoredRun) -> Standing:
    """Where the run stands among its siblings at the latest step that it and at least half of them have come to."""
    row = run.row
    group = row.context.group
    rows = await _of_group(store, row, group)
    attempts = await _earlier_attempts(store, run)
    others = [r.step for r in rows if r.step is not None] + [attempt.last_step for attempt in attempts]
    not_reached = len(rows) + len(attempts) - len(others)
    if row.step is None or not others:
        return compare(row.uid, group, None, None, (), not_reached)
    step = common_step(row.step, others)
    not_reached += sum(other < step for other in others)
    own = await _losses(store, run, step)
    siblings: list[Sibling] = []
    for attempt in attempts:
        if attempt.last_step >= step:
            _add(siblings, row, attempt.number, _level_of(own, attempt.number), True)
    for other in rows:
        if other.step is not None and other.step >= step:
            stored = await store.find_run(other.project, other.name)
            if stored is not None and stored.row.uid == other.uid:
                points = await _losses(store, stored, step)
                _add(siblings, other, other.attempt, _level_of(points, None), other.created_at < row.created_at)
    return compare(row.uid, group, step, _level_of(own, None), siblings, not_reached)


def _add(siblings: list[Sibling], row: RunRow, attempt: int, loss: float | None, earlier: bool) -> None:
    if loss is not None:
        siblings.append(Sibling(run=row.name, uid=row.uid, attempt=attempt, loss=loss, earlier=earlier))


async def _of_group(store: Store, row: RunRow, group: str | None) -> list[RunRow]:
    if group is None:
        return []
    rows = await store.list_runs(row.project, RunFilter(group=group), RunOrder.CREATED, before=None, limit=MOST + 1)
    return [other for other in rows if other.uid != row.uid and comparable(row.context, other.context)][:MOST]


async def _earlier_attempts(store: Store, run: StoredRun) -> list[_EarlierAttempt]:
    """Those of whose points some were superseded: a resume that lost nothing leaves nothing to compare with."""
    if not run.attempts or not loss_kind(run.row.context).minimised:
        return []
    row, cuts = run.row, Cuts(run.attempts)
    found = []
    for begin in run.attempts[-MOST:]:  # what was the last point when the attempt began ended the one before
        step = await store.last_main_step(row.project, row.uid, begin.seq)
        if step is not None and step >= cuts.at(begin.seq - 1):
            found.append(_EarlierAttempt(begin.number - 1, step))
    return found


async def _losses(store: Store, run: StoredRun, step: int) -> list[StoredPoint]:
    """The points of rank 0 up to ``step``, at least the last few of them that there are."""
    row = run.row
    width = 2 * SMOOTHED * math.ceil((row.step or 0) / max(1, row.points))
    while True:
        low = max(0, step - width)
        points = [
            stored async for some in walk(store, run, low=low, high=step) for stored in some if stored.point.rank == 0
        ]
        if low == 0 or len(points) >= SMOOTHED:
            return points
        width *= 8


def _level_of(points: Sequence[StoredPoint], attempt: int | None) -> float | None:
    """Of the points that stand (None), or as they stood in an attempt: those it went on from count as its own."""
    losses = {
        stored.point.step: math.nan if stored.point.loss_is_null else stored.point.loss
        for stored in points  # by attempt: where two attempts measured a step, the later one counts
        if (not stored.superseded if attempt is None else stored.attempt <= attempt)
    }
    return level([losses[step] for step in sorted(losses)])
