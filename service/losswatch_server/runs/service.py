"""The use cases: the only place where the monitor meets the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Literal

from losswatch_server.codec.problems import one_line
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.replay import Explanation
from losswatch_server.monitor.siblings import Standing
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import explaining, marking, series
from losswatch_server.runs.answers import FindingNotFoundError, Recorded, Report, RunNotFoundError, StoredPoint
from losswatch_server.runs.faults import FaultLog
from losswatch_server.runs.finding_changes import FindingChanges, event
from losswatch_server.runs.live_run import LiveRun, new_uid
from losswatch_server.runs.liveness.findings import returned
from losswatch_server.runs.page_cursors import read_cursor, write_cursor
from losswatch_server.runs.project_findings import project_findings
from losswatch_server.runs.recording import Draft, Recorder, persistent
from losswatch_server.runs.run_cache import ENDED, CachedRun, RunCache
from losswatch_server.runs.series import WholeSeries
from losswatch_server.runs.siblings import stand
from losswatch_server.runs.steady import steadily
from losswatch_server.runs.written import Wanted
from losswatch_server.store import Store
from losswatch_server.store.cuts import NEVER
from losswatch_server.store.rows import (
    FindingFilter,
    RunCounts,
    RunFilter,
    RunFinding,
    RunOrder,
    RunRow,
    StoredEvent,
    StoredFinding,
    StoredRun,
)
from losswatch_server.store.sealing import SEAL_POINTS
from losswatch_server.workers import Elsewhere

ERROR_LENGTH, LEFTOVERS_EVERY_S = 500, 60.0
Mark = Literal["acknowledged", "muted"]
ALL_RUNS = RunFilter()
MUTED_INDEFINITELY = 253402300799.0
"""A mute without an end: the last second of the year 9999."""


class Runs:
    """All use cases of runs over one store.

    One at a time works on a run; different runs do not wait for each other. ``clock`` gives seconds since 1970;
    ``on_commit`` is called after each commit with the run as it stands and, where points came, its newest point of
    rank 0; ``faults`` hears of what failed in judging; ``elsewhere`` takes what is long.
    Every method may raise StoreBusyError, StoreFailedError and StoreClosedError; those that take the name of a run
    raise RunNotFoundError where there is none.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.time,
        on_commit: Callable[[RunRow, Point | None], None] | None = None,
        *,
        kept: int | None = None,
        uid: Callable[[], str] = new_uid,
        faults: FaultLog | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_commit = on_commit
        self._faults = faults or FaultLog()
        self._cache = RunCache(store, kept, self._faults, elsewhere or Elsewhere(None, 1))
        self._recorder = Recorder(self._cache, clock, uid)
        self._sealing: set[asyncio.Task[None]] = set()
        self._unsealed: dict[tuple[str, str], Exception | None] = {}
        self._looked_for_leftovers = False

    async def close(self) -> None:
        """Wait for work in the background. The store is closed by whoever opened it."""
        while self._sealing:
            await asyncio.wait(self._sealing)

    async def check(self) -> None:
        """Whether points would be kept now, and answers given. Raises the StoreError of which it would fail."""
        await self._store.check()
        await self._store.events(None, (1 << 62), None, 1)

    async def record(
        self,
        project: str,
        name: str,
        points: Sequence[Point],
        context: Context | None = None,
        writer: str | None = None,
        *,
        report: bool = True,
    ) -> Recorded:
        """Keep the points and say how the run is doing; creates the run. Returns when they survive a power loss.

        ``context`` holds from before these points on. Raises PointsRefusedError for points that contradict each
        other, RunGoneError for the writer of a deleted run; nothing is kept then.
        """
        recorded, live, _ = await self._recorder.record(project, name, points, context, writer, report)
        self._committed(live)
        return recorded

    async def upsert(self, project: str, name: str, context: Context) -> tuple[RunRow, bool]:
        """Create the run, or lay the context over what is known of it; True when it was created."""
        recorded, live, created = await self._recorder.record(project, name, (), context, None)
        self._committed(live)
        return recorded.run, created

    async def update(self, project: str, name: str, context: Context) -> RunRow:
        """Lay the context over what is known of a run that exists."""
        await self.get(project, name)
        return (await self.upsert(project, name, context))[0]

    async def get(self, project: str, name: str) -> RunRow:
        """The run."""
        live = self._cache.peek(project, name)
        return live.row if live is not None else (await self._stored(project, name)).row

    async def delete(self, project: str, name: str, *, unheard_since: float | None = None) -> bool:
        """Remove a run with all it has. Its writers are refused from now on; the name can be used again.

        False where something was heard of it after ``unheard_since``, or it cannot be told: then it stays.
        """
        async with self.alone(project, name) as run:
            row, now = run.row, self._clock()
            if unheard_since is not None and (row.damaged or row.last_seen_at >= unheard_since):
                return False
            await self._store.delete_run(row, now, event("run.deleted", now, row))
        return self._notify(row)

    @asynccontextmanager
    async def alone(self, project: str, name: str) -> AsyncIterator[StoredRun]:
        """The run as it is stored, for who changes that: nobody else works on it, and it is read anew afterwards."""
        async with self._cache.lock(project, name) as cached:
            cached.live = None
            yield await self._stored(project, name)

    async def report(self, project: str, name: str) -> Report:
        """How the run is doing."""
        live = self._cache.peek(project, name)
        if live is not None and live.report is not None:
            return live.report
        async with self._cache.lock(project, name) as cached:
            return await self._cache.report(await self._cache.load_known(cached, project, name))

    async def points(
        self,
        project: str,
        name: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        attempt: int | None = None,
        resolution: int | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> tuple[list[StoredPoint], str | None]:
        """At most ``limit`` points by attempt, step and rank, superseded ones too, and the cursor of those after them.

        With ``resolution`` a picture of all of them on one page, as series.picture says. Raises ValueError for a cursor
        that this method did not give for this run.
        """
        low, high = from_step or 0, NEVER if to_step is None else to_step

        async def read(run: StoredRun) -> tuple[list[StoredPoint], str | None]:
            if resolution is not None:
                return await series.picture(self._store, run, resolution, low=low, high=high, attempt=attempt), None
            return await series.page(self._store, run, cursor, limit, low=low, high=high, attempt=attempt)

        return await steadily(self._store, partial(self._stored, project, name), read)

    async def series(
        self,
        project: str,
        name: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        attempt: int | None = None,
        wanted: Wanted = None,
    ) -> WholeSeries:
        """All points that ``points`` would give, with what is ``wanted`` of them alone."""
        find = partial(self._stored, project, name)
        run = await find()
        return WholeSeries(self._store, run, find, self._cache.elsewhere, from_step, to_step, attempt, wanted)

    async def findings(self, project: str, name: str) -> list[StoredFinding]:
        """Every finding the run ever had, in the order in which they opened, as the report has it now."""
        report = await self.report(project, name)
        stored = await self._store.findings(project, report.run.uid)
        now = {finding.id: finding for finding in report.assessment.findings}
        return [replace(item, finding=now.get(item.finding.id, item.finding)) for item in stored]

    async def project_findings(
        self, project: str, wanted: FindingFilter, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[RunFinding], str | None]:
        """Findings of all runs of a project, as ``project_findings`` gives them."""
        return await project_findings(self._store, self.report, project, wanted, cursor, limit)

    async def finding(self, project: str, name: str, finding_id: str) -> StoredFinding:
        """One finding. Raises FindingNotFoundError."""
        for stored in await self.findings(project, name):
            if stored.finding.id == finding_id:
                return stored
        raise FindingNotFoundError(f"Run {name!r} has no finding {finding_id!r}.")

    async def explain(self, project: str, name: str, finding_id: str) -> Explanation:
        """The statistic behind a finding over time."""
        finding = (await self.finding(project, name, finding_id)).finding
        explanation = await steadily(
            self._store,
            partial(self._stored, project, name),
            lambda run: explaining.explain(self._store, run, finding, self._cache.elsewhere),
        )
        self._faults.take(explanation.faults, f"run {name!r} in project {project!r}")
        return explanation

    async def siblings(self, project: str, name: str) -> Standing:
        """Where the run stands among the other runs of its group and its own earlier attempts."""
        find = partial(self._stored, project, name)
        standing = await steadily(self._store, find, partial(stand, self._store))
        self._faults.take(standing.faults, f"run {name!r} in project {project!r}")
        return standing

    async def _stored(self, project: str, name: str) -> StoredRun:
        run = await self._store.find_run(project, name)
        if run is None:
            raise RunNotFoundError(f"There is no run named {name!r} in project {project!r}.")
        return run

    async def acknowledge(self, project: str, name: str, finding_id: str) -> StoredFinding:
        """Somebody knows of the finding."""
        return await self._mark(project, name, finding_id, "acknowledged", self._clock())

    async def mute(self, project: str, name: str, finding_id: str, seconds: float | None) -> StoredFinding:
        """Suppress notifications of the finding for ``seconds``; None: indefinitely."""
        until = MUTED_INDEFINITELY if seconds is None else self._clock() + seconds
        return await self._mark(project, name, finding_id, "muted", until)

    async def unmark(self, project: str, name: str, finding_id: str, what: Mark) -> StoredFinding:
        """Take an acknowledgement or a mute back."""
        return await self._mark(project, name, finding_id, f"un{what}", None)

    async def _mark(self, project: str, name: str, finding_id: str, what: str, value: float | None) -> StoredFinding:
        stored = await self.finding(project, name, finding_id)
        row = await self.get(project, name)
        column = "acknowledged_at" if what.endswith("acknowledged") else "muted_until"
        told = event(f"finding.{what}", self._clock(), row, stored.finding)
        await self._store.mark_finding((project, row.uid, finding_id), column, value, told, name)
        self._notify(row)
        return await self.finding(project, name, finding_id)

    async def finish(self, project: str, name: str, state: RunState, error: str = "") -> Report:
        """The run ended as ``state`` says, of ``error`` where it failed. Saying so twice changes nothing."""
        if state not in ENDED:
            raise ValueError(f"a run ends finished, failed or cancelled, not {state}")

        async def end(cached: CachedRun) -> Report:
            live = await self._cache.load_known(cached, project, name)
            if live.row.state is not state:
                now = self._clock()
                draft = Draft(now, FindingChanges(live.findings), event_kinds=[f"run.{state}"])
                draft.finding_changes.forward(returned(live.findings.values(), live.row.step, now))
                live.row = live.row._replace(
                    state=state, finished_at=now, paused_until=None, error=one_line(error, ERROR_LENGTH)
                )
                live.report = None
                await self._recorder.commit(live, draft)
                self._seal(live)
            return await self._cache.report(live)

        async with self._cache.lock(project, name) as cached:
            report = await persistent(cached, partial(end, cached))
        self._notify(report.run)
        return report

    async def pause(self, project: str, name: str, seconds: float) -> RunRow:
        """The run will be quiet for so long, or until its next point: it is not silent meanwhile."""

        async def pause(cached: CachedRun) -> RunRow:
            live = await self._cache.load_known(cached, project, name)
            now = self._clock()
            draft = Draft(now, FindingChanges(live.findings))
            if live.row.state is RunState.SILENT:
                draft.event_kinds.append("run.returned")
                draft.finding_changes.forward(returned(live.findings.values(), live.row.step, now))
                live.row = live.row._replace(state=RunState.RUNNING)
            live.row = live.row._replace(paused_until=now + seconds, last_seen_at=now)
            live.report = None
            await self._recorder.commit(live, draft)
            return live.row

        async with self._cache.lock(project, name) as cached:
            row = await persistent(cached, partial(pause, cached))
        self._notify(row)
        return row

    async def mark_silent(
        self, project: str, uid: str, at: float, last_seen: float, heard_at: float | None = None
    ) -> bool:
        """The run stopped reporting; False where that is not (or no longer) so, and nothing was changed.

        ``last_seen`` is the ``last_seen_at`` on which the caller decided: a run heard of since is not silent.
        ``heard_at`` is when that was, where the clock was wrong then.
        """
        marked = await marking.mark_silent(self._cache, self._recorder, (project, uid), at, last_seen, heard_at)
        return self._notify(marked)

    async def give_up(self, project: str, uid: str, at: float) -> bool:
        """Nobody waits for a silent run any more: its finding closes, its state stays. False where it is not silent."""
        return self._notify(await marking.give_up(self._cache, self._recorder, (project, uid), at))

    async def events(
        self, project: str | None, *, after: int, name: str | None = None, limit: int = 500
    ) -> list[StoredEvent]:
        """Events with an id above ``after``, oldest first; of one run (as it is named now), a project, or all."""
        uid = None
        if name is not None and project is not None:
            uid = (await self.get(project, name)).uid
        return await self._store.events(project, after, uid, limit)

    async def list(
        self,
        project: str,
        wanted: RunFilter = ALL_RUNS,
        *,
        order: RunOrder = RunOrder.CREATED,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[list[RunRow], str | None]:
        """Runs, and the cursor of the next page (None: there is none).

        Raises ValueError for a cursor that this method did not give for this order.
        """
        before = None if cursor is None else read_cursor(cursor, order)
        rows = await self._store.list_runs(project, wanted, order, before=before, limit=limit + 1)
        return rows[:limit], write_cursor(rows[limit - 1], order) if len(rows) > limit else None

    async def projects(self) -> dict[str, RunCounts]:
        """Every project that has runs, by name, with how many."""
        return await self._store.projects()

    def _committed(self, live: LiveRun) -> None:
        if live.unsealed >= SEAL_POINTS:
            self._seal(live)
        self._notify(live.row, live.cursor.last)

    def _notify(self, row: RunRow | None, last: Point | None = None) -> bool:
        """Whether there was a commit, of which the run is what it left."""
        if row is not None and self._on_commit is not None:
            self._on_commit(row, last)
        return row is not None

    def _seal(self, live: LiveRun) -> None:
        """Compress the run's small rows in the background; the next commit writes down that this was done."""
        live.unsealed = 0
        task = asyncio.create_task(self._sealed(live.row.project, live.row.uid))
        self._sealing.add(task)
        task.add_done_callback(self._sealing.discard)

    async def _sealed(self, project: str, uid: str) -> None:
        """Nothing is lost where that fails: the rows stay as they are, and are left over for ``seal_leftovers``."""
        try:
            await self._store.seal(project, uid)
        except Exception as error:  # noqa: BLE001 - whatever it is: this task has nobody to tell
            self._unsealed[project, uid] = error

    async def seal_leftovers(self) -> float:
        """Compress what a stop, or a failure, left uncompressed; after how many seconds to look again.

        The error of one run is no reason not to go on with the next; the last one is raised at the end.
        """
        if not self._looked_for_leftovers and await self._store.leads("sealing", LEFTOVERS_EVERY_S):
            self._unsealed |= dict.fromkeys(await self._store.runs_to_seal())
            self._looked_for_leftovers = True
        failed: dict[tuple[str, str], Exception | None] = {}
        while self._unsealed:
            key, _ = self._unsealed.popitem()
            try:
                await self._store.seal(*key)
            except Exception as error:  # noqa: BLE001
                failed[key] = error
        self._unsealed |= failed
        for why in failed.values():
            if why is not None:
                raise why
        return LEFTOVERS_EVERY_S
