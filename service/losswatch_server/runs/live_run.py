"""A run that is being posted to: its monitor and what else its next request needs, kept in memory between requests.

A live run is only a faster way to what the store says. It is dropped when a commit fails, and made again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from losswatch_server.codec.reports import EncodedParts
from losswatch_server.monitor.entries import Attempt, Entry, EntryKind, NewPoints
from losswatch_server.monitor.faults import Faults
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point, merge
from losswatch_server.monitor.report import Assessment
from losswatch_server.monitor.snapshot import freeze, thaw
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from losswatch_server.runs.answers import Report
from losswatch_server.runs.fold import apply, around_merge, slice_of
from losswatch_server.runs.liveness.rhythm import NOT_HEARD, Rhythm
from losswatch_server.runs.points.accept import RunCursor
from losswatch_server.runs.points.writers import TrainingWriter, newest_of
from losswatch_server.store.rows import RunRow, Snapshot, StoredRun, Writer

EVERY, MOST_APART = 256, 512
"""Entries between snapshots, of a short run and of a long one; so a restart folds at most this many again. Freezing a
state takes as long as judging a hundred points of a batch, and some 37 KiB are written then."""


def new_uid() -> str:
    """A new run's uid: the milliseconds since 1970, so that keys of one time lie together, and 48 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


