"""A stored finding explained: its run's record folded again with a probe in it, or, for silence, its requests timed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

from losswatch_server.monitor.entries import WITHOUT_POINT, Attempt, Entry, EntryKind
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point, merge
from losswatch_server.monitor.replay import Explanation, Probe, Row, explained
from losswatch_server.monitor.replay.thinning import thin
from losswatch_server.monitor.snapshot import thaw
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from losswatch_server.runs.finding_changes import CLOCK
from losswatch_server.runs.fold import apply
from losswatch_server.runs.liveness.rhythm import IMPORT_POINTS, KEPT_GAPS, NOT_HEARD
from losswatch_server.runs.liveness.silence_rule import grace_s
from losswatch_server.runs.record import effective
from losswatch_server.store import Store
from losswatch_server.store.beside import beside
from losswatch_server.store.entries import read
from losswatch_server.store.pages import PAGE, RecordPage, pages
from losswatch_server.store.rows import RecordRow, StoredRun
from losswatch_server.workers import Elsewhere

MOST_AFTER = 20_000
"""Points folded after the one that opened the finding: half a second of a core."""
FROM_SNAPSHOT = 50_000
"""Only a run with more points is folded from a snapshot on: before that the whole course is worth a second."""
MANY_LOOKED_AT = 1024
"""Points from which on another process does it: a tenth of a second of work, each point being looked at alone."""
BEFORE_SILENCE = (KEPT_GAPS + 1) * IMPORT_POINTS
"""Points before a silence that are read: in so many there are as many live requests as the rule looks back on."""
SLACK_S = 1.0
"""The record keeps milliseconds; the finding was opened with the whole of the float."""


async def explain(store: Store, run: StoredRun, finding: Finding, elsewhere: Elsewhere) -> Explanation:
    """What the rule saw that made the finding, from the record as it stood in the finding's attempt.

    Many points are folded elsewhere, fewer in a thread. A long run is folded from a snapshot well before the onset, and
    for a while after the opening. Raises WorkerLostError.
    """
    if finding.series == CLOCK:
        before, expected = await _before_silence(store, run, finding), run.row.context.expected_gap_s
        rows = [row for page in before.pages for row in page.rows]
        return await _where_it_fits(elsewhere, rows, silence_explained, b"", before, finding, expected)
    attempts, end = lineage(run.attempts, finding)
    frozen, seq = await _start(store, run, attempts, finding)
    rows = await _rows(store, run, seq, finding.opened_step)
    asked = (run.row.uid, finding, rows, seq, end, attempts)
    return await _where_it_fits(elsewhere, rows, finding_explained, frozen or b"", *asked)


async def _where_it_fits(
    elsewhere: Elsewhere, rows: Sequence[RecordRow], work: Callable[..., Explanation], raw: bytes, *asked: Any
) -> Explanation:
    if sum(row.n for row in rows) >= MANY_LOOKED_AT:
        return await beside(elsewhere, work, raw, *asked)
    return await asyncio.to_thread(work, raw, *asked)


def finding_explained(
    frozen: bytes,
    uid: str,
    finding: Finding,
    rows: Sequence[RecordRow],
    seq: int,
    end: float,
    attempts: Sequence[Attempt],
) -> Explanation:
    """The explanation from rows of the record, for another process; ``frozen`` is the state at ``seq``, if not new."""

    def fold(probe: Probe) -> None:
        monitor = thaw(frozen) if frozen else Monitor(uid)
        monitor.watched = False
        probe.watch(monitor)
        after = 0
        for entry in whole(effective((entry for entry in read(rows, seq) if entry.seq < end), attempts)):
            after += entry.point.step > finding.opened_step
            if after > MOST_AFTER:
                break
            apply(monitor, entry)
            probe.look(monitor)

    return explained(finding, fold)


def lineage(attempts: Sequence[Attempt], finding: Finding) -> tuple[list[Attempt], float]:
    """The attempts under which the finding stood, and the place in the record where another one took it back."""
    end = min(
        (a.seq for a in attempts if a.number > finding.attempt and a.step <= finding.opened_step), default=math.inf
    )
    return [a for a in attempts if a.seq < end], end


def whole(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries with each merge laid into its point: a point is given when no merge into it can come any more."""
    held: list[Entry] = []
    for entry in entries:
        if entry.kind == EntryKind.MERGE:
            if held and held[0].point.step == entry.point.step:  # else that point is in a damaged block
                held[0] = held[0]._replace(point=merge(held[0].point, entry.point))
        elif entry.kind == EntryKind.POINTS:
            yield from held
            held = [entry]
        elif held:
            held.append(entry)
        else:
            yield entry
    yield from held


