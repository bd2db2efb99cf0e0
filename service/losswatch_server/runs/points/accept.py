"""What becomes of the points of a request: the contract's rule "a point is counted once", as a function.

A point is new, adds fields to a step that is known, repeats what is known, contradicts it, or shows that the run
stepped back to a checkpoint, and a new attempt begins. Nothing here reads or writes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from losswatch_server.monitor.batch import Batch
from losswatch_server.monitor.entries import Attempt, Entry, EntryKind, NewPoints
from losswatch_server.monitor.points import Point, merge
from losswatch_server.runs.points.merge import Comparison, PointProblem, PointsRefusedError, compare, in_order
from losswatch_server.runs.points.writers import TrainingWriter, parent_of

__all__ = [
    "Acceptance",
    "Key",
    "PointProblem",
    "PointsRefusedError",
    "RecordLookup",
    "RunCursor",
    "Stored",
    "TrainingWriter",
    "accept",
    "in_order",
    "needs_ranks",
    "needs_record",
]  # fmt: skip

Key = tuple[int, int]
"""Step and rank."""

_NO_RANKS: Mapping[int, int] = MappingProxyType({})


class RunCursor(NamedTuple):
    """How far a run has come: enough to accept points past its last step without reading its record."""

    attempt: int = 1
    """The attempt under way; the first is 1."""
    last: Point | None = None
    """The point of rank 0 at the highest step of the attempt, with all that was merged into it; None: there is none."""
    begins: Mapping[int, int] = MappingProxyType({})
    """The step at which each attempt after the first began, by its number."""
    ranks: Mapping[int, int] | None = MappingProxyType({})
    """The last step of each other rank; None while that has not been read from the store."""
    training_writers: Mapping[str, TrainingWriter] = MappingProxyType({})
    """By name."""
    newest: str | None = None
    """The training writer that began last: it alone may begin an attempt without being new."""
    non_training_writers: frozenset[str] = frozenset()
    """Names of those that posted no loss and no gradient norm, such as a process that validates."""

    def knows(self, writer: str) -> bool:
        """Whether this writer posted to the run before."""
        return writer in self.training_writers or writer in self.non_training_writers


class Stored(NamedTuple):
    """The points of the record at the steps of the request: those that ``stand``, and, ``superseded_by_writer``, those
    of the writer's own attempt that a later attempt superseded."""

    stand: Mapping[Key, Point]
    superseded_by_writer: Mapping[Key, Point]


class RecordLookup(NamedTuple):
    """The steps and ranks to look up, among what stands and, where so, among what is ``superseded_by_writer``."""

    wanted: Sequence[Key]
    superseded_by_writer: bool


class Acceptance(NamedTuple):
    """What a request becomes. Each of its points is counted in exactly one of ``accepted``, ``duplicates``, ``late``
    and ``conflicts``."""

    entries: Sequence[Entry]
    """What goes into the record, in order: points or the fields that they add, and the begin of an attempt."""
    cursor: RunCursor
    """The cursor after the request."""
    accepted: int
    counted: int
    """By how much the run's version rises. What is merged into a known point does not count, so that a point in two
    requests and the same point in one give the same version."""
    begin: Attempt | None = None
    """The attempt that began in this request."""
    duplicates: int = 0
    late: int = 0
    conflicts: int = 0
    only_new: bool = False
    """Every entry is the next point of rank 0, as in nearly every request."""


def needs_ranks(cursor: RunCursor, points: Sequence[Point]) -> bool:
    """Whether the last steps of other ranks must be read before ``points`` can be accepted."""
    return cursor.ranks is None and not _are_of_rank_0(points)