@dataclass(slots=True)
class LiveRun:
    """One run in memory, one request at a time. What the store has too is as the last commit left it, or, within a
    request, as the next one will: the cache drops the whole where that fails."""

    row: RunRow
    """The run as lists and answers show it."""
    cursor: RunCursor
    """How far it has come: what the next points are accepted by."""
    stored: bool
    """Whether the store has the run yet."""
    next_seq: int = 0
    """The place of the next entry in the record."""
    stored_seq: object = 0
    """``next_seq`` as the last commit left it in the store: the next one is refused where there is another."""
    revision: int = 0
    """How often the run's row was changed, as the last commit left it."""
    stored_revision: object = 0
    """The same as it stands in the store: the next change is refused where there is another."""
    unsealed: int = 0
    """Points in rows that are not compressed yet; at SEAL_POINTS they are."""
    rhythm: Rhythm = NOT_HEARD
    """When its requests came, for the watch for silent runs."""
    attempts: tuple[Attempt, ...] = ()
    """All after the first, in their order: they say which entries of the record still count."""
    monitor: Monitor | None = None
    """The fold of every entry that counts; None where another version judged the run and this one must not."""
    findings: dict[str, Finding] = field(default_factory=dict)
    """Every finding that the run ever had, by id, the clock's too, as it was stored or is about to be; without causes
    and advice, which a report adds. What has changed since tells which events there are."""
    missed: Sequence[Finding] = ()
    """What was found in points that an older version of the service kept without judging them: still to be stored."""
    highest_step: int = -1
    """The highest step, of any rank, that the monitor has seen: a snapshot past an attempt's begin is of no use."""
    since_snapshot: int = 0
    """Entries folded since the last snapshot."""
    snapshot_marks: list[tuple[int, int, int]] = field(default_factory=list)
    """(seq, step, detection_version) of the stored snapshots, oldest first."""
    damage: tuple[str, ...] = ()
    """A note for each block of the record that could not be read."""
    final_report: bytes | None = None
    """The assessment with which the run ended, as ``codec.assessments`` writes it."""
    assessment: Assessment | None = None
    """What the points alone say, as of ``report``; None before the first report."""
    report: Report | None = None
    """The report, with the findings of the clock and the notes of writers in it; None where a change made it old."""
    encoded: EncodedParts = field(default_factory=EncodedParts)
    """The parts of the last report as answers write them."""
    merges_into_last: bool = False
    """Whether points of this run come in pieces: then the state before the last point is kept for the next piece."""
    before_last: bytes | None = None
    """The frozen monitor before the last point of rank 0, where it is kept."""
    after_last: list[Entry] = field(default_factory=list)
    """What was folded after that point."""
    faults: Faults = field(default_factory=Faults)
    """What failed beside the monitor, which is no part of its state."""

    @classmethod
    def new(cls, row: RunRow) -> LiveRun:
        """A run of which nothing is stored yet."""
        return cls(row=row, cursor=RunCursor(), stored=False, monitor=Monitor(row.uid, watched=True))

    def drop_snapshots(self, dropped: list[int], unwanted: Callable[[int, int], bool]) -> None:
        """Forget the snapshots whose (step, detection_version) are unwanted; their numbers go into ``dropped``."""
        dropped += [seq for seq, step, version in self.snapshot_marks if unwanted(step, version)]
        self.snapshot_marks = [mark for mark in self.snapshot_marks if not unwanted(mark[1], mark[2])]

    def keep(self, taken: Sequence[Snapshot], dropped: list[int]) -> list[Snapshot]:
        """Which of the new snapshots to store; the numbers of stored ones that they make superfluous are dropped."""
        stored = {mark[0] for mark in self.snapshot_marks}
        self.snapshot_marks += [(snapshot.seq, snapshot.step, snapshot.detection_version) for snapshot in taken]
        needless = set(superfluous([mark[0] for mark in self.snapshot_marks]))
        self.snapshot_marks = [mark for mark in self.snapshot_marks if mark[0] not in needless]
        dropped += sorted(stored & needless)
        return [snapshot for snapshot in taken if snapshot.seq not in needless]

    async def forward(self, entries: Sequence[Entry]) -> list[Snapshot]:
        """Fold new entries that neither step back nor reach behind the last point; the snapshots taken on the way."""
        if isinstance(entries, NewPoints):
            return await self._forward_points(entries)
        monitor = self.monitor
        assert monitor is not None
        snapshots: list[Snapshot] = []
        freeze_at: set[int] = set()
        last_main = -1
        every = apart(monitor.points)
        if self.merges_into_last or self.since_snapshot + len(entries) >= every:
            mains = [index for index, entry in enumerate(entries) if entry.kind == EntryKind.POINTS]
            freeze_at = {mains[place] for place in due(self.since_snapshot, len(mains), every)} if mains else freeze_at
            last_main = mains[-1] if mains else -1
        waiting: list[Point] = []
        for index, entry in enumerate(entries):
            if len(waiting) >= slice_of(monitor):
                self._fold(waiting)
                await asyncio.sleep(0)
            if entry.kind != EntryKind.POINTS:
                self._fold(waiting)
                if self.before_last is not None:
                    self.after_last.append(entry)
                if entry.kind not in (EntryKind.CONTEXT, EntryKind.ATTEMPT):
                    self.highest_step = max(self.highest_step, entry.point.step)
                apply(monitor, entry)
                self.since_snapshot += 1
                continue
            self.before_last = None
            keep = self.merges_into_last and index == last_main
            if keep or index in freeze_at:
                self._fold(waiting)
                frozen = self._frozen(monitor)
                if frozen is not None and index in freeze_at:
                    snapshots.append(Snapshot(entry.seq, self.highest_step, DETECTION_VERSION, frozen))
                    self.since_snapshot = 0
                if keep:
                    self.before_last = frozen
                    self.after_last.clear()
            waiting.append(entry.point)
        self._fold(waiting)
        return snapshots

    async def _forward_points(self, entries: NewPoints) -> list[Snapshot]:
        """The same for points of rank 0 alone, a slice at a time."""
        monitor, count = self.monitor, len(entries)
        assert monitor is not None
        snapshots: list[Snapshot] = []
        self.before_last = None
        freeze_at = set(due(self.since_snapshot, count, apart(monitor.points)))
        keep_at = count - 1 if self.merges_into_last else -1
        begun = 0
        while begun < count:
            if begun:
                await asyncio.sleep(0)
            frozen = self._frozen(monitor) if begun in freeze_at or begun == keep_at else None
            if frozen is not None and begun in freeze_at:
                seq = entries.seq + begun
                snapshots.append(Snapshot(seq, self.highest_step, DETECTION_VERSION, frozen))
                self.since_snapshot = 0
            if begun == keep_at:
                self.before_last = frozen
                self.after_last.clear()
            stop = min([count, *(at for at in (*freeze_at, keep_at) if at > begun)])
            past = min(stop, begun + slice_of(monitor))
            points = entries.points[begun:past]
            monitor.see_all(points, stop - past)
            self.highest_step = max(self.highest_step, points.steps[-1])
            self.since_snapshot += past - begun
            begun = past
        return snapshots

    def _fold(self, waiting: list[Point]) -> None:
        """Fold points of rank 0, and empty the list."""
        if waiting and self.monitor is not None:
            self.monitor.see_all(waiting)
            self.highest_step = max(self.highest_step, waiting[-1].step)
            self.since_snapshot += len(waiting)
            waiting.clear()

    def frozen(self) -> bytes | None:
        """The state of the run's monitor; None where there is none, or none that can be written down."""
        return None if self.monitor is None else self._frozen(self.monitor)

    def _frozen(self, monitor: Monitor) -> bytes | None:
        """The monitor's state; None where a rule keeps what cannot be written down: a snapshot only saves work."""
        return self.faults.shield("snapshot", "", monitor.step, partial(freeze, monitor), None)

    def drain_changes(self) -> list[Finding]:
        """The changes of findings since the last call."""
        return [] if self.monitor is None else self.monitor.drain_changes()

    def fold_into_last(self, last: Point, added: Point) -> Sequence[Finding]:
        """``added`` belongs to the last point: fold that and what followed it again; the findings there are then."""
        assert self.before_last is not None
        monitor = thaw(self.before_last)
        earlier, self.after_last = around_merge(self.after_last, added)
        for entry in earlier:
            apply(monitor, entry)
        if earlier:
            self.before_last = self._frozen(monitor)
        monitor.see(merge(last, added))
        for entry in self.after_last:
            apply(monitor, entry)
        monitor.drain_changes()
        self.monitor = monitor
        return monitor.findings()


