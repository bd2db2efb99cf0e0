"""The live runs of this process: loaded from the store when needed, at most a fixed number at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

from losswatch_server.codec import damage
from losswatch_server.codec.assessments import assessment_from_bytes
from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.report import Assessment, assess
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, RunState
from losswatch_server.runs.answers import Report, RunNotFoundError
from losswatch_server.runs.faults import FaultLog
from losswatch_server.runs.finding_changes import missed
from losswatch_server.runs.fold import refold
from losswatch_server.runs.live_run import LiveRun, concurrency_notes, cursor_of
from losswatch_server.runs.liveness.rhythm import Rhythm
from losswatch_server.runs.lookup import said_at
from losswatch_server.runs.record import standing
from losswatch_server.runs.reports import frozen_assessment, row_from_report, with_liveness_findings
from losswatch_server.store import RunMovedError, Store, StoreError
from losswatch_server.store.rows import StoredRun
from losswatch_server.workers import Elsewhere

LOADS = 10
"""Times that a run is loaded which others change meanwhile."""
KEPT, KEPT_KIB = 2048, 320 << 10
"""Live runs in memory, where a setting says no other number: at most so many, and as many as so much memory holds: 512
long ones, or 1280 of a thousand points."""
_SIZES = ((300, 100), (1000, 256), (3000, 400))
_LONG = 640
"""KiB that a run takes as objects after so many points, and past that: measured as 84, 249, 391 and (after 10,000) 630.
A snapshot of one takes a tenth of it."""

ENDED = frozenset({RunState.FINISHED, RunState.FAILED, RunState.CANCELLED})


@dataclass(slots=True)
class CachedRun:
    """A place in the cache, by project and name."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one who works on the run."""
    users: int = 0
    """Who holds the lock, and who waits for it: while there is one, the place is not given up."""
    live: LiveRun | None = None
    """None until it is loaded, and again after its user failed."""
    kib: int = 0
    """What it takes of the memory for live runs, as of its last user."""


class RunLock:
    """The context in which a run is used. A class, because a generator costs every request 5 us more."""

    __slots__ = ("_cache", "_cached", "_key")

    def __init__(self, cache: RunCache, key: tuple[str, str]) -> None:
        self._cache = cache
        self._key = key
        self._cached = cache.enter(key)

    async def __aenter__(self) -> CachedRun:
        try:
            await self._cached.lock.acquire()
        except BaseException:
            self._cache.leave(self._key, self._cached)
            raise
        return self._cached

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._cached.live = None
        self._cached.lock.release()
        self._cache.leave(self._key, self._cached)