def needs_record(cursor: RunCursor, points: Sequence[Point], writer: str | None) -> RecordLookup | None:
    """What must be read before ``points`` (in order) can be accepted; None where the cursor says enough."""
    last_step = -1 if cursor.last is None else cursor.last.step
    if cursor.last is not None and writer is not None and _is_earlier(cursor, writer):
        if own_attempt(cursor, writer) == cursor.attempt and all(p.rank == 0 and p.step > last_step for p in points):
            return None
        return RecordLookup([(point.step, point.rank) for point in points], superseded_by_writer=True)
    if len(points) == 0 or (points[0].step >= last_step and _are_of_rank_0(points)):
        return None
    # A new writer begins with its first training point: what was said at the steps from there on counts no more.
    begins = writer is not None and writer not in cursor.training_writers
    wanted: list[Key] = []
    for point in points:
        if begins and point.rank == 0 and (point.loss is not None or point.grad_norm is not None):
            break
        last = last_step - 1 if point.rank == 0 else (cursor.ranks or _NO_RANKS).get(point.rank, -1)
        if point.step <= last:
            wanted.append((point.step, point.rank))
    return RecordLookup(wanted, superseded_by_writer=False) if wanted else None


def accept(
    cursor: RunCursor, stored: Stored, points: Sequence[Point], writer: str | None, seq: int, sent: int = 0
) -> Acceptance:
    """What becomes of ``points`` (from ``in_order``) posted by ``writer``; the first entry is at ``seq`` in the record.

    ``stored`` holds what the record has at their steps, as far as ``needs_record`` asked for it; ``sent`` is the
    number of points in the request where some of them were one point in two pieces.
    """
    pieces = max(0, sent - len(points))
    if points and _goes_on(cursor, points, writer):
        attempt = cursor.attempt
        entries: Sequence[Entry] = (
            NewPoints(seq, attempt, points)
            if isinstance(points, Batch)
            else [Entry(number, EntryKind.POINTS, attempt, point) for number, point in enumerate(points, seq)]
        )
        after = cursor._replace(last=points[-1])
        return Acceptance(entries, after, len(points) + pieces, counted=len(points), only_new=True)
    builder = _AcceptanceBuilder(cursor, stored, writer, seq)
    if isinstance(points, Batch) and points.is_of_rank_0:
        builder.take(points[0])
        after = builder.cursor_after()
        if [entry.kind for entry in builder.entries] == [EntryKind.POINTS] and after.newest == writer:
            after = after._replace(last=points[-1])  # where the first one begins a writer's training, the others go on
            entries = NewPoints(seq, after.attempt, points)
            return Acceptance(entries, after, len(points) + pieces, counted=len(points), only_new=True)
        builder = _AcceptanceBuilder(cursor, stored, writer, seq)
    for point in points:
        builder.take(point)
    return Acceptance(
        entries=builder.entries,
        cursor=builder.cursor_after(),
        accepted=builder.accepted + pieces,
        counted=builder.counted,
        begin=builder.begin,
        duplicates=builder.duplicates,
        late=builder.late,
        conflicts=builder.conflicts,
    )


def _goes_on(cursor: RunCursor, points: Sequence[Point], writer: str | None) -> bool:
    """Whether these are the next points of rank 0, from nobody or from the writer that has been training."""
    if writer is not None and writer != cursor.newest:
        return False
    if cursor.last is not None and points[0].step <= cursor.last.step:
        return False
    return _are_of_rank_0(points)


def _are_of_rank_0(points: Sequence[Point]) -> bool:
    return points.is_of_rank_0 if isinstance(points, Batch) else not any(point.rank for point in points)


