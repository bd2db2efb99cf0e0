"""What the store keeps and gives back: plain values, the same for every database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from losswatch_server.monitor.entries import Attempt, EntryKind
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.points import EMPTY_CONTEXT, Context
from losswatch_server.monitor.vocabulary import DETECTION_VERSION, LoopAction, RunState, Status


class RecordRow(NamedTuple):
    """One row of the append-only record: ``n`` entries from ``seq`` on, received at one moment."""

    seq: int
    n: int
    kind: EntryKind
    attempt: int
    writer: str | None
    received_ms: int
    first_step: int
    last_step: int
    body: bytes


class Writer(NamedTuple):
    """A client process. ``attempt`` and ``ordinal`` are None until it posts a training point (loss, gradient norm)."""

    name: str
    attempt: int | None
    ordinal: int | None
    concurrent_with: str | None = None


class RunRow(NamedTuple):
    """A run as lists and answers show it. Times are seconds since 1970 in UTC.

    A NamedTuple: every request makes two of them, and a frozen dataclass of 19 fields costs 10 us to replace.
    """

    project: str
    name: str
    uid: str
    created_at: float
    last_seen_at: float
    attempt: int = 1
    step: int | None = None
    points: int = 0
    version: int = 0
    detection_version: int = DETECTION_VERSION
    state: RunState = RunState.RUNNING
    status: Status = Status.WAITING
    action: LoopAction = LoopAction.CONTINUE
    headline: str = ""
    context: Context = EMPTY_CONTEXT
    finished_at: float | None = None
    paused_until: float | None = None
    error: str = ""
    """What the client said of the failure that ended the run."""
    damaged: tuple[str, ...] = ()
    """Columns that could not be read; what stands in their place was made of what could."""
    listed: tuple[Any, Any] | None = None
    """``created_at`` and ``last_seen_at`` as lists are sorted by them, where one of them is damaged."""


class RunFilter(NamedTuple):
    """Which runs of a project are listed: those that fit all that is given."""

    status: str | None = None
    state: str | None = None
    tag: tuple[str, str | None] | None = None
    """The key of a tag, and its value (None: any)."""
    group: str | None = None
    text: str | None = None
    """A part of the name, in any case."""


class RunOrder(StrEnum):
    """In which order runs are listed: newest first, last heard of first, or the worst status first."""

    CREATED = "created"
    SEEN = "seen"
    STATUS = "status"

    def place(self, row: RunRow) -> Any:
        """Where a run stands in the order; the highest first. Those in the same place: the one created last first.

        A number, or what stands in the place of a damaged one.
        """
        created_at, last_seen_at = row.listed or (row.created_at, row.last_seen_at)
        match self:
            case RunOrder.CREATED:
                return created_at
            case RunOrder.SEEN:
                return last_seen_at
            case RunOrder.STATUS:
                return float(list(Status).index(row.status))


class RunCounts(NamedTuple):
    """How many runs of a project have which status, and which state; none is left out."""

    statuses: dict[str, int]
    states: dict[str, int]


class StoredRun(NamedTuple):
    """A run with what its next request needs to know."""

    row: RunRow
    next_seq: int = 0
    unsealed: int = 0
    rhythm: bytes = b""
    report: bytes | None = None
    attempts: tuple[Attempt, ...] = ()
    writers: tuple[Writer, ...] = ()
    revision: int = 0
    """Grows with every change of the run's row."""
    stored_revision: object = 0
    """The same as it stands in the database, where it may be damaged."""
    stored_seq: object = 0
    """``next_seq`` as it stands in the database, where it may be damaged: what the next change must find there."""
    numbering: str = ""
    """Tells the numbering of the record from those that it has had, and will have, by thinning."""


class Snapshot(NamedTuple):
    """A frozen monitor that has seen every entry before ``seq``; no step it has seen is past ``step``."""

    seq: int
    step: int
    detection_version: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFinding:
    """A finding with what the clock and people added to it. Times are seconds since 1970 in UTC."""

    finding: Finding
    opened_at: float
    closed_at: float | None = None
    acknowledged_at: float | None = None
    muted_until: float | None = None


class FindingFilter(NamedTuple):
    """Which findings are asked for; None: whichever."""

    is_open: bool | None = None
    severity: str | None = None
    condition: str | None = None


class RunFinding(NamedTuple):
    """A finding with the run that it belongs to, by its name now."""

    run: str
    uid: str
    stored: StoredFinding


class NewEvent(NamedTuple):
    """Something that happened to a run, for the outbox."""

    kind: str
    at: float
    finding_id: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of the outbox; ``id`` grows with every event of the database."""

    id: int
    project: str
    uid: str
    run: str
    kind: str
    at: float
    finding_id: str | None
    body: bytes


class Change(NamedTuple):
    """Everything that one request changes about one run: kept whole, or not at all.

    ``expected_seq`` and ``expected_revision`` are the run's next sequence number and its revision as the writer knew
    them: another value in the database means that somebody else wrote (RunMovedError). ``expected_seq`` None creates
    the run.
    """

    run: StoredRun
    expected_seq: object
    at: float
    rows: Sequence[RecordRow] = ()
    context_changed: bool = False
    attempts: Sequence[Attempt] = ()
    writers: Sequence[Writer] = ()
    snapshots: Sequence[Snapshot] = ()
    dropped_snapshots: Sequence[int] = ()
    findings: Sequence[Finding] = ()
    withdrawn: Sequence[str] = ()
    events: Sequence[NewEvent] = ()
    expected_revision: object = 0

    @property
    def only_appends(self) -> bool:
        """Whether it only adds to the record and moves the run on, as nearly every request does."""
        return self.expected_seq is not None and self.run.report is None and not (
            self.context_changed or self.attempts or self.writers or self.snapshots or self.dropped_snapshots
            or self.findings or self.withdrawn or self.events
        )  # fmt: skip
