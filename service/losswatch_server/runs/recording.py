"""The main job: points come in, are accepted, folded, and kept in one transaction with all that follows from them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, ParamSpec, TypeVar

from losswatch_server.codec.assessments import assessment_to_bytes
from losswatch_server.monitor.entries import Attempt, Entry, EntryKind, NewPoints
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, ClosedBy, RunState
from losswatch_server.runs.answers import Recorded, RunGoneError
from losswatch_server.runs.beside import forward
from losswatch_server.runs.finding_changes import FindingChanges, event
from losswatch_server.runs.fold import refold
from losswatch_server.runs.live_run import LiveRun, changed_writers
from losswatch_server.runs.liveness.findings import returned
from losswatch_server.runs.lookup import said_at
from losswatch_server.runs.points.accept import (
    Acceptance,
    Key,
    Stored,
    accept,
    in_order,
    needs_ranks,
    needs_record,
    own_attempt,
)
from losswatch_server.runs.record import standing, write
from losswatch_server.runs.reports import row_without_report
from losswatch_server.runs.run_cache import ENDED, CachedRun, RunCache
from losswatch_server.store import RunMovedError
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.rows import Change, RecordRow, RunRow, Snapshot, StoredRun, Writer

NOTHING_STORED = Stored({}, {})
P = ParamSpec("P")
T = TypeVar("T")
BESIDE = 512
"""Points of a request from which on it is worked out in a thread: about a millisecond of work."""
TRIES = 20
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.002, 0.25
"""Between tries of what several services do to one run: about 3 s in all, at random so that one of them is first."""
SEEN_EVERY_S = 10.0
"""A request that changes nothing is written down as a sign of life only this often."""


class _Request(NamedTuple):
    """A request as it is recorded."""

    at: float
    """When it was received (seconds since 1970)."""
    points: Sequence[Point]
    """By ascending step and rank, the pieces of one point joined."""
    sent: int
    """How many points there were before that."""
    writer: str | None
    context: Context
    """The complete context from here on: the very object that the run has already where nothing in it changes."""


@dataclass(slots=True)
class Draft:
    """What is about to be committed for one run, while that is worked out; ``Recorder.commit`` makes a Change of it.

    It is no Change: that holds the run's row, the findings' words and the bodies of events, which only the report
    after the fold can give. What both have bears the same name, and means what it means there.
    """

    at: float
    """When it happened (seconds since 1970)."""
    finding_changes: FindingChanges
    """What becomes of the run's findings; gives the Change its ``findings``, ``withdrawn`` and ``events``."""
    event_kinds: list[str] = field(default_factory=list)
    """Events of the run itself, such as run.created, told after those of its findings."""
    rows: Sequence[RecordRow] = ()
    context_changed: bool = False
    attempts: Sequence[Attempt] = ()
    writers: Sequence[Writer] = ()
    snapshots: Sequence[Snapshot] = ()
    dropped_snapshots: list[int] = field(default_factory=list)


