"""A run that is being posted to: its monitor and what else its next request needs, kept in memory between requests.

A live run is only a faster way to what the store says. It is dropped when a commit fails, and made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from losswatch_server.monitor.faults import Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.report import Assessment
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from losswatch_server.runs.answers import Report
from losswatch_server.runs.fold import SLICE, apply
from losswatch_server.runs.liveness.rhythm import NOT_HEARD, Rhythm
from losswatch_server.runs.points.accept import Ledger, Starter
from losswatch_server.runs.snapshots import EVERY, due, superfluous
from losswatch_server.store.entries import Item
from losswatch_server.store.rows import Attempt, EntryKind, RunRow, Snapshot, StoredRun, Writer


@dataclass(slots=True)
class Live:
    """One run in memory. ``monitor`` is None where another version judged the run and this one must not."""

    row: RunRow
    ledger: Ledger
    stored: bool
    next_seq: int = 0
    stored_seq: int = 0
    unsealed: int = 0
    rhythm: Rhythm = NOT_HEARD
    attempts: tuple[Attempt, ...] = ()
    monitor: Monitor | None = None
    known: dict[str, Finding] = field(default_factory=dict)
    top: int = -1
    since: int = 0
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    damage: tuple[str, ...] = ()
    archived: bytes | None = None
    judgement: Assessment | None = None
    report: Report | None = None
    splits: bool = False
    before_last: bytes | None = None
    after_last: list[Item] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    """What failed beside the monitor, which is no part of its state."""

    @classmethod
    def new(cls, row: RunRow) -> Live:
        """A run of which nothing is stored yet."""
        return cls(row=row, ledger=Ledger(), stored=False, monitor=Monitor(row.uid))

    def drop_marks(self, dropped: list[int], unwanted: Callable[[int, int], bool]) -> None:
        """Forget the snapshots whose (step, detection_version) are unwanted; their numbers go into ``dropped``."""
        dropped += [seq for seq, step, version in self.marks if unwanted(step, version)]
        self.marks = [mark for mark in self.marks if not unwanted(mark[1], mark[2])]

    def keep(self, taken: Sequence[Snapshot], dropped: list[int]) -> list[Snapshot]:
        """Which of the new snapshots to store; the numbers of stored ones that they make superfluous are dropped."""
        stored = {mark[0] for mark in self.marks}
        self.marks += [(snapshot.seq, snapshot.step, snapshot.detection_version) for snapshot in taken]
        needless = set(superfluous([mark[0] for mark in self.marks]))
        self.marks = [mark for mark in self.marks if mark[0] not in needless]
        dropped += sorted(stored & needless)
        return [snapshot for snapshot in taken if snapshot.seq not in needless]

    async def forward(self, items: Sequence[Item]) -> list[Snapshot]:
        """Fold new items that neither step back nor reach behind the last point; the snapshots taken on the way."""
        monitor = self.monitor
        assert monitor is not None
        snapshots: list[Snapshot] = []
        freeze_at: set[int] = set()
        last_main = -1
        if self.splits or self.since + len(items) >= EVERY:
            mains = [index for index, item in enumerate(items) if item.kind == EntryKind.POINTS]
            freeze_at = {mains[place] for place in due(self.since, len(mains))} if mains else freeze_at
            last_main = mains[-1] if mains else -1
        for index, item in enumerate(items):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if item.kind == EntryKind.POINTS:
                self.before_last = None
                frozen = self._frozen(monitor) if index in freeze_at or (self.splits and index == last_main) else None
                if frozen is not None and index in freeze_at:
                    snapshots.append(Snapshot(item.seq, self.top, DETECTION_VERSION, frozen))
                    self.since = 0
                if self.splits and index == last_main:
                    self.before_last = frozen
                    self.after_last.clear()
            elif self.before_last is not None:
                self.after_last.append(item)
            if item.point.step > self.top and item.kind not in (EntryKind.CONTEXT, EntryKind.ATTEMPT):
                self.top = item.point.step
            apply(monitor, item)
            self.since += 1
        return snapshots

    def _frozen(self, monitor: Monitor) -> bytes | None:
        """The monitor's state; None where a rule keeps what cannot be written down: a snapshot only saves work."""
        return self.faults.shield("snapshot", "", monitor.step, monitor.freeze, None)

    def drained(self) -> list[Finding]:
        """The changes of findings since the last call."""
        return [] if self.monitor is None else self.monitor.drain_changes()

    def fold_into_last(self, whole: Point) -> Sequence[Finding]:
        """The last point was ``whole`` all along: fold it and what followed it again; the findings there are then."""
        assert self.before_last is not None
        monitor = Monitor.thaw(self.before_last)
        monitor.see(whole)
        for item in self.after_last:
            apply(monitor, item)
        monitor.drain_changes()
        self.monitor = monitor
        return monitor.findings()


def ledger_of(run: StoredRun, last: Point | None) -> Ledger:
    """The ledger of a stored run; the last steps of other ranks are not known yet."""
    starters = {
        writer.name: Starter(writer.attempt, writer.ordinal, writer.rival)
        for writer in run.writers
        if writer.attempt is not None and writer.ordinal is not None
    }
    newest = max(starters, key=lambda name: starters[name].ordinal, default=None)
    return Ledger(
        attempt=max((attempt.number for attempt in run.attempts), default=1),
        last=last,
        begins={attempt.number: attempt.step for attempt in run.attempts},
        starters=starters,
        newest=newest,
        others=frozenset(writer.name for writer in run.writers if writer.ordinal is None),
        ranks=None,
    )


def changed_writers(before: Ledger, after: Ledger) -> list[Writer]:
    """The writers that a request made known, or about whom it said something new."""
    if before.starters is after.starters and before.others is after.others:
        return []
    new = [Writer(name, *starter) for name, starter in after.starters.items() if before.starters.get(name) != starter]
    return new + [Writer(name, None, None) for name in after.others - before.others]


def rivals(ledger: Ledger) -> list[str]:
    """A note for each two writers that were seen to post at the same time."""
    return [
        f"Two writers are posting to this run at once: {name} (attempt {starter.attempt}) and {starter.rival}. "
        "Points of the earlier one fill gaps or are kept aside; give each training job a run name of its own."
        for name, starter in ledger.starters.items()
        if starter.rival is not None
    ]
