"""From what foreign clients log to the use case that every point goes through: names, steps, then ``Runs.record``."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from losswatch.metric_names import Rules, rules_of
from losswatch_server.api.http.access import runs_of
from losswatch_server.api.http.rate_limits import take_points
from losswatch_server.compat.contexts import Describe
from losswatch_server.compat.series import Logged, Placed, RunSeries, points_of, remembered
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context, Point
from losswatch_server.runs import Recorded, RunNotFoundError, RunRow, Runs
from losswatch_server.runs.points.writers import FORKED

KEPT = 256
"""Runs whose series are kept in memory, about 100 KB each; those of another run are read from its last points."""
LOOKED_BACK = 20_000
"""Steps of those last points: a series that has been quiet for longer begins anew, with whatever step it has."""


@dataclass(slots=True)
class _Kept:
    """The series of a run while one request after another works on them."""

    uid: str = ""
    series: RunSeries | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Recording:
    """Takes numbers for runs. One of a service, at ``app.state.compat``."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._runs: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    async def record(
        self,
        request: Request,
        project: str,
        name: str,
        logged: Sequence[Logged],
        describe: Describe | None = None,
        *,
        steps_count: bool = False,
    ) -> Recorded:
        """Stores the numbers and what ``describe`` says of the run, creating it.

        ``steps_count`` as in ``RunSeries.place``. Raises what ``Runs.record`` raises; what was not stored can be sent
        again.
        """
        runs = runs_of(request)
        kept = self._kept(project, name)
        async with kept.lock:
            row, series = await self._series(runs, kept, project, name)
            before = series.notes()
            placed = series.place(logged, steps_count=steps_count)
            context = None if describe is None else describe(row.context if row else EMPTY_CONTEXT)
            notes = series.notes()
            if notes != before:
                context = _noted(context or Context(), notes)
            try:
                if row is None:
                    row, _ = await runs.upsert(project, name, context or EMPTY_CONTEXT)
                    context = None
                kept.uid = row.uid
                recorded = await self._store(request, row, placed, context)
            except BaseException:
                kept.series = None  # what is stored is known, and nothing else
                raise
            return recorded

    async def _store(
        self, request: Request, row: RunRow, placed: Sequence[Placed], context: Context | None
    ) -> Recorded:
        """Records the numbers as one writer of the run, and late ones as one that was forked from it: what such a
        writer logs fills gaps and begins no attempt."""
        writer = f"compat-{row.uid}"
        parts = [(points, writer) for points in points_of([one for one in placed if not one.is_late])]
        parts += [(points, f"{writer}{FORKED}late") for points in points_of([one for one in placed if one.is_late])]
        take_points(request.scope, request.app.state.quotas, row.project, sum(len(points) for points, _ in parts))
        recorded: Recorded | None = None
        for points, by in parts or [([], writer)]:
            recorded = await runs_of(request).record(row.project, row.name, points, context, by, report=False)
            request.app.state.metrics.count_points(recorded)
            context = None
        assert recorded is not None
        return recorded

    async def resume(self, request: Request, project: str, name: str) -> None:
        """The run is taken up again: its steps may go back."""
        kept = self._kept(project, name)
        async with kept.lock:
            (await self._series(runs_of(request), kept, project, name))[1].resume()

    async def names(self, request: Request, project: str, name: str) -> Mapping[str, str]:
        """By field, the name under which it was logged."""
        kept = self._kept(project, name)
        async with kept.lock:
            return dict((await self._series(runs_of(request), kept, project, name))[1].naming.taken)

    def _kept(self, project: str, name: str) -> _Kept:
        kept = self._runs.setdefault((project, name), _Kept())
        self._runs.move_to_end((project, name))
        while len(self._runs) > KEPT and not next(iter(self._runs.values())).lock.locked():
            self._runs.popitem(last=False)
        return kept

    async def _series(self, runs: Runs, kept: _Kept, project: str, name: str) -> tuple[RunRow | None, RunSeries]:
        """The run, where there is one, and its series; those of an earlier run of this name are forgotten."""
        row: RunRow | None = None
        with contextlib.suppress(RunNotFoundError):
            row = await runs.get(project, name)
        if kept.series is None or (row.uid if row else "") != kept.uid:
            notes: Mapping[str, Any] = row.context.extra if row else {}
            points = await _last_points(runs, row) if row is not None else []
            kept.series = remembered(notes, rules_of(self._rules, project), points)
            kept.uid = row.uid if row else ""
        return row, kept.series


async def _last_points(runs: Runs, row: RunRow) -> list[Point]:
    first = max(0, (row.step or 0) - LOOKED_BACK)
    parts = await runs.series(row.project, row.name, from_step=first, attempt=row.attempt)
    return [stored.point async for some in parts for stored in some if not stored.superseded and not stored.point.rank]


def _noted(context: Context, notes: Mapping[str, Any]) -> Context:
    return replace(context, extra={**context.extra, **notes})
