"""The main job: points come in, are admitted, folded, and kept in one transaction with all that follows from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Context, Point, merge
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, ClosedBy, RunState
from losswatch_server.runs import archive
from losswatch_server.runs.answers import Recorded
from losswatch_server.runs.errors import RunGoneError
from losswatch_server.runs.events import event
from losswatch_server.runs.fold import refold
from losswatch_server.runs.live_run import Live, changed_writers
from losswatch_server.runs.liveness.findings import returned
from losswatch_server.runs.lookup import said_at
from losswatch_server.runs.outcome import Outcome
from losswatch_server.runs.points.accept import Admission, Key, Stored, admit, in_order, needs_ranks, needs_record
from losswatch_server.runs.record import KIND_OF, standing, write
from losswatch_server.runs.reports import glanced_row
from losswatch_server.runs.run_cache import ENDED, Shelf
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.entries import Item
from losswatch_server.store.rows import Attempt, Change, EntryKind, RecordRow, RunRow, Snapshot, StoredRun, Writer

NOTHING_STORED = Stored({}, {})
P = ParamSpec("P")
T = TypeVar("T")
BESIDE = 512
"""Points of a request from which on its admission is worked out in a thread: about a millisecond of work."""
SEEN_EVERY_S = 10.0
"""A request that changes nothing is written down as a sign of life only this often."""


@dataclass(slots=True)
class Draft:
    """What is about to be committed for one run."""

    at: float
    outcome: Outcome
    kinds: list[str] = field(default_factory=list)
    rows: Sequence[RecordRow] = ()
    context_changed: bool = False
    attempts: tuple[Attempt, ...] = ()
    writers: Sequence[Writer] = ()
    taken: Sequence[Snapshot] = ()
    dropped: list[int] = field(default_factory=list)


class Recorder:
    """Records requests of points on the runs of a shelf."""

    def __init__(self, shelf: Shelf, clock: Callable[[], float], new_uid: Callable[[], str]) -> None:
        self._shelf = shelf
        self._store = shelf.store
        self._clock = clock
        self._new_uid = new_uid

    async def record(
        self,
        project: str,
        name: str,
        points: Sequence[Point],
        context: Context | None,
        writer: str | None,
        report: bool = True,
    ) -> tuple[Recorded, Live, bool]:
        """What became of the request, the run, and whether it is new. See Runs.record."""
        ordered = await _beside(points, in_order, points)
        async with self._shelf.hold(project, name) as slot:
            live = await self._shelf.load(slot, project, name)
            now = self._clock()
            if writer is not None and (live is None or not live.ledger.knows(writer)):
                await self._refuse_gone(project, name, writer)
            if live is None:
                row = RunRow(project=project, name=name, uid=self._new_uid(), created_at=now, last_seen_at=now)
                live = slot.live = Live.new(row)
            created = not live.stored
            stored = await self._gather(live, ordered, writer)
            admission = await _beside(points, admit, live.ledger, stored, ordered, writer, len(points))
            known = live.row.context
            merged = known if context is None else known.merged(context)
            if merged == known:
                merged = known  # one comparison here; from here on "is" tells
            draft = await self._fold(live, admission, merged, ordered, writer, now)
            if draft is not None:
                await self.commit(live, draft, report)
            answer = await self._shelf.report(live) if report else None
            recorded = Recorded(
                run=live.row,
                attempt=live.ledger.attempt,
                accepted=admission.accepted,
                duplicates=admission.duplicates,
                late=admission.late,
                conflicts=admission.conflicts,
                report=answer,
            )
            return recorded, live, created

    async def _refuse_gone(self, project: str, name: str, writer: str) -> None:
        if await self._store.is_gone(project, name, writer):
            raise RunGoneError(f"Run {name!r} was deleted, and this writer belongs to it. Choose another name.")

    async def _gather(self, live: Live, points: Sequence[Point], writer: str | None) -> Stored:
        """What the record says at the steps of a request; with points of another rank the last steps of all ranks go
        into the ledger."""
        if not live.stored:
            return NOTHING_STORED
        row = live.row
        if needs_ranks(live.ledger, points):
            live.ledger = live.ledger._replace(ranks=await self._store.rank_tails(row.project, row.uid, live.attempts))
        need = await _beside(points, needs_record, live.ledger, points, writer)
        if need is None:
            return NOTHING_STORED
        known = await said_at(self._store, row, need.wanted, standing(live.attempts))
        aside: dict[Key, Point] = {}
        if need.aside and writer is not None:
            own, cuts = live.ledger.starters[writer].attempt, Cuts(live.attempts)
            aside = await said_at(
                self._store,
                row,
                need.wanted,
                lambda item: (
                    item.attempt == own and (item.kind == EntryKind.ASIDE or item.point.step >= cuts.at(item.seq))
                ),
            )
        return Stored(known, aside)

    async def _fold(
        self,
        live: Live,
        admission: Admission,
        context: Context,
        points: Sequence[Point],
        writer: str | None,
        now: float,
    ) -> Draft | None:
        """Bring ``live`` to the state after the request; what must be committed, None where that is nothing."""
        row = live.row
        items, counted = await _beside(points, _items, live, admission, context)
        writers = changed_writers(live.ledger, admission.ledger)
        back = row.state is RunState.SILENT and len(points) > 0
        if live.stored and not items and not writers and not back and abs(now - row.last_seen_at) < SEEN_EVERY_S:
            return None
        draft = Draft(now, Outcome(live.known), writers=writers, context_changed=context is not row.context)
        if not live.stored:
            draft.kinds.append("run.created")
        moved = admission.plain or any(item.kind in _MOVING for item in items)
        if items:
            draft.rows = await _beside(points, write, items, writer, int(now * 1000))
            await self._judge(live, admission, items, draft, moved)
        live.ledger = admission.ledger
        live.next_seq += len(items)
        live.unsealed += sum(row.n for row in draft.rows)
        if points:
            live.rhythm = live.rhythm.heard(now, points)
        if back:
            last = admission.ledger.last
            draft.outcome.forward(returned(live.known.values(), last and last.step, now))
            draft.kinds.append("run.returned")
        state, finished_at = row.state, row.finished_at
        if back:
            state = RunState.RUNNING
        elif moved and state in ENDED:
            state, finished_at = RunState.RUNNING, None
            draft.kinds.append("run.reopened")
        live.row = live.row._replace(
            version=row.version + counted,
            context=context,
            state=state,
            finished_at=finished_at,
            paused_until=None if moved else row.paused_until,
            last_seen_at=now,
        )
        if items or back or not live.stored:
            live.report = None
        return draft

    async def _judge(self, live: Live, admission: Admission, items: Sequence[Item], draft: Draft, moved: bool) -> None:
        """Fold the items; what that does to findings and snapshots goes into the draft."""
        outcome = draft.outcome
        if live.monitor is None:
            if not (moved and live.row.detection_version < DETECTION_VERSION):
                return  # a newer version judges this run, or it ended under an older one and stays as judged
            changes, lineage = await self._shelf.judge(live)
            outcome.forward(changes, quiet=True)
            outcome.reconcile(lineage, ClosedBy.RULE_CHANGED, quiet=True)
            live.row = live.row._replace(detection_version=DETECTION_VERSION)
            live.drop_marks(draft.dropped, lambda step, version: version != DETECTION_VERSION)
        begin = admission.begin
        behind = 0
        if not admission.plain:
            behind = next((n for n in range(len(items), 0, -1) if items[n - 1].kind in _BEHIND), 0)
        if begin is not None:
            before = await self._shelf.report(live)  # what a superseded finding last said is kept with it
            outcome.told.extend(before.assessment.findings)
            draft.attempts = (Attempt(begin.number, begin.step, items[behind - 1].seq),)
            live.attempts += draft.attempts
            live.drop_marks(draft.dropped, lambda step, version: step >= begin.step)
            outcome.reconcile(await self._refold(live, items[:behind]), ClosedBy.SUPERSEDED)
        elif behind:
            await self._merge_into_last(live, items[:behind], outcome)
        taken = await live.forward(items[behind:])
        outcome.forward(live.drained())
        if taken:
            draft.taken = live.keep(taken, draft.dropped)

    async def _merge_into_last(self, live: Live, items: Sequence[Item], outcome: Outcome) -> None:
        """Items of which the last adds fields to the last point, which is then folded as if it had come whole."""
        if live.before_last is not None and live.ledger.last is not None:
            await live.forward(items[:-1])
            outcome.forward(live.drained())
            lineage = live.fold_into_last(merge(live.ledger.last, items[-1].point))
        else:
            live.splits = True
            lineage = await self._refold(live, items)
        outcome.reconcile(lineage, None)

    async def _refold(self, live: Live, items: Sequence[Item]) -> Sequence[Finding]:
        row = live.row
        folded = await refold(self._store, row.project, row.uid, live.attempts, live.marks, items)
        live.monitor, live.top, live.since = folded.monitor, folded.top, folded.since
        live.damage = folded.damage
        live.before_last = None
        return folded.monitor.findings()

    async def commit(self, live: Live, draft: Draft, full: bool = True) -> None:
        """Keep the draft and the run as it stands now, in one transaction.

        Without ``full`` the report, which costs more than all the rest, is made only where a finding changed; the
        row's headline is then that of the last report.
        """
        outcome = draft.outcome
        self._shelf.heed(live)
        if live.report is None and (full or outcome.changed or draft.kinds):
            await self._shelf.settle(live)
        elif live.report is None:
            live.row = glanced_row(live.row, live.monitor, live.known.values())
        if live.report is not None and outcome.events_or_changes:
            outcome = outcome.explained(live.report.assessment.findings)
        at, row = draft.at, live.row
        events = [event(kind, at, row, finding) for kind, finding in outcome.events]
        events += [event(kind, at, row) for kind in draft.kinds]
        archived = None
        if row.state in ENDED and live.monitor is not None and live.judgement is not None:
            archived = live.archived = archive.to_bytes(live.judgement)
        await self._store.apply(
            Change(
                run=StoredRun(
                    row=row,
                    next_seq=live.next_seq,
                    unsealed=live.unsealed,
                    rhythm=live.rhythm.pack(),
                    report=archived,
                ),
                expected_seq=live.stored_seq if live.stored else None,
                rows=draft.rows,
                context_changed=draft.context_changed,
                attempts=draft.attempts,
                writers=draft.writers,
                snapshots=draft.taken,
                dropped_snapshots=draft.dropped,
                findings=list(outcome.changed.values()),
                withdrawn=outcome.withdrawn,
                events=events,
                at=at,
            )
        )
        live.stored = True
        live.stored_seq = live.next_seq


async def _beside(points: Sequence[Point], work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What ``work`` returns; for many points from a thread, so that the event loop goes on."""
    if len(points) <= BESIDE:
        return work(*arguments, **named)
    return await asyncio.to_thread(work, *arguments, **named)


_BEHIND = (EntryKind.MERGE, EntryKind.ATTEMPT)
_MOVING = (EntryKind.POINTS, EntryKind.OTHER_RANKS)


def _items(live: Live, admission: Admission, context: Context) -> tuple[list[Item], int]:
    """The new items of the record, and by how much they raise the run's version."""
    seq = live.next_seq
    items: list[Item] = []
    counted = 0
    if context is not live.row.context:
        items.append(Item(seq, EntryKind.CONTEXT, live.ledger.attempt, context=context))
        counted += 1
    if admission.plain:
        start = seq + len(items)
        items += [
            Item(number, EntryKind.POINTS, entry.attempt, entry.point)
            for number, entry in enumerate(admission.entries, start)
        ]
        return items, counted + len(admission.entries)
    begin = admission.begin
    for place, entry in enumerate(admission.entries):
        if begin is not None and place == begin.after:
            items.append(Item(seq + len(items), EntryKind.ATTEMPT, begin.number, Point(begin.step)))
            counted += 1
        items.append(Item(seq + len(items), KIND_OF[entry.fate], entry.attempt, entry.point))
        counted += entry.counts
    return items, counted
