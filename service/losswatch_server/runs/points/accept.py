"""What becomes of the points of a request: the contract's rule "a point is counted once", as a function.

A point is new, adds fields to a step that is known, repeats what is known, contradicts it, or shows that the run
stepped back to a checkpoint, and a new attempt begins. Nothing here reads or writes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.points.merge import Comparison, PointProblem, PointsRefusedError, compare, in_order

__all__ = [
    "Admission", "Begin", "Entry", "Fate", "Key", "Ledger", "Need", "PointProblem", "PointsRefusedError", "Starter",
    "Stored", "admit", "in_order", "needs_ranks", "needs_record",
]  # fmt: skip

Key = tuple[int, int]
"""Step and rank."""

_NO_RANKS: Mapping[int, int] = MappingProxyType({})


class Fate(Enum):
    """What a point, or what it adds, becomes in the record."""

    NEW = "new"  # the next point of rank 0
    OTHER_RANK = "other_rank"  # the next point of another rank
    MERGE = "merge"  # fields added to the point at the last step
    LATE = "late"  # fields of an older step, or a point that fills a gap
    ASIDE = "aside"  # a point of an earlier writer past the place where a later one took over


class Entry(NamedTuple):
    """A point, or the fields that it adds, as the record takes it. ``counts`` where it raises the run's version:
    a merge does not, so that a point in two requests and the same point in one give the same version."""

    fate: Fate
    attempt: int
    point: Point
    counts: bool = True


class Starter(NamedTuple):
    """A writer that trains: its attempt, its place among such writers, and one that it was seen to overlap with."""

    attempt: int
    ordinal: int
    rival: str | None = None


class Ledger(NamedTuple):
    """What is known of a run: enough to admit points past its last step without reading its record.

    ``begins`` is the step at which each attempt after the first began. ``ranks`` is the last step of each other rank;
    None while that has not been read. ``newest`` names the starter that began last. ``others`` are writers that never
    trained.
    """

    attempt: int = 1
    last: Point | None = None
    begins: Mapping[int, int] = MappingProxyType({})
    ranks: Mapping[int, int] | None = MappingProxyType({})
    starters: Mapping[str, Starter] = MappingProxyType({})
    newest: str | None = None
    others: frozenset[str] = frozenset()

    def knows(self, writer: str) -> bool:
        """Whether this writer posted to the run before."""
        return writer in self.starters or writer in self.others


class Stored(NamedTuple):
    """The points of the record at the steps of the request: ``judged`` ones, and ``aside`` those of the writer's own
    attempt that a later attempt superseded."""

    judged: Mapping[Key, Point]
    aside: Mapping[Key, Point]


class Need(NamedTuple):
    """The steps and ranks to look up; where ``aside``, points that were set aside there count too."""

    wanted: Sequence[Key]
    aside: bool


class Begin(NamedTuple):
    """A new attempt: its number, the step it stepped back to, and how many of the entries come before it."""

    number: int
    step: int
    after: int


class Admission(NamedTuple):
    """What a request becomes. Each of its points is counted in exactly one of the four counts.

    ``plain`` where every entry is the next point of rank 0, as in nearly every request.
    """

    entries: Sequence[Entry]
    ledger: Ledger
    accepted: int
    begin: Begin | None = None
    duplicates: int = 0
    late: int = 0
    conflicts: int = 0
    plain: bool = False


def needs_ranks(ledger: Ledger, points: Sequence[Point]) -> bool:
    """Whether the last steps of other ranks must be read before ``points`` can be admitted."""
    return ledger.ranks is None and any(point.rank for point in points)


def needs_record(ledger: Ledger, points: Sequence[Point], writer: str | None) -> Need | None:
    """What must be read before ``points`` (in order) can be admitted; None where the ledger says enough."""
    last_step = -1 if ledger.last is None else ledger.last.step
    if ledger.last is not None and _is_earlier(ledger, writer):
        return Need([(point.step, point.rank) for point in points], aside=True)
    begins = writer is not None and writer not in ledger.starters  # with its first training point: nothing counts then
    wanted: list[Key] = []
    for point in points:
        if begins and point.rank == 0 and (point.loss is not None or point.grad_norm is not None):
            break
        last = last_step - 1 if point.rank == 0 else (ledger.ranks or _NO_RANKS).get(point.rank, -1)
        if point.step <= last:
            wanted.append((point.step, point.rank))
    return Need(wanted, aside=False) if wanted else None


def admit(ledger: Ledger, stored: Stored, points: Sequence[Point], writer: str | None, sent: int = 0) -> Admission:
    """What becomes of ``points`` (from ``in_order``) posted by ``writer``.

    ``stored`` holds what the record has at their steps, as far as ``needs_record`` asked for it; ``sent`` is the
    number of points in the request where some of them were one point in two pieces.
    """
    pieces = max(0, sent - len(points))
    if points and _goes_on(ledger, points, writer):
        attempt = ledger.attempt
        entries = [Entry(Fate.NEW, attempt, point) for point in points]
        return Admission(entries, ledger._replace(last=points[-1]), len(points) + pieces, plain=True)
    desk = _Desk(ledger, stored, writer)
    for point in points:
        desk.take(point)
    return Admission(
        entries=desk.entries,
        begin=desk.begin,
        ledger=desk.closed(),
        accepted=desk.accepted + pieces,
        duplicates=desk.duplicates,
        late=desk.late,
        conflicts=desk.conflicts,
    )


def _goes_on(ledger: Ledger, points: Sequence[Point], writer: str | None) -> bool:
    """Whether these are the next points of rank 0, from nobody or from the writer that has been training."""
    if writer is not None and writer != ledger.newest:
        return False
    if ledger.last is not None and points[0].step <= ledger.last.step:
        return False
    return not any(point.rank for point in points)


class _Desk:
    """The ledger while a request passes over it."""

    def __init__(self, ledger: Ledger, stored: Stored, writer: str | None) -> None:
        self.ledger = ledger
        self.stored = stored
        self.writer = writer
        self.attempt = ledger.attempt
        self.last = ledger.last
        self.begin: Begin | None = None
        self.ranks: dict[int, int] | None = None
        self.starter = None if writer is None else ledger.starters.get(writer)
        self.started: Starter | None = None
        self.earlier = _is_earlier(ledger, writer)
        self.boundary = _boundary(ledger, self.starter) if self.earlier and self.starter else 0
        self.entries: list[Entry] = []
        self.accepted = self.duplicates = self.late = self.conflicts = 0

    def take(self, point: Point) -> None:
        if point.rank != 0:
            self._take_other_rank(point)
        elif self.earlier:
            self._take_from_earlier(point)
        else:
            self._take_in_turn(point)

    def _take_in_turn(self, point: Point) -> None:
        trains = point.loss is not None or point.grad_norm is not None
        last = self.last
        if trains and self.writer is not None and self.starter is None:
            self._start()
            if last is not None and point.step <= last.step:
                self._begin_attempt(point)
                return
        if last is None or point.step > last.step:
            self._new(point)
            return
        known = last if point.step == last.step else self.stored.judged.get((point.step, 0))
        if known is None:
            if trains:
                self._begin_attempt(point)
            else:
                self._keep(Entry(Fate.LATE, self.attempt, point))
            return
        found = compare(known, point)
        if found.retrained:
            self._begin_attempt(point)
        elif found.added is None:
            self._nothing_new(found)
        elif known is last:
            self.last = merge(known, point)
            self._keep(Entry(Fate.MERGE, self.attempt, found.added, counts=False), found)
        else:
            self._keep(Entry(Fate.LATE, self.attempt, found.added), found)

    def _take_from_earlier(self, point: Point) -> None:
        """A point of a writer after whom another one started: it never begins an attempt."""
        assert self.starter is not None
        last = self.last
        if self.starter.attempt == self.attempt and (last is None or point.step > last.step):
            self._new(point)
            return
        if point.step < self.boundary:
            known = last if last is not None and point.step == last.step else self.stored.judged.get((point.step, 0))
            if known is None:
                self._keep(Entry(Fate.LATE, self.attempt, point))
                return
            found = compare(known, point)
            if not found.retrained:
                if found.added is None:
                    self._nothing_new(found)
                elif known is last:
                    self.last = merge(known, point)
                    self._keep(Entry(Fate.MERGE, self.attempt, found.added, counts=False), found)
                else:
                    self._keep(Entry(Fate.LATE, self.attempt, found.added), found)
                return
        known = self.stored.aside.get((point.step, 0))
        if known is None:
            self._keep(Entry(Fate.ASIDE, self.starter.attempt, point))
            return
        found = compare(known, point)
        if found.added is None:
            self._nothing_new(found._replace(conflict=found.conflict or found.retrained))
        else:
            self._keep(Entry(Fate.ASIDE, self.starter.attempt, found.added, counts=False), found)

    def _take_other_rank(self, point: Point) -> None:
        ranks = self.ranks or self.ledger.ranks or _NO_RANKS
        tail = ranks.get(point.rank, -1)
        known = self.stored.judged.get((point.step, point.rank)) if point.step <= tail else None
        if known is None:
            if point.step <= tail:
                self._keep(Entry(Fate.LATE, self.attempt, point))
            else:
                self.ranks = {**ranks, point.rank: point.step}
                self.entries.append(Entry(Fate.OTHER_RANK, self.attempt, point))
                self.accepted += 1
            return
        found = compare(known, point)
        if found.added is None:
            self._nothing_new(found._replace(conflict=found.conflict or found.retrained))
        else:
            self._keep(Entry(Fate.LATE, self.attempt, found.added, counts=False), found)

    def _start(self) -> None:
        self.starter = self.started = Starter(self.attempt, len(self.ledger.starters))

    def _new(self, point: Point) -> None:
        self.last = point
        self.entries.append(Entry(Fate.NEW, self.attempt, point))
        self.accepted += 1

    def _begin_attempt(self, point: Point) -> None:
        self.attempt += 1
        self.begin = Begin(self.attempt, point.step, len(self.entries))
        if self.started is not None:
            self.started = self.starter = self.started._replace(attempt=self.attempt)
        ranks = self.ledger.ranks if self.ranks is None else self.ranks
        if ranks is not None:
            self.ranks = {rank: min(step, point.step - 1) for rank, step in ranks.items()}
        self._new(point)

    def _keep(self, entry: Entry, found: Comparison | None = None) -> None:
        self.entries.append(entry)
        if found is not None and found.conflict:
            self.conflicts += 1
        elif entry.fate is Fate.MERGE:
            self.accepted += 1
        else:
            self.late += 1

    def _nothing_new(self, found: Comparison) -> None:
        if found.conflict:
            self.conflicts += 1
        else:
            self.duplicates += 1

    def closed(self) -> Ledger:
        """The ledger after the request."""
        ledger = self.ledger
        starters, newest, others, begins = ledger.starters, ledger.newest, ledger.others, ledger.begins
        if self.writer is not None:
            if self.started is not None:
                starters = {**starters, self.writer: self.started}
                newest = self.writer
                others -= {self.writer}
            elif self.earlier and self.entries and self.starter is not None and self.starter.rival is None:
                starters = {**starters, self.writer: self.starter._replace(rival=newest)}
            elif self.starter is None and self.writer not in others:
                others |= {self.writer}
        if self.begin is not None:
            begins = {**begins, self.begin.number: self.begin.step}
        ranks = ledger.ranks if self.ranks is None else self.ranks
        return Ledger(
            attempt=self.attempt,
            last=self.last,
            begins=begins,
            ranks=ranks,
            starters=starters,
            newest=newest,
            others=others,
        )


def _is_earlier(ledger: Ledger, writer: str | None) -> bool:
    return writer is not None and writer != ledger.newest and writer in ledger.starters


def _boundary(ledger: Ledger, starter: Starter | None) -> int:
    """The step at which a later attempt took over from the starter's; past every step where none did."""
    if starter is None:
        return 0
    return min((step for number, step in ledger.begins.items() if number > starter.attempt), default=1 << 62)