async def _start(
    store: Store, run: StoredRun, attempts: Sequence[Attempt], finding: Finding
) -> tuple[bytes | None, int]:
    """A frozen monitor from which to fold (None: a new one), and the place in the record that it has come to."""
    row = run.row
    if row.points > FROM_SNAPSHOT:
        for seq, step, version in reversed(await store.snapshot_marks(row.project, row.uid)):
            fits = version == DETECTION_VERSION and not any(a.seq >= seq and a.step <= step for a in attempts)
            if not fits or step > finding.onset_step - (finding.opened_step - finding.onset_step) - PAGE:
                continue
            stored = await store.snapshot(row.project, row.uid, seq)
            if stored is not None:
                try:
                    thaw(stored.body)
                except ValueError:  # an unreadable snapshot: the record is the truth, an older one will do
                    continue
                return stored.body, seq
    return None, 0


async def _rows(store: Store, run: StoredRun, seq: int, opened_step: int) -> list[RecordRow]:
    """The record from ``seq`` on, at least until ``MOST_AFTER`` points after ``opened_step``."""
    rows: list[RecordRow] = []
    after = 0
    async for page in pages(lambda seq: store.record_page(run.row.project, run.row.uid, seq, PAGE), seq):
        rows += page.rows
        after += sum(row.seq + row.n - max(row.seq, page.seq) for row in page.rows if row.first_step > opened_step)
        if after > MOST_AFTER:
            break
    return rows


class _Before(NamedTuple):
    """What was received before a silence, and a while after its beginning."""

    pages: Sequence[RecordPage]
    is_whole: bool
    """Whether the record begins with it."""

    def requests(self) -> Iterator[tuple[int, list[Point]]]:
        """When each request with points was received (ms since 1970), and its points."""
        parts = (part for page in self.pages for part in page.parts() if part[0].kind not in WITHOUT_POINT)
        requests = groupby(parts, key=lambda part: part[0].received_ms)
        for received_ms, group in islice(requests, 0 if self.is_whole else 1, None):  # half of a request looks like one
            yield received_ms, [point for _, points in group for point in points]


async def _before_silence(store: Store, run: StoredRun, finding: Finding) -> _Before:
    """The record up to the silence, from ``BEFORE_SILENCE`` points before it on. It lies in the order of its time, so
    that the place is found by halving."""
    project, uid = run.row.project, run.row.uid
    until_ms = 1000 * (finding.evidence["last_seen_at"] + SLACK_S)
    low, high = 0, run.next_seq
    while low < high:
        middle = (low + high) // 2
        rows = await store.record_page(project, uid, middle, 1)
        parts = [part for part, _ in await asyncio.to_thread(list, RecordPage(rows, middle).parts())]
        heard = [part.seq + part.n for part in parts or rows if part.received_ms <= until_ms]
        if heard:
            low = heard[-1]
        else:
            high = middle
    begin = max(0, low - BEFORE_SILENCE - 1)
    found: list[RecordPage] = []
    async for page in pages(lambda seq: store.record_page(project, uid, seq, PAGE), begin):
        found.append(page)
        if page.rows[-1].seq + page.rows[-1].n > low:
            break
    return _Before(found, begin == 0)


def silence_explained(raw: bytes, before_it: _Before, finding: Finding, expected: float | None) -> Explanation:
    """The seconds between requests, each held against what was allowed when it began; ``expected`` is what the run
    announced (s)."""
    rhythm = NOT_HEARD
    judgements: list[Row] = []
    allowed: float | None = None
    for received_ms, points in before_it.requests():
        at = received_ms / 1000
        if at > finding.evidence["last_seen_at"] + SLACK_S:
            break
        before, rhythm = rhythm, rhythm.heard(at, points)
        known = before.requests if before_it.is_whole else len(before.gaps) == KEPT_GAPS
        if known and rhythm.requests > before.requests:
            judgements.append(Row(points[-1].step, None, max(0.0, at - before.last_at), allowed))
        allowed = grace_s(rhythm.requests, rhythm.gaps, expected, rhythm.habit)
    judgements.append(Row(finding.opened_step, None, finding.evidence["silent_s"], allowed))
    first = judgements[0].step
    return Explanation(
        finding=finding.id,
        condition=finding.condition,
        series=finding.series,
        rule=(
            "Nothing was heard of the run for longer than its requests allow: "
            + (
                f"twice the {expected:g} s between reports that it announced."
                if expected is not None
                else "a multiple of the usual, and of the longest, of its last gaps, and five minutes at least."
            )
            + " A declared pause, and time in which the service was not listening, do not count."
        ),
        statistic="time since the request before",
        unit="s",
        above=True,
        threshold=allowed,
        values=tuple(thin(judgements, (finding.opened_step,))),
        used=(min(first, finding.opened_step), finding.opened_step),
        onset_step=finding.onset_step,
        opened_step=finding.opened_step,
    )
