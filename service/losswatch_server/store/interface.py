"""What the use cases need of a store, described here once: ``SqlStore`` is one, and says no more of its methods.

The use cases know nothing else of the store. Notifications, keys and retention read and write through
``transactions``, with the statements of this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from losswatch_server.monitor.entries import Attempt, Entry
from losswatch_server.store.cuts import Cuts
from losswatch_server.store.rows import (
    Change,
    FindingFilter,
    NewEvent,
    RecordRow,
    RunCounts,
    RunFilter,
    RunFinding,
    RunOrder,
    RunRow,
    Snapshot,
    StoredEvent,
    StoredFinding,
    StoredRun,
)
from losswatch_server.store.windows import Source, Window


class Store(Protocol):
    """Keeps runs. A method that writes returns when what it wrote survives a power loss."""

    async def check(self) -> None:
        """Whether a write would be kept now. Raises the StoreError that it would raise."""
        ...

    async def find_run(self, project: str, name: str) -> StoredRun | None:
        """The run that has this name now."""
        ...

    async def still_numbered(self, run: StoredRun) -> bool:
        """Whether the record of the run is there, numbered as it was when the run was read: thinning numbers it
        anew."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other services may write to it, too."""
        ...

    async def place_of(self, project: str, name: str) -> tuple[str, object, object] | None:
        """Uid, next sequence number and revision of the run that has this name now: as long as they stand, nobody has
        changed it."""
        ...

    async def run_of(self, project: str, uid: str) -> RunRow | None:
        """The run of this uid."""
        ...

    async def is_gone(self, project: str, name: str, writer: str) -> bool:
        """Whether this writer posted to a deleted run of this name."""
        ...

    async def list_runs(
        self, project: str, wanted: RunFilter, order: RunOrder, *, before: tuple[object, object] | None, limit: int
    ) -> list[RunRow]:
        """Runs of a project that are wanted, in an order, after the one of ``before`` (its place, its uid)."""
        ...

    async def projects(self) -> dict[str, RunCounts]:
        """Every project that has runs, by name, with how many."""
        ...

    async def apply(self, change: Change) -> None:
        """Keep all of ``change`` or nothing. Raises RunMovedError, StoreBusyError, StoreFailedError."""
        ...

    async def mark_finding(
        self, key: tuple[str, str, str], column: str, value: float | None, event: NewEvent, run: str
    ) -> None:
        """Set ``acknowledged_at`` or ``muted_until`` of the finding (project, uid, id)."""
        ...

    async def delete_run(self, run: RunRow, at: float, event: NewEvent) -> None:
        """Remove a run with all it has; its writers are remembered."""
        ...

    async def record_page(self, project: str, uid: str, first_seq: int, max_points: int) -> list[RecordRow]:
        """Rows of a record from the one that holds ``first_seq`` on, until about ``max_points`` points."""
        ...

    async def standing_page(
        self, project: str, uid: str, cuts: Cuts, first_seq: int, max_points: int
    ) -> list[RecordRow]:
        """The same without rows that are superseded whole."""
        ...

    async def record_at(
        self, project: str, uid: str, steps: Sequence[int], first_seq: int, max_points: int
    ) -> list[RecordRow]:
        """The same without rows that say nothing about any of these steps (ascending)."""
        ...

    async def last_main_step(self, project: str, uid: str, before: int) -> int | None:
        """The step of the last point of rank 0 that was new when it came, before a place in the record."""
        ...

    async def rank_tails(self, project: str, uid: str, attempts: Sequence[Attempt]) -> Mapping[int, int]:
        """The last step of each rank other than 0."""
        ...

    async def column_names(self, project: str, uid: str) -> set[str]:
        """The names of all columns that a table of the run has: series, ``layers.NAME``, ``metrics.NAME``."""
        ...

    async def next_window(
        self, project: str, uid: str, sources: Sequence[Source], low: int, high: int, points: int
    ) -> Window | None:
        """The next entries of the sources by step, from ``low`` to at most ``high``: about so many points."""
        ...

    async def count_between(self, project: str, uid: str, low: int, high: int) -> int:
        """About how many points there are at these steps."""
        ...

    async def outline(
        self, project: str, uid: str, attempts: Sequence[Attempt], low: int, high: int, stretches: int
    ) -> list[Entry]:
        """Entries between two steps that a picture of about so many stretches needs."""
        ...

    async def snapshot_marks(self, project: str, uid: str) -> Sequence[tuple[int, int, int]]:
        """(seq, step, detection_version) of a run's snapshots, oldest first."""
        ...

    async def keep_snapshot(self, run: StoredRun, snapshot: Snapshot) -> bool:
        """Add a snapshot to a run that is as it was read; whether it is."""
        ...

    async def snapshot(self, project: str, uid: str, seq: int) -> Snapshot | None:
        """One snapshot."""
        ...

    async def findings(self, project: str, uid: str) -> list[StoredFinding]:
        """Every finding of a run, in the order in which they opened."""
        ...

    async def project_findings(
        self, project: str, wanted: FindingFilter, before: tuple[object, object, object] | None, limit: int
    ) -> tuple[list[RunFinding], tuple[object, object, object] | None]:
        """At most ``limit`` findings of all runs of a project, the one that opened last first, and the place
        (opened_at, uid, id) of the last of them where there are more."""
        ...

    async def events(self, project: str | None, after: int, uid: str | None, limit: int) -> list[StoredEvent]:
        """Events with a greater id, oldest first."""
        ...

    async def newest_event(self) -> int:
        """The id of the last event that was ever written; 0 before the first."""
        ...

    async def seal(self, project: str, uid: str) -> None:
        """Compress the run's small rows and sum up what is settled, beside the event loop. Changes no answer."""
        ...

    async def summarise(self, project: str, uid: str) -> None:
        """Sum up what is settled of the run's record. Changes no answer, but what it costs."""
        ...

    async def heard_since(self, project: str, uid: str | None, since: float) -> list[RunRow]:
        """The run of this uid, or (None) those under way in the project that were heard of since."""
        ...

    async def leads(self, work: str, seconds: float) -> bool:
        """See ``transactions.Transactions``."""
        ...

    async def runs_to_seal(self) -> list[tuple[str, str]]:
        """(project, uid) of the runs that a stop, or a failure, left with many small rows."""
        ...
