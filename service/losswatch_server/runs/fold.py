"""Folding a record into a monitor, in slices that leave the event loop to others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point, merge
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from losswatch_server.runs.record import judged
from losswatch_server.store import Store, damage
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.entries import Item, read
from losswatch_server.store.rows import Attempt, EntryKind, RecordRow

SLICE = 16
"""Items folded before others get their turn: about a quarter of a millisecond, of which a request waits for several."""
PAGE = 4096
"""Points read from the store at a time."""


def apply(monitor: Monitor, item: Item) -> None:
    """One item of the effective record, a merge laid into its point already."""
    kind = item.kind
    if kind == EntryKind.POINTS or kind == EntryKind.OTHER_RANKS or (kind == EntryKind.LATE and item.point.rank):
        monitor.see(item.point)
    elif kind == EntryKind.LATE:
        monitor.see_late(item.point)
    elif kind == EntryKind.CONTEXT:
        monitor.see_context(item.context)
    elif kind == EntryKind.ATTEMPT:
        monitor.begin_attempt(item.attempt, item.point.step)


@dataclass(slots=True)
class Folded:
    """A monitor, the last point of rank 0 it has seen, the highest step of any rank, how many items were folded since
    the snapshot, the changes of findings on the way, and a note for each damaged block that was left out."""

    monitor: Monitor
    last: Point | None
    top: int
    since: int
    changes: list[Finding]
    damage: tuple[str, ...]


async def refold(
    store: Store,
    project: str,
    uid: str,
    attempts: Sequence[Attempt],
    snapshots: Sequence[tuple[int, int, int]],
    extra: Sequence[Item] = (),
) -> Folded:
    """The state after the whole record and ``extra`` items that are not stored yet.

    Starts from the newest usable one of ``snapshots`` (seq, step, detection_version): what it has seen must all
    still count under ``attempts``.
    """
    monitor, from_seq, top = await _start(store, project, uid, attempts, snapshots)
    folding = _Folding(monitor, top)
    damaged: list[RecordRow] = []
    cuts = Cuts(attempts)
    while rows := await store.standing_page(project, uid, cuts, from_seq, PAGE):
        await folding.take(await asyncio.to_thread(_judged, rows, from_seq, attempts))
        damaged += damage.damaged_blocks(rows)
        from_seq = rows[-1].seq + rows[-1].n
    await folding.take(judged(extra, attempts))
    return folding.close(damaged)


def _judged(rows: Sequence[RecordRow], from_seq: int, attempts: Sequence[Attempt]) -> list[Item]:
    return list(judged(read(rows, from_seq), attempts))


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
            return Monitor.thaw(stored.body), seq, step
        except ValueError as error:  # an unreadable snapshot: the record is the truth, an older one will do
            damage.note("snapshot", (project, uid, seq), error)
    return Monitor(uid), 0, -1


class _Folding:
    """Holds the last point of rank 0, and what followed it, until no merge into it can come any more."""

    def __init__(self, monitor: Monitor, top: int) -> None:
        self.monitor = monitor
        self.top = top
        self.held: list[Item] = []
        self.last: Point | None = None
        self.since = 0

    async def take(self, items: Iterable[Item]) -> None:
        for item in items:
            self.since += 1
            if self.since % SLICE == 0:
                await asyncio.sleep(0)
            if item.kind == EntryKind.MERGE:
                first = self.held[0] if self.held else item
                if first is item or first.point.step != item.point.step:
                    continue  # the point that it adds to is in a damaged block
                self.last = merge(first.point, item.point)
                self.held[0] = first._replace(point=self.last)
                continue
            if item.kind != EntryKind.CONTEXT and item.kind != EntryKind.ATTEMPT:
                self.top = max(self.top, item.point.step)
            if item.kind == EntryKind.POINTS:
                self._flush()
                self.last = item.point
                self.held.append(item)
            elif self.held:
                self.held.append(item)
            else:
                apply(self.monitor, item)

    def _flush(self) -> None:
        for item in self.held:
            apply(self.monitor, item)
        self.held.clear()

    def close(self, damaged: Sequence[RecordRow]) -> Folded:
        self._flush()
        changes = self.monitor.drain_changes()
        return Folded(self.monitor, self.last, self.top, self.since, changes, tuple(map(_damage_note, damaged)))


def _damage_note(row: RecordRow) -> str:
    return (
        f"The stored data of {damage.steps_of(row)} ({row.n} entries) are damaged and cannot be read; "
        "the run is judged without them."
    )
