"""Folding a record into a monitor, in slices that leave the event loop to others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from losswatch_server.codec import damage
from losswatch_server.monitor.entries import Attempt, Entry, EntryKind
from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point, merge
from losswatch_server.monitor.snapshot import freeze, thaw
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from losswatch_server.runs.record import effective
from losswatch_server.store import Store
from losswatch_server.store.beside import beside
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.damage import damaged_blocks, steps_of
from losswatch_server.store.pages import PAGE, RecordPage, pages
from losswatch_server.store.rows import RecordRow, Snapshot
from losswatch_server.workers import Elsewhere

SLICE = 128
"""Points folded before others get their turn: a third of a millisecond where nothing happens in them, one and a half
where every rule must be asked at each."""
EARLY, EARLY_SLICE = 512, 16
"""In the first points of a run reviews are a few points apart, and each takes as long as a hundred points between."""

MUCH = 1024
"""Entries that are folded only where no snapshot could be used: they lie at most 512 apart."""


def slice_of(monitor: Monitor) -> int:
    """How many of the next points to fold before others get their turn."""
    return EARLY_SLICE if monitor.points < EARLY else SLICE


def apply(monitor: Monitor, entry: Entry) -> None:
    """One entry of the effective record, a merge laid into its point already."""
    kind = entry.kind
    if kind == EntryKind.POINTS or kind == EntryKind.OTHER_RANKS or (kind == EntryKind.LATE and entry.point.rank):
        monitor.see(entry.point)
    elif kind == EntryKind.LATE:
        monitor.see_late(entry.point)
    elif kind == EntryKind.CONTEXT:
        monitor.see_context(entry.context)
    elif kind == EntryKind.ATTEMPT:
        monitor.begin_attempt(entry.attempt, entry.point.step)


def around_merge(after_last: Sequence[Entry], added: Point) -> tuple[list[Entry], list[Entry]]:
    """What was folded after the last point, now that ``added`` joins it: what counts before that point, and after it.

    A validation loss, or metric, enters its series on arrival. One that joins the last point comes after those of
    earlier steps that were posted before it; were it folded first, they would be behind the end of their series, and
    lost.
    """
    if added.validation_loss is None and not added.metrics:
        return [], list(after_last)
    return [entry for entry in after_last if _is_late(entry)], [entry for entry in after_last if not _is_late(entry)]


def _is_late(entry: Entry) -> bool:
    return entry.kind == EntryKind.LATE and entry.point.rank == 0


@dataclass(slots=True)
class Folded:
    """What came of folding a record."""

    monitor: Monitor
    last: Point | None
    """The last point of rank 0, with all that was merged into it."""
    highest_step: int
    """Of any rank."""
    since: int
    """How many entries were folded since the snapshot that it began with."""
    changes: list[Finding]
    """Those of findings on the way, in order."""
    damage: tuple[str, ...]
    """A note for each damaged block that was left out."""
    snapshot: Snapshot | None = None
    """The state before the last point, where much was folded to come there."""


async def refold(
    store: Store,
    project: str,
    uid: str,
    attempts: Sequence[Attempt],
    snapshots: Sequence[tuple[int, int, int]],
    extra: Sequence[Entry] = (),
    *,
    elsewhere: Elsewhere,
) -> Folded:
    """The state after the whole record and ``extra`` entries that are not stored yet.

    Starts from the newest usable one of ``snapshots`` (seq, step, detection_version): what it has seen must all
    still count under ``attempts``. Full pages are folded elsewhere, to the bit; raises WorkerLostError.
    """
    monitor, from_seq, top = await _start(store, project, uid, attempts, snapshots)
    folding = _Folding(monitor, top)
    damaged: list[RecordRow] = []
    cuts = Cuts(attempts)
    async for page in pages(lambda seq: store.standing_page(project, uid, cuts, seq, PAGE), from_seq):
        frozen = None
        if sum(row.n for row in page.rows) >= PAGE:
            frozen = folding.monitor.faults.shield("snapshot", "", folding.monitor.step, folding.frozen, None)
        told = None
        if frozen is not None:
            told = await beside(elsewhere, page_folded, frozen, folding.kept(), page, attempts)
        if told is not None:
            folding.go_on(told)
        else:
            await folding.take(await asyncio.to_thread(_judged, page, attempts))
        damaged += damaged_blocks(page.rows)
    await folding.take(effective(extra, attempts))
    snapshot = folding.before_last() if folding.since >= MUCH and not (extra or damaged) else None
    return replace(folding.close(damaged), snapshot=snapshot)


class _Rest(NamedTuple):
    """What a folding holds besides its monitor."""

    highest_step: int
    held: list[Entry]
    last: Point | None
    since: int


class _PageFolded(NamedTuple):
    """A folding after a page: its monitor, frozen, and the changes and faults that were met."""

    frozen: bytes
    kept: _Rest
    changes: list[Finding]
    faults: list[Fault]


def page_folded(frozen: bytes, kept: _Rest, page: RecordPage, attempts: Sequence[Attempt]) -> _PageFolded | None:
    """What becomes of a folding with one more page, for another process; None where that cannot be written down."""
    folding = _Folding(thaw(frozen), kept.highest_step)
    folding.held, folding.last, folding.since = kept.held, kept.last, kept.since
    asyncio.run(folding.take(_judged(page, attempts)))
    try:
        after = folding.frozen()
    except Exception:  # noqa: BLE001 - a rule keeps what has no form: then it is folded where it can stay
        return None
    return _PageFolded(after, folding.kept(), folding.monitor.drain_changes(), folding.monitor.drain_faults())


def _judged(page: RecordPage, attempts: Sequence[Attempt]) -> list[Entry]:
    return list(effective(page.entries(), attempts))


async def _start(
    store: Store, project: str, uid: str, attempts: Sequence[Attempt], snapshots: Sequence[tuple[int, int, int]]
) -> tuple[Monitor, int, int]:
    for seq, step, version in reversed(snapshots):
        if version != DETECTION_VERSION or any(a.seq >= seq and a.step <= step for a in attempts):
            continue
        stored = await store.snapshot(project, uid, seq)
        if stored is None:
            continue
        try:
            return thaw(stored.body), seq, step
        except ValueError as error:  # an unreadable snapshot: the record is the truth, an older one will do
            damage.note("snapshot", (project, uid, seq), error)
    return Monitor(uid, watched=True), 0, -1


class _Folding:
    """Holds the last point of rank 0, and what followed it, until no merge into it can come any more."""

    def __init__(self, monitor: Monitor, top: int) -> None:
        self.monitor = monitor
        self.highest_step = top
        self.held: list[Entry] = []
        self.last: Point | None = None
        self.since = 0
        self.due: list[Point] = []
        """Points whose turn it is: they are folded together."""

    def frozen(self) -> bytes:
        """The state of the monitor, with all that is due."""
        self._fold_due()
        return freeze(self.monitor)

    def kept(self) -> _Rest:
        """What it holds besides."""
        return _Rest(self.highest_step, list(self.held), self.last, self.since)

    def go_on(self, told: _PageFolded) -> None:
        """From where another process has come."""
        changes, faults = self.monitor.drain_changes(), self.monitor.drain_faults()
        self.monitor = thaw(told.frozen)
        self.monitor.life.changes = changes + told.changes
        self.monitor.faults.tell([*faults, *told.faults])
        self.highest_step, self.held, self.last, self.since = told.kept

    async def take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.since += 1
            if len(self.due) >= slice_of(self.monitor):
                self._fold_due()
                await asyncio.sleep(0)
            if entry.kind == EntryKind.MERGE:
                first = self.held[0] if self.held else entry
                if first is entry or first.point.step != entry.point.step:
                    continue  # the point that it adds to is in a damaged block
                self.last = merge(first.point, entry.point)
                earlier, later = around_merge(self.held[1:], entry.point)
                for late in earlier:
                    self._apply(late)
                self.held = [first._replace(point=self.last), *later]
                continue
            if entry.kind != EntryKind.CONTEXT and entry.kind != EntryKind.ATTEMPT:
                self.highest_step = max(self.highest_step, entry.point.step)
            if entry.kind == EntryKind.POINTS:
                self._flush()
                self.last = entry.point
                self.held.append(entry)
            elif self.held:
                self.held.append(entry)
            else:
                self._apply(entry)

    def _flush(self) -> None:
        for entry in self.held:
            if entry.kind == EntryKind.POINTS:
                self.due.append(entry.point)
            else:
                self._apply(entry)
        self.held.clear()

    def _apply(self, entry: Entry) -> None:
        self._fold_due()
        apply(self.monitor, entry)

    def _fold_due(self) -> None:
        self.monitor.see_all(self.due)
        self.due.clear()

    def before_last(self) -> Snapshot | None:
        """The state before the last point, into which may still be merged; None where it cannot be written down."""
        if not self.held:
            return None
        faults, step = self.monitor.faults, self.monitor.step
        frozen: bytes | None = faults.shield("snapshot", "", step, self.frozen, None)
        return None if frozen is None else Snapshot(self.held[0].seq, self.highest_step, DETECTION_VERSION, frozen)

    def close(self, damaged: Sequence[RecordRow]) -> Folded:
        self._flush()
        self._fold_due()
        changes = self.monitor.drain_changes()
        notes = tuple(map(_damage_note, damaged))
        return Folded(self.monitor, self.last, self.highest_step, self.since, changes, notes)


def _damage_note(row: RecordRow) -> str:
    return (
        f"The stored data of {steps_of(row)} ({row.n} entries) are damaged and cannot be read; "
        "the run is judged without them."
    )
