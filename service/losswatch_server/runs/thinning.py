"""Thinning the record of a run that is over: fewer points, of which each is as it was posted.

What stays, stays with all that was said of its step. Kept are of each stretch of the record the first and last entry
and the extremes of every series; the ends of each attempt and each rank; of every layer and metric its first, last,
lowest and highest value; what is not finite (of a long unbroken row its ends); whatever lies near a finding; and
everything from the newest snapshot on. The snapshot is the truth for what lies before it: so the run's report is, bit
for bit, the one that it had, and a run that goes on is judged as if nothing were missing, unless it steps back to
before that snapshot.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from losswatch_server.codec.blocks import pack
from losswatch_server.monitor.entries import WITHOUT_POINT, Attempt, Entry, EntryKind
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.snapshot import thaw
from losswatch_server.monitor.vocabulary import DETECTION_VERSION
from losswatch_server.store import Store
from losswatch_server.store.damage import damaged_blocks
from losswatch_server.store.pages import PAGE, RecordPage, pages
from losswatch_server.store.retention import ThinnedRecord
from losswatch_server.store.rows import RecordRow, StoredRun
from losswatch_server.store.sealing import seal
from losswatch_server.store.summaries import bucket, laid_together

PER_STRETCH = 8
"""Points that a stretch of two series keeps about: its ends, the extremes of both, and now and then another."""
NEAR = 100
"""Points on each side of a finding's steps that are kept: what a person looks at, and a rule's last block."""
TAIL = 256
"""Entries at the end that are kept where no snapshot says from where on."""
_ALL = 1 << 30


class CannotThinError(Exception):
    """The run's points are all that tells how it was judged, or some of them cannot be read: it is left as it is."""


async def thin(
    store: Store, run: StoredRun, findings: Iterable[Finding], to_points: int, at: float
) -> ThinnedRecord | None:
    """The run's record with about ``to_points`` points besides those that are kept anyway; None where that saves
    little. Raises CannotThinError."""
    row = run.row
    snapshot, cut = await _cut(store, run)
    choice = _Choice(max(1, math.ceil(run.next_seq * PER_STRETCH / to_points)))
    async for page in _pages(store, run):
        await asyncio.to_thread(choice.look, page)
        if damaged_blocks(page.rows):
            raise CannotThinError("some of its points cannot be read")
    choice.close()
    if choice.seen != run.next_seq:
        raise CannotThinError("some of its points are missing")
    near = _near(findings, choice.stride())
    left: list[RecordRow] = []
    seqs = _Seqs()
    async for page in _pages(store, run):
        left += await asyncio.to_thread(_thinned, page, choice.steps, near, cut, seqs)
    if seqs.next > 0.8 * run.next_seq:
        return None
    sealed = await asyncio.to_thread(_sealed, left)
    attempts = [Attempt(one.number, one.step, seqs.moved[one.seq]) for one in run.attempts if one.seq in seqs.moved]
    if len(attempts) != len(run.attempts):
        raise CannotThinError("the record lacks an attempt")
    moved = None if snapshot is None else (snapshot, seqs.before_cut)
    return ThinnedRecord((row.project, row.uid), at, run.next_seq, sealed, attempts, moved)


async def _cut(store: Store, run: StoredRun) -> tuple[int | None, int]:
    """The snapshot that stands for what lies before it, and the place from which on everything is kept."""
    row = run.row
    if row.detection_version != DETECTION_VERSION:  # it stays as judged: its last report is kept beside it
        if run.report is None:
            raise CannotThinError("an older version judged it, and its report was not kept")
        return None, max(0, run.next_seq - TAIL)
    for seq, step, version in reversed(await store.snapshot_marks(row.project, row.uid)):
        if version != DETECTION_VERSION or any(a.seq >= seq and a.step <= step for a in run.attempts):
            continue
        stored = await store.snapshot(row.project, row.uid, seq)
        if stored is not None:
            try:
                thaw(stored.body)
            except ValueError:
                continue
            return seq, seq
    raise CannotThinError("there is no snapshot of it")


def _pages(store: Store, run: StoredRun) -> AsyncIterator[RecordPage]:
    return pages(lambda seq: store.record_page(run.row.project, run.row.uid, seq, PAGE))


