"""What takes long of judging a run, in another process: the state goes there with the points, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from losswatch_server.codec.packed import PackedBatch
from losswatch_server.monitor.entries import Entry, NewPoints
from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.snapshot import freeze, thaw
from losswatch_server.runs.live_run import LiveRun
from losswatch_server.runs.points.accept import RunCursor
from losswatch_server.store.beside import MANY
from losswatch_server.store.rows import RunRow, Snapshot
from losswatch_server.workers import Elsewhere


class _Part(NamedTuple):
    """What of a live run changes while points are folded, without its monitor."""

    highest_step: int
    since_snapshot: int
    merges_into_last: bool
    before_last: bytes | None = None


class _Forwarded(NamedTuple):
    """What came of it."""

    frozen: bytes
    part: _Part
    snapshots: list[Snapshot]
    changes: list[Finding]
    faults: list[Fault]


async def forward(live: LiveRun, entries: Sequence[Entry], elsewhere: Elsewhere) -> list[Snapshot]:
    """``live.forward(entries)``; of many points in another process, to the bit.

    Raises WorkerLostError where that is killed: then nothing is changed.
    """
    frozen = live.frozen() if isinstance(entries, NewPoints) and len(entries) >= MANY else None
    if frozen is None or live.monitor is None or not isinstance(entries, NewPoints):
        return await live.forward(entries)
    if not isinstance(entries.points, PackedBatch):
        packed = await asyncio.to_thread(PackedBatch.packed, entries.points)
        entries = NewPoints(entries.seq, entries.attempt, packed)
    part = _Part(live.highest_step, live.since_snapshot, live.merges_into_last)
    told = await elsewhere.run(forwarded, frozen, entries, live.row, part)
    if told is None:  # a state that cannot be written down is kept here alone
        return await live.forward(entries)
    live.faults.tell([*live.monitor.drain_faults(), *told.faults])
    before = live.monitor.drain_changes()
    live.monitor = thaw(told.frozen)
    live.monitor.life.changes = before + told.changes
    live.highest_step, live.since_snapshot, _, live.before_last = told.part
    live.after_last.clear()
    return told.snapshots


def forwarded(frozen: bytes, entries: NewPoints, row: RunRow, part: _Part) -> _Forwarded | None:
    """What becomes of a run whose monitor is ``frozen`` with these entries; None where that cannot be written down."""
    monitor = thaw(frozen)
    live = LiveRun(
        row=row,
        cursor=RunCursor(),
        stored=True,
        monitor=monitor,
        highest_step=part.highest_step,
        since_snapshot=part.since_snapshot,
        merges_into_last=part.merges_into_last,
    )
    snapshots = asyncio.run(live.forward(entries))
    try:
        after = freeze(monitor)
    except Exception:  # noqa: BLE001 - a rule keeps what has no form: then it is folded where it can stay
        return None
    part = part._replace(
        highest_step=live.highest_step, since_snapshot=live.since_snapshot, before_last=live.before_last
    )
    faults = [*monitor.drain_faults(), *live.faults.drain()]
    return _Forwarded(after, part, snapshots, live.drain_changes(), faults)