class Recorder:
    """Records requests: each one gathers what the store says, folds the points, and commits all that follows.

    It keeps no state of its own: what a run needs between two requests is its LiveRun, which the cache hands to one
    request at a time and drops where that fails.
    """

    def __init__(self, cache: RunCache, clock: Callable[[], float], new_uid: Callable[[], str]) -> None:
        self._cache = cache
        self._store = cache.store
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
    ) -> tuple[Recorded, LiveRun, bool]:
        """What became of the request, the run, and whether it is new. See Runs.record."""
        ordered = await _beside(len(points), in_order, points)
        async with self._cache.lock(project, name) as cached:
            return await persistent(
                cached,
                lambda: self._record_once(cached, (project, name), ordered, len(points), context, writer, report),
            )

    async def _record_once(
        self,
        cached: CachedRun,
        key: tuple[str, str],
        ordered: Sequence[Point],
        sent: int,
        context: Context | None,
        writer: str | None,
        report: bool,
    ) -> tuple[Recorded, LiveRun, bool]:
        project, name = key
        live = await self._cache.load(cached, project, name, hopeful=True)
        at = self._clock()
        if writer is not None and (live is None or not live.cursor.knows(writer)):
            await self._refuse_gone(project, name, writer)
        if live is None:
            row = RunRow(project=project, name=name, uid=self._new_uid(), created_at=at, last_seen_at=at)
            live = cached.live = LiveRun.new(row)
        created = not live.stored
        request = _Request(at, ordered, sent, writer, _laid_over(live.row.context, context))
        acceptance = await self._gather(live, request)
        draft = await self._fold(live, request, acceptance)
        if draft is not None:
            await self.commit(live, draft, report)
        elif await self._cache.has_moved(live):
            raise RunMovedError(f"Run {name!r} was changed by another service.")
        answer = await self._cache.report(live) if report else None
        recorded = Recorded(
            run=live.row,
            attempt=live.cursor.attempt,
            accepted=acceptance.accepted,
            duplicates=acceptance.duplicates,
            late=acceptance.late,
            conflicts=acceptance.conflicts,
            report=answer,
        )
        return recorded, live, created

    async def _refuse_gone(self, project: str, name: str, writer: str) -> None:
        if await self._store.is_gone(project, name, writer):
            raise RunGoneError(f"Run {name!r} was deleted, and this writer belongs to it. Choose another name.")

    async def _gather(self, live: LiveRun, request: _Request) -> Acceptance:
        """What becomes of the points, given what the record says at their steps."""
        stored = await self._stored(live, request) if live.stored else NOTHING_STORED
        seq = live.next_seq + (request.context is not live.row.context)
        return await _beside(
            request.sent, accept, live.cursor, stored, request.points, request.writer, seq, request.sent
        )

    async def _stored(self, live: LiveRun, request: _Request) -> Stored:
        """What the record says at the steps of a request; with points of another rank the last steps of all ranks go
        into the cursor."""
        row, points, writer = live.row, request.points, request.writer
        if needs_ranks(live.cursor, points):
            live.cursor = live.cursor._replace(ranks=await self._store.rank_tails(row.project, row.uid, live.attempts))
        need = await _beside(request.sent, needs_record, live.cursor, points, writer)
        if need is None:
            return NOTHING_STORED
        stand = await said_at(self._store, row, need.wanted, standing(live.attempts))
        superseded: dict[Key, Point] = {}
        if need.superseded_by_writer and writer is not None:
            own, cuts = own_attempt(live.cursor, writer), Cuts(live.attempts)

            def is_superseded(entry: Entry) -> bool:
                kind = entry.kind
                return entry.attempt == own and (
                    kind == EntryKind.SUPERSEDED_BY_WRITER or entry.point.step >= cuts.at(entry.seq)
                )

            superseded = await said_at(self._store, row, need.wanted, is_superseded)
        return Stored(stand, superseded)

    async def _fold(self, live: LiveRun, request: _Request, acceptance: Acceptance) -> Draft | None:
        """Bring ``live`` to the state after the request; what must be committed, None where that is nothing."""
        row, at = live.row, request.at
        context_changed = request.context is not row.context
        entries = acceptance.entries
        before: list[Entry] = []
        if context_changed:
            before = [Entry(live.next_seq, EntryKind.CONTEXT, live.cursor.attempt, context=request.context)]
            if not isinstance(entries, NewPoints):
                entries, before = [*before, *entries], []
        writers = changed_writers(live.cursor, acceptance.cursor)
        returns = row.state is RunState.SILENT and len(request.points) > 0
        if live.stored and not entries and not writers and not returns and abs(at - row.last_seen_at) < SEEN_EVERY_S:
            return None
        draft = Draft(at, FindingChanges(live.findings), writers=writers, context_changed=context_changed)
        if not live.stored:
            draft.event_kinds.append("run.created")
        moves = acceptance.only_new or any(entry.kind in _MOVING for entry in entries)
        if before:
            draft.rows = write(before, request.writer, int(at * 1000))
            await self._judge(live, acceptance, before, draft, moves)
        if entries:
            rows = await _beside(request.sent, write, entries, request.writer, int(at * 1000))
            draft.rows = [*draft.rows, *rows] if before else rows
            await self._judge(live, acceptance, entries, draft, moves)
        live.next_seq += len(before) + len(entries)
        live.unsealed += sum(row.n for row in draft.rows)
        _move_on(live, request, acceptance, draft, moves)
        if entries or returns or not live.stored:
            live.report = None
        return draft

    async def _judge(
        self, live: LiveRun, acceptance: Acceptance, entries: Sequence[Entry], draft: Draft, moves: bool
    ) -> None:
        """Fold the entries; what that does to findings and snapshots goes into the draft."""
        changes = draft.finding_changes
        begin = acceptance.begin
        if live.monitor is None:
            if not (moves and live.row.detection_version < DETECTION_VERSION):
                # a newer version judges this run, or it ended under an older one and stays as judged
                if begin is not None:
                    draft.attempts = (begin,)
                    live.attempts = (*live.attempts, begin)
                return
            await self._judge_anew(live, draft)
        self._catch_up(live, changes)
        behind = 0
        if not acceptance.only_new:
            behind = next((n for n in range(len(entries), 0, -1) if entries[n - 1].kind in _BEHIND), 0)
        if begin is not None:
            before = await self._cache.report(live)  # what a superseded finding last said is kept with it
            changes.last_reported.extend(before.assessment.findings)
            draft.attempts = (begin,)
            live.attempts = (*live.attempts, begin)
            live.drop_snapshots(draft.dropped_snapshots, lambda step, version: step >= begin.step)
            changes.reconcile(await self._refold(live, entries[:behind]), ClosedBy.SUPERSEDED)
        elif behind:
            changes.reconcile(await self._merge_into_last(live, entries[:behind], changes), None)
        taken = await forward(live, entries[behind:], self._cache.elsewhere)
        changes.forward(live.drain_changes())
        if taken:
            draft.snapshots = live.keep(taken, draft.dropped_snapshots)

    async def _judge_anew(self, live: LiveRun, draft: Draft) -> None:
        """An older version judged the run: fold it with the rules of this one, and tell nobody what they change."""
        changes, lineage = await self._cache.judge(live)
        draft.finding_changes.forward(changes, quiet=True)
        draft.finding_changes.reconcile(lineage, ClosedBy.RULE_CHANGED, quiet=True)
        live.row = live.row._replace(detection_version=DETECTION_VERSION)
        live.drop_snapshots(draft.dropped_snapshots, lambda step, version: version != DETECTION_VERSION)

    @staticmethod
    def _catch_up(live: LiveRun, changes: FindingChanges) -> None:
        if live.missed:
            changes.catch_up(live.missed)
            live.missed = ()

    async def _merge_into_last(
        self, live: LiveRun, entries: Sequence[Entry], changes: FindingChanges
    ) -> Sequence[Finding]:
        """The findings there are when the last point had come whole, with the fields that the last entry adds to it."""
        if live.before_last is None or live.cursor.last is None:
            live.merges_into_last = True
            return await self._refold(live, entries)
        await live.forward(entries[:-1])
        changes.forward(live.drain_changes())
        return live.fold_into_last(live.cursor.last, entries[-1].point)

    async def _refold(self, live: LiveRun, entries: Sequence[Entry]) -> Sequence[Finding]:
        row = live.row
        key, elsewhere = (row.project, row.uid), self._cache.elsewhere
        folded = await refold(self._store, *key, live.attempts, live.snapshot_marks, entries, elsewhere=elsewhere)
        live.monitor, live.highest_step, live.since_snapshot = folded.monitor, folded.highest_step, folded.since
        live.damage = folded.damage
        live.before_last = None
        return folded.monitor.findings()

    async def commit(self, live: LiveRun, draft: Draft, full: bool = True) -> None:
        """Keep the draft and the run as it stands now, in one transaction.

        Without ``full`` the report, which costs more than all the rest, is made only where a finding changed; the
        row's headline is then that of the last report.
        """
        changes = draft.finding_changes
        self._catch_up(live, changes)
        self._cache.take_faults(live)
        if live.report is None and (full or changes.changed or draft.event_kinds):
            await self._cache.assess(live)
        elif live.report is None:
            live.row = row_without_report(live.row, live.monitor, live.findings.values())
        if live.report is not None and changes.events_or_changes:
            changes = changes.with_explanations(live.report.assessment.findings)
        at, row = draft.at, live.row
        events = [event(kind, at, row, finding) for kind, finding in changes.events]
        events += [event(kind, at, row) for kind in draft.event_kinds]
        final_report = None
        if row.state in ENDED and live.monitor is not None and live.assessment is not None:
            final_report = live.final_report = assessment_to_bytes(live.assessment)
        await self._store.apply(
            Change(
                run=StoredRun(
                    row=row,
                    next_seq=live.next_seq,
                    unsealed=live.unsealed,
                    rhythm=live.rhythm.pack(),
                    report=final_report,
                    revision=live.revision + 1,
                ),
                expected_seq=live.stored_seq if live.stored else None,
                expected_revision=live.stored_revision,
                at=at,
                rows=draft.rows,
                context_changed=draft.context_changed,
                attempts=draft.attempts,
                writers=draft.writers,
                snapshots=draft.snapshots,
                dropped_snapshots=draft.dropped_snapshots,
                findings=list(changes.changed.values()),
                withdrawn=changes.withdrawn,
                events=events,
            )
        )
        live.stored = True
        live.stored_seq = live.next_seq
        live.revision += 1
        live.stored_revision = live.revision


