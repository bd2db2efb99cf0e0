"""The live runs of this process: loaded from the store when needed, at most a fixed number at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.report import Assessment, assess
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, RunState
from losswatch_server.runs import archive
from losswatch_server.runs.answers import Report
from losswatch_server.runs.errors import RunNotFoundError
from losswatch_server.runs.faults import FaultLog
from losswatch_server.runs.fold import refold
from losswatch_server.runs.live_run import Live, ledger_of, rivals
from losswatch_server.runs.liveness.rhythm import Rhythm
from losswatch_server.runs.lookup import said_at
from losswatch_server.runs.record import standing
from losswatch_server.runs.reports import judged_row, last_known, with_clock
from losswatch_server.store import Store, damage
from losswatch_server.store.rows import StoredRun

KEPT = 512
"""Live runs in memory: at most 64 KiB of monitor each, 32 MiB together; twice that where points come in pieces."""

ENDED = frozenset({RunState.FINISHED, RunState.FAILED, RunState.CANCELLED})


@dataclass(slots=True)
class _Slot:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    live: Live | None = None


class _Hold:
    """The context in which a run is used. A class, because a generator costs every request 5 us more."""

    __slots__ = ("_key", "_shelf", "_slot")

    def __init__(self, shelf: Shelf, key: tuple[str, str]) -> None:
        self._shelf = shelf
        self._key = key
        self._slot = shelf.enter(key)

    async def __aenter__(self) -> _Slot:
        try:
            await self._slot.lock.acquire()
        except BaseException:
            self._shelf.leave(self._key, self._slot)
            raise
        return self._slot

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._slot.live = None
        self._slot.lock.release()
        self._shelf.leave(self._key, self._slot)


class Shelf:
    """Hands out runs, one user of a run at a time."""

    def __init__(self, store: Store, kept: int, faults: FaultLog) -> None:
        self.store = store
        self._faults = faults
        self._kept = kept
        self._slots: OrderedDict[tuple[str, str], _Slot] = OrderedDict()

    def hold(self, project: str, name: str) -> _Hold:
        """The run's place on the shelf, for one user alone. What it held is dropped if the user fails."""
        return _Hold(self, (project, name))

    def enter(self, key: tuple[str, str]) -> _Slot:
        """The place of a run that somebody is about to use."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot()
        else:
            self._slots.move_to_end(key)
        slot.users += 1
        return slot

    def leave(self, key: tuple[str, str], slot: _Slot) -> None:
        """What ``enter`` gave is no longer used."""
        slot.users -= 1
        if slot.users == 0 and slot.live is None:
            self._slots.pop(key, None)
        self._shrink()

    def peek(self, project: str, name: str) -> Live | None:
        """The run as its last commit left it, if it is in memory and nobody is changing it."""
        slot = self._slots.get((project, name))
        return slot.live if slot is not None and not slot.lock.locked() else None

    def _shrink(self) -> None:
        if len(self._slots) <= self._kept:
            return
        for key, slot in list(self._slots.items()):
            if slot.users == 0:
                del self._slots[key]
                if len(self._slots) <= self._kept:
                    return

    async def load(self, slot: _Slot, project: str, name: str) -> Live | None:
        """The live run in ``slot``, loaded if it is not there yet; None where there is no such run."""
        if slot.live is None:
            run = await self.store.find_run(project, name)
            if run is not None:
                slot.live = await self._revive(run)
        return slot.live

    async def load_known(self, slot: _Slot, project: str, name: str) -> Live:
        """The same for a run that must exist. Raises RunNotFoundError."""
        live = await self.load(slot, project, name)
        if live is None:
            raise RunNotFoundError(f"There is no run named {name!r} in project {project!r}.")
        return live

    async def _revive(self, run: StoredRun) -> Live:
        row = run.row
        stored = await self.store.findings(row.project, row.uid)
        known = {item.finding.id: _bare(item.finding) for item in stored}
        live = Live(
            row=row,
            ledger=ledger_of(run, None),
            stored=True,
            next_seq=run.next_seq,
            stored_seq=run.next_seq,
            unsealed=run.unsealed,
            rhythm=Rhythm.unpack(run.rhythm),
            attempts=run.attempts,
            known=known,
            archived=run.report,
        )
        if row.detection_version == DETECTION_VERSION:
            _, lineage = await self.judge(live)
            known.update((finding.id, finding) for finding in lineage)
        else:
            live.ledger = live.ledger._replace(last=await self._last_point(live))
        return live

    async def judge(self, live: Live) -> tuple[Sequence[Finding], Sequence[Finding]]:
        """Make the monitor of ``live`` from the store anew; the changes of findings on the way, and those there are."""
        row = live.row
        live.marks = list(await self.store.snapshot_marks(row.project, row.uid))
        folded = await refold(self.store, row.project, row.uid, live.attempts, live.marks)
        live.monitor = folded.monitor
        live.top = folded.top
        live.since = folded.since
        live.damage = folded.damage
        live.ledger = live.ledger._replace(last=folded.last)
        self.heed(live)
        return folded.changes, folded.monitor.findings()

    def heed(self, live: Live, more: Iterable[Fault] = ()) -> None:
        """Count and log what failed since the last call in folding the run, and ``more``."""
        faults = [] if live.monitor is None else live.monitor.drain_faults()
        self._faults.take(
            [*faults, *live.faults.drain(), *more], f"run {live.row.name!r} in project {live.row.project!r}"
        )

    async def _last_point(self, live: Live) -> Point | None:
        """The last point of rank 0 without folding anything."""
        row = live.row
        step = await self.store.last_main_step(row.project, row.uid, live.next_seq)
        if step is None:
            return None
        said = await said_at(self.store, row, [(step, 0)], standing(live.attempts))
        return said.get((step, 0))

    async def settle(self, live: Live) -> Report:
        """Judge the run as it stands, and bring its row up to date with that."""
        if live.monitor is not None:
            live.judgement = assess(live.monitor)
            self.heed(live, live.judgement.faults)
        else:
            live.judgement = _unpacked(live) or last_known(
                live.row, [item.finding for item in await self.store.findings(live.row.project, live.row.uid)]
            )
        assessment = with_clock(live.judgement, live.known.values(), [*rivals(live.ledger), *live.damage])
        live.row = judged_row(live.row, assessment)
        stale = live.monitor is None and live.row.detection_version > DETECTION_VERSION
        live.report = Report(run=live.row, assessment=assessment, stale=stale)
        return live.report

    async def report(self, live: Live) -> Report:
        """The report of a run as it stands; made once, and again after a change."""
        return live.report or await self.settle(live)


def _unpacked(live: Live) -> Assessment | None:
    """The report with which the run ended, where one was kept and can be read."""
    if live.archived is None:
        return None
    try:
        return archive.from_bytes(live.archived)
    except ValueError as error:
        damage.note("report of run", (live.row.project, live.row.name, live.row.uid), error)
        return None


def _bare(finding: Finding) -> Finding:
    return finding if not (finding.causes or finding.advice) else replace(finding, causes=(), advice=())