def apart(points: int) -> int:
    """How many entries may be folded, at most, after a snapshot of a run of so many points."""
    return max(EVERY, min(MOST_APART, points // 4))


def due(since: int, count: int, every: int) -> list[int]:
    """Before which of the next ``count`` points to freeze, as indices, ``since`` items after the last snapshot, where
    ``every`` may lie between two.

    Always before the last point, where fields may still be merged in; in a long request also at power-of-two
    distances before it, so that stepping back into it folds little.
    """
    if since + count < every:
        return []
    places = [count - 1]
    distance = EVERY
    while distance < count - 1:
        places.append(count - 1 - distance)
        distance *= 2
    return places[::-1]


def superfluous(seqs: Sequence[int]) -> list[int]:
    """Which snapshots to drop: of those in the same power-of-two distance from the newest, all but the oldest."""
    if not seqs:
        return []
    newest = max(seqs)
    kept: dict[int, int] = {}
    for seq in sorted(seqs):
        kept.setdefault(((newest - seq) // EVERY).bit_length(), seq)
    return sorted(set(seqs) - set(kept.values()))


def cursor_of(run: StoredRun, last: Point | None) -> RunCursor:
    """The cursor of a stored run; the last steps of other ranks are not known yet."""
    training = {
        writer.name: TrainingWriter(writer.attempt, writer.ordinal, writer.concurrent_with)
        for writer in run.writers
        if writer.attempt is not None and writer.ordinal is not None
    }
    return RunCursor(
        attempt=max((attempt.number for attempt in run.attempts), default=1),
        last=last,
        begins={attempt.number: attempt.step for attempt in run.attempts},
        training_writers=training,
        newest=newest_of(training),
        non_training_writers=frozenset(writer.name for writer in run.writers if writer.ordinal is None),
        ranks=None,
    )


def changed_writers(before: RunCursor, after: RunCursor) -> list[Writer]:
    """The writers that a request made known, or about whom it said something new."""
    training, known = after.training_writers, before.training_writers
    others = after.non_training_writers
    if known is training and before.non_training_writers is others:
        return []
    changed = [Writer(name, *writer) for name, writer in training.items() if known.get(name) != writer]
    return changed + [Writer(name, None, None) for name in others - before.non_training_writers]


def concurrency_notes(cursor: RunCursor) -> list[str]:
    """A note for each two writers that were seen to post at the same time."""
    return [
        f"Two writers are posting to this run at once: {name} (attempt {writer.attempt}) and {writer.concurrent_with}. "
        "Points of the earlier one fill gaps or are kept aside; give each training job a run name of its own."
        for name, writer in cursor.training_writers.items()
        if writer.concurrent_with is not None
    ]