class RunCache:
    """Hands out runs, one user of a run at a time."""

    def __init__(self, store: Store, kept: int | None, faults: FaultLog, elsewhere: Elsewhere) -> None:
        self.store = store
        self.elsewhere = elsewhere
        self._faults = faults
        self._kept = KEPT if kept is None else kept
        self._room = KEPT_KIB if kept is None else _LONG * kept
        self._held = 0
        """KiB that the runs take together."""
        self._runs: OrderedDict[tuple[str, str], CachedRun] = OrderedDict()

    def lock(self, project: str, name: str) -> RunLock:
        """The run's place in the cache, for one user alone. What it held is dropped if the user fails."""
        return RunLock(self, (project, name))

    def enter(self, key: tuple[str, str]) -> CachedRun:
        """The place of a run that somebody is about to use."""
        cached = self._runs.get(key)
        if cached is None:
            cached = self._runs[key] = CachedRun()
        else:
            self._runs.move_to_end(key)
        cached.users += 1
        return cached

    def leave(self, key: tuple[str, str], cached: CachedRun) -> None:
        """What ``enter`` gave is no longer used."""
        cached.users -= 1
        kib = 0 if cached.live is None else kib_of(cached.live.row.points)
        self._held += kib - cached.kib
        cached.kib = kib
        if cached.users == 0 and cached.live is None:
            self._runs.pop(key, None)
        while len(self._runs) > self._kept or self._held > self._room:
            oldest = next((old for old, place in self._runs.items() if place.users == 0), None)
            if oldest is None:
                return
            self._held -= self._runs.pop(oldest).kib

    def peek(self, project: str, name: str) -> LiveRun | None:
        """The run as its last commit left it, if it is in memory and nobody can be changing it."""
        if self.store.is_shared:
            return None
        cached = self._runs.get((project, name))
        return cached.live if cached is not None and not cached.lock.locked() else None

    async def load(self, cached: CachedRun, project: str, name: str, *, hopeful: bool = False) -> LiveRun | None:
        """The live run in ``cached``, loaded if it is not there yet; None where there is no such run.

        Where other services write to the store, it is loaded anew if one of them has changed it; who is ``hopeful``
        finds that out from the commit. Raises RunMovedError for one that changes faster than it can be loaded.
        """
        if cached.live is not None and not hopeful and await self.has_moved(cached.live):
            cached.live = None
        tries = LOADS
        while cached.live is None:
            run = await self.store.find_run(project, name)
            if run is None:
                return None
            live = await self._revive(run)
            if not await self.has_moved(live):  # what it was made of was read at several moments
                cached.live = live
            elif not (tries := tries - 1):
                raise RunMovedError(f"Run {name!r} changes faster than it can be loaded.")
        return cached.live

    async def has_moved(self, live: LiveRun) -> bool:
        """Whether another service has changed the run since it was loaded or committed here."""
        if not self.store.is_shared or not live.stored:
            return False
        row = live.row
        return await self.store.place_of(row.project, row.name) != (row.uid, live.stored_seq, live.stored_revision)

    async def load_known(self, cached: CachedRun, project: str, name: str) -> LiveRun:
        """The same for a run that must exist. Raises RunNotFoundError."""
        live = await self.load(cached, project, name)
        if live is None:
            raise RunNotFoundError(f"There is no run named {name!r} in project {project!r}.")
        return live

    async def _revive(self, run: StoredRun) -> LiveRun:
        row = run.row
        stored = await self.store.findings(row.project, row.uid)
        known = {item.finding.id: _bare(item.finding) for item in stored}
        live = LiveRun(
            row=row,
            cursor=cursor_of(run, None),
            stored=True,
            next_seq=run.next_seq,
            stored_seq=run.stored_seq,
            revision=run.revision,
            stored_revision=run.stored_revision,
            unsealed=run.unsealed,
            rhythm=Rhythm.unpack(run.rhythm),
            attempts=run.attempts,
            findings=known,
            final_report=run.report,
        )
        if row.detection_version == DETECTION_VERSION:
            _, lineage = await self.judge(live, keep_for=run if row.state != RunState.RUNNING else None)
            live.missed = missed(known, lineage, live.cursor.attempt if not live.damage else 0)
            unknown = {finding.id for finding in live.missed}
            known.update((finding.id, finding) for finding in lineage if finding.id not in unknown)
        else:
            live.cursor = live.cursor._replace(last=await self._last_point(live))
        return live

    async def judge(
        self, live: LiveRun, keep_for: StoredRun | None = None
    ) -> tuple[Sequence[Finding], Sequence[Finding]]:
        """Make the monitor of ``live`` from the store anew; the changes of findings on the way, and those there are.

        ``keep_for``: the run, where nobody may write to it for long. What its snapshots, of another format or damaged,
        did not save is then done for the last time.
        """
        row = live.row
        live.snapshot_marks = list(await self.store.snapshot_marks(row.project, row.uid))
        folded = await refold(
            self.store, row.project, row.uid, live.attempts, live.snapshot_marks, elsewhere=self.elsewhere
        )
        live.monitor = folded.monitor
        live.highest_step = folded.highest_step
        live.since_snapshot = folded.since
        live.damage = folded.damage
        live.cursor = live.cursor._replace(last=folded.last)
        if keep_for is not None and folded.snapshot is not None:
            with contextlib.suppress(StoreError):  # it only saves work
                if await self.store.keep_snapshot(keep_for, folded.snapshot):
                    live.snapshot_marks = list(await self.store.snapshot_marks(row.project, row.uid))
        self.take_faults(live)
        return folded.changes, folded.monitor.findings()

    def take_faults(self, live: LiveRun, more: Iterable[Fault] = ()) -> None:
        """Count and log what failed since the last call in folding the run, and ``more``."""
        faults = [*([] if live.monitor is None else live.monitor.drain_faults()), *live.faults.drain(), *more]
        if faults:
            self._faults.take(faults, f"run {live.row.name!r} in project {live.row.project!r}")

    async def _last_point(self, live: LiveRun) -> Point | None:
        """The last point of rank 0 without folding anything."""
        row = live.row
        step = await self.store.last_main_step(row.project, row.uid, live.next_seq)
        if step is None:
            return None
        said = await said_at(self.store, row, [(step, 0)], standing(live.attempts))
        return said.get((step, 0))

    async def assess(self, live: LiveRun) -> Report:
        """Judge the run as it stands, and bring its row up to date with that."""
        if live.monitor is not None:
            live.assessment = assess(live.monitor)
            self.take_faults(live, live.assessment.faults)
        else:
            live.assessment = _final_assessment(live) or frozen_assessment(
                live.row, [item.finding for item in await self.store.findings(live.row.project, live.row.uid)]
            )
        notes = [*concurrency_notes(live.cursor), *live.damage]
        assessment = with_liveness_findings(live.assessment, live.findings.values(), notes)
        live.row = row_from_report(live.row, assessment)
        stale = live.monitor is None and live.row.detection_version > DETECTION_VERSION
        live.report = Report(run=live.row, assessment=assessment, stale=stale, encoded=live.encoded)
        return live.report

    async def report(self, live: LiveRun) -> Report:
        """The report of a run as it stands; made once, and again after a change."""
        return live.report or await self.assess(live)


def kib_of(points: int) -> int:
    """What a run of so many points takes in memory, about, at most."""
    return next((kib for most, kib in _SIZES if points <= most), _LONG)


def _final_assessment(live: LiveRun) -> Assessment | None:
    """The report with which the run ended, where one was kept and can be read."""
    if live.final_report is None:
        return None
    try:
        return assessment_from_bytes(live.final_report)
    except ValueError as error:
        damage.note("report of run", (live.row.project, live.row.name, live.row.uid), error)
        return None


def _bare(finding: Finding) -> Finding:
    return finding if not (finding.causes or finding.advice) else replace(finding, causes=(), advice=())