class _Choice:
    """Which steps are kept, chosen in one pass over the record."""

    def __init__(self, stretch: int) -> None:
        self.steps: set[int] = set()
        self.seen = 0
        self._stretch = stretch
        self._waiting: list[Entry] = []
        self._rank_tails: dict[int, int] = {}
        self._named: dict[tuple[str, str], list[tuple[float, int]]] = {}
        self._low, self._high, self._count = 1 << 62, 0, 0

    def look(self, page: RecordPage) -> None:
        for entry in page.entries():
            self.seen += 1
            if entry.kind in WITHOUT_POINT:
                if entry.kind == EntryKind.ATTEMPT:
                    self._flush()
                continue
            point = entry.point
            self._count += 1
            self._low, self._high = min(self._low, point.step), max(self._high, point.step)
            if point.rank:
                self._rank_tails[point.rank] = max(point.step, self._rank_tails.get(point.rank, 0))
            self._look_at_names("layers", point.layers, point.step)
            self._look_at_names("metrics", point.metrics, point.step)
            self._waiting.append(entry)
            if len(self._waiting) >= self._stretch:
                self._flush()

    def close(self) -> None:
        self._flush()
        self.steps.update(self._rank_tails.values())
        self.steps.update(step for kept in self._named.values() for _, step in kept)

    def stride(self) -> int:
        """Steps from one point to the next, about."""
        return max(1, math.ceil((self._high - self._low) / max(1, self._count - 1)))

    def _flush(self) -> None:
        if self._waiting:
            together = laid_together(self._waiting)
            self.steps.update(kept.entry.point.step for kept in bucket(together, _ALL))
            for field in ("layers", "metrics"):  # their course, where only some points bring them
                named = next((entry for entry in together if getattr(entry.point, field)), None)
                if named is not None:
                    self.steps.add(named.point.step)
            self._waiting.clear()

    def _look_at_names(self, kind: str, named: Mapping[str, float] | None, step: int) -> None:
        """First, last, lowest and highest value of each name."""
        for name, value in (named or {}).items():
            here = (value, step)
            known = self._named.get((kind, name))
            if known is None:
                self._named[kind, name] = [here] * 4
                continue
            known[1] = here
            if not value >= known[2][0]:
                known[2] = here
            if not value <= known[3][0]:
                known[3] = here


class _Near(NamedTuple):
    low: int
    high: int


def _near(findings: Iterable[Finding], stride: int) -> list[_Near]:
    """The steps near each finding: where it began, was reported, was seen last and was over."""
    reach = NEAR * stride
    marks = {
        step
        for one in findings
        for step in (one.onset_step, one.opened_step, one.last_step, one.resolved_step)
        if step is not None
    }
    joined: list[_Near] = []
    for step in sorted(marks):
        if joined and step - reach <= joined[-1].high:
            joined[-1] = joined[-1]._replace(high=step + reach)
        else:
            joined.append(_Near(step - reach, step + reach))
    return joined


class _Seqs:
    """The numbering of what is left."""

    def __init__(self) -> None:
        self.next = 0
        self.before_cut = 0
        self.moved: dict[int, int] = {}
        """New places of attempts, by their old ones."""


def _thinned(page: RecordPage, steps: set[int], near: Sequence[_Near], cut: int, seqs: _Seqs) -> list[RecordRow]:
    """What is left of a page, each part for itself with the time at which it was received."""
    left: list[RecordRow] = []
    for part, points in page.parts():
        if part.kind in WITHOUT_POINT:
            seqs.moved[part.seq] = seqs.next
            left.append(part._replace(seq=seqs.next))
            seqs.next += part.n
            seqs.before_cut += part.n if part.seq < cut else 0
            continue
        kept = [
            (seq, point)
            for seq, point in enumerate(points, part.seq)
            if seq >= cut or point.step in steps or any(low <= point.step <= high for low, high in near)
        ]
        if not kept:
            continue
        mine = [point for _, point in kept]
        places = [point.step for point in mine]
        left.append(
            part._replace(seq=seqs.next, n=len(mine), first_step=min(places), last_step=max(places), body=pack(mine))
        )
        seqs.next += len(mine)
        seqs.before_cut += sum(seq < cut for seq, _ in kept)
    return left


def _sealed(rows: Sequence[RecordRow]) -> list[RecordRow]:
    """The rows with points compressed; contexts and attempts stay between them."""
    result: list[RecordRow] = []
    for stretch in _stretches(rows):
        result += seal(stretch) if len(stretch) > 1 else stretch
    return result


def _stretches(rows: Iterable[RecordRow]) -> Iterator[list[RecordRow]]:
    waiting: list[RecordRow] = []
    for row in rows:
        if row.kind in (EntryKind.CONTEXT, EntryKind.ATTEMPT):
            if waiting:
                yield waiting
            yield [row]
            waiting = []
        else:
            waiting.append(row)
    if waiting:
        yield waiting