class _AcceptanceBuilder:
    """The cursor and the entries while the points of a request are taken one after another."""

    def __init__(self, cursor: RunCursor, stored: Stored, writer: str | None, seq: int) -> None:
        self.cursor = cursor
        """As it was before the request."""
        self.stored = stored
        self.writer = writer
        self.seq = seq
        self.attempt = cursor.attempt
        self.last = cursor.last
        self.begin: Attempt | None = None
        self.ranks: dict[int, int] | None = None
        """The last steps of other ranks; None while the request has not moved them."""
        self.training_writer = None if writer is None else cursor.training_writers.get(writer)
        self.new_training_writer: TrainingWriter | None = None
        """Set where the writer posts its first loss or gradient norm in this request."""
        self.parent = parent_of(cursor.training_writers, writer)
        self.earlier = _is_earlier(cursor, writer)
        self.boundary = _boundary(cursor, self.training_writer or self.parent) if self.earlier else 0
        self.entries: list[Entry] = []
        self.accepted = self.duplicates = self.late = self.conflicts = self.counted = 0

    def take(self, point: Point) -> None:
        if point.rank != 0:
            self._take_other_rank(point)
        elif self.earlier and (self.training_writer is not None or _trains(point)):
            self._take_from_earlier(point)
        else:
            self._take_in_turn(point)

    def _take_in_turn(self, point: Point) -> None:
        trains = _trains(point)
        last = self.last
        if trains and self.writer is not None and self.training_writer is None:
            self._begin_training()
            if last is not None and point.step <= last.step:
                self._begin_attempt(point)
                return
        if last is None or point.step > last.step:
            self._append(point)
            return
        known = self._standing(point)
        if known is None:
            if trains:
                self._begin_attempt(point)
            else:
                self._take_late(point)
            return
        found = compare(known, point)
        if found.retrained:
            self._begin_attempt(point)
        else:
            self._add_fields(known, point, found)

    def _take_from_earlier(self, point: Point) -> None:
        """A point of a writer after whom another one began to train, or whose parent trains: it never begins an
        attempt."""
        if self.training_writer is None:
            self._begin_training()
        assert self.training_writer is not None
        own = self.training_writer.attempt
        if own == self.attempt and (self.last is None or point.step > self.last.step):
            self._append(point)
            return
        if point.step < self.boundary:
            known = self._standing(point)
            if known is None:
                self._take_late(point)
                return
            found = compare(known, point)
            if not found.retrained:
                self._add_fields(known, point, found)
                return
        kind = EntryKind.SUPERSEDED_BY_WRITER
        known = self.stored.superseded_by_writer.get((point.step, 0))
        if known is None:
            self._record(kind, own, point)
            self.late += 1
        else:
            self._add_to_known(kind, own, compare(known, point))

    def _take_other_rank(self, point: Point) -> None:
        ranks = self.ranks or self.cursor.ranks or _NO_RANKS
        last_step = ranks.get(point.rank, -1)
        if point.step > last_step:
            self.ranks = {**ranks, point.rank: point.step}
            self._record(EntryKind.OTHER_RANKS, self.attempt, point)
            self.accepted += 1
            return
        known = self.stored.stand.get((point.step, point.rank))
        if known is None:
            self._take_late(point)
        else:
            self._add_to_known(EntryKind.LATE, self.attempt, compare(known, point))

    def _standing(self, point: Point) -> Point | None:
        """What stands at the point's step, which is not past the last one."""
        if self.last is not None and point.step == self.last.step:
            return self.last
        return self.stored.stand.get((point.step, 0))

    def _append(self, point: Point) -> None:
        """The next point of rank 0."""
        self.last = point
        self._record(EntryKind.POINTS, self.attempt, point)
        self.accepted += 1

    def _take_late(self, point: Point) -> None:
        """A point at a step that was passed, of which nothing stands there yet."""
        self._record(EntryKind.LATE, self.attempt, point)
        self.late += 1

    def _add_fields(self, known: Point, point: Point, found: Comparison) -> None:
        """Fields for a point of rank 0: merged into the last one, late for an older one."""
        if found.added is None:
            self._nothing_new(found)
        elif known is self.last:
            self.last = merge(known, point)
            self._record(EntryKind.MERGE, self.attempt, found.added, counts=False)
            if found.conflict:
                self.conflicts += 1
            else:
                self.accepted += 1
        else:
            self._record(EntryKind.LATE, self.attempt, found.added)
            self._count_late(found)

    def _add_to_known(self, kind: EntryKind, attempt: int, found: Comparison) -> None:
        """The same for a point that begins no attempt where it contradicts; it never counts."""
        if found.added is None:
            self._nothing_new(found._replace(conflict=found.conflict or found.retrained))
        else:
            self._record(kind, attempt, found.added, counts=False)
            self._count_late(found)

    def _count_late(self, found: Comparison) -> None:
        if found.conflict:
            self.conflicts += 1
        else:
            self.late += 1

    def _nothing_new(self, found: Comparison) -> None:
        if found.conflict:
            self.conflicts += 1
        else:
            self.duplicates += 1

    def _record(self, kind: EntryKind, attempt: int, point: Point, *, counts: bool = True) -> None:
        self.entries.append(Entry(self.seq + len(self.entries), kind, attempt, point))
        self.counted += counts

    def _begin_training(self) -> None:
        ordinal = len(self.cursor.training_writers)
        attempt = self.attempt if self.parent is None else self.parent.attempt
        self.training_writer = self.new_training_writer = TrainingWriter(attempt, ordinal)

    def _begin_attempt(self, point: Point) -> None:
        self.attempt += 1
        self.begin = Attempt(self.attempt, point.step, self.seq + len(self.entries))
        if self.new_training_writer is not None:
            self.training_writer = self.new_training_writer = self.new_training_writer._replace(attempt=self.attempt)
        ranks = self.cursor.ranks if self.ranks is None else self.ranks
        if ranks is not None:
            self.ranks = {rank: min(step, point.step - 1) for rank, step in ranks.items()}
        self._record(EntryKind.ATTEMPT, self.attempt, Point(point.step))
        self._append(point)

    def cursor_after(self) -> RunCursor:
        """The cursor after the request."""
        cursor, begins = self.cursor, self.cursor.begins
        if self.begin is not None:
            begins = {**begins, self.begin.number: self.begin.step}
        ranks = cursor.ranks if self.ranks is None else self.ranks
        return self._with_writer(cursor._replace(attempt=self.attempt, last=self.last, begins=begins, ranks=ranks))

    def _with_writer(self, cursor: RunCursor) -> RunCursor:
        """The cursor with what the request tells of its writer."""
        writer, known = self.writer, self.training_writer
        if writer is None:
            return cursor
        if self.new_training_writer is not None:
            return cursor._replace(
                training_writers={**cursor.training_writers, writer: self.new_training_writer},
                newest=writer if self.parent is None else cursor.newest,
                non_training_writers=cursor.non_training_writers - {writer},
            )
        if known is None and writer in cursor.non_training_writers:
            return cursor
        if known is None:
            return cursor._replace(non_training_writers=cursor.non_training_writers | {writer})
        aside = self.parent is None or any(one.kind == EntryKind.SUPERSEDED_BY_WRITER for one in self.entries)
        if self.earlier and self.entries and aside and known.concurrent_with is None:
            concurrent = known._replace(concurrent_with=cursor.newest)
            return cursor._replace(training_writers={**cursor.training_writers, writer: concurrent})
        return cursor


def own_attempt(cursor: RunCursor, writer: str) -> int:
    """The attempt that the points of an earlier writer belong to."""
    owner = cursor.training_writers.get(writer) or parent_of(cursor.training_writers, writer)
    assert owner is not None
    return owner.attempt


def _trains(point: Point) -> bool:
    return point.loss is not None or point.grad_norm is not None


def _is_earlier(cursor: RunCursor, writer: str | None) -> bool:
    if writer is None or writer == cursor.newest:
        return False
    return writer in cursor.training_writers or parent_of(cursor.training_writers, writer) is not None


def _boundary(cursor: RunCursor, training_writer: TrainingWriter | None) -> int:
    """The step at which a later attempt took over from the writer's; past every step where none did."""
    if training_writer is None:
        return 0
    return min((step for number, step in cursor.begins.items() if number > training_writer.attempt), default=1 << 62)