async def persistent(cached: CachedRun, work: Callable[[], Awaitable[T]]) -> T:
    """What ``work`` returns, again where another service changed the run meanwhile. Raises RunMovedError.

    The run stays locked here between two tries: who came later goes on waiting.
    """
    for tries in range(TRIES):
        try:
            return await work()
        except RunMovedError:
            if tries == TRIES - 1:
                raise
            cached.live = None
            await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tries)))
    raise AssertionError("not reached")


async def _beside(count: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What ``work`` returns; for many points from a thread, so that the event loop goes on."""
    if count <= BESIDE:
        return work(*arguments, **named)
    return await asyncio.to_thread(work, *arguments, **named)


_BEHIND = (EntryKind.MERGE, EntryKind.ATTEMPT)
_MOVING = (EntryKind.POINTS, EntryKind.OTHER_RANKS)


def _laid_over(known: Context, given: Context | None) -> Context:
    """The context from here on; ``known`` itself where that is equal: after this, callers compare by identity."""
    merged = known if given is None else known.merged(given)
    return known if merged == known else merged


def _move_on(live: LiveRun, request: _Request, acceptance: Acceptance, draft: Draft, moves: bool) -> None:
    """The run's cursor, rhythm, row and state after a request; ``moves`` where training went on."""
    row, at = live.row, request.at
    live.cursor = acceptance.cursor
    if request.points:
        live.rhythm = live.rhythm.heard(at, request.points, resumed=acceptance.begin is not None)
    state, finished_at, error = row.state, row.finished_at, row.error
    if state is RunState.SILENT and request.points:
        last = acceptance.cursor.last
        draft.finding_changes.forward(returned(live.findings.values(), last and last.step, at))
        draft.event_kinds.append("run.returned")
        state = RunState.RUNNING
    elif moves and state in ENDED:
        state, finished_at, error = RunState.RUNNING, None, ""
        draft.event_kinds.append("run.reopened")
    live.row = row._replace(
        version=row.version + acceptance.counted + draft.context_changed,
        context=request.context,
        state=state,
        finished_at=finished_at,
        error=error,
        paused_until=None if moves else row.paused_until,
        last_seen_at=at,
    )
