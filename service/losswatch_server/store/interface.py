"""What the use cases need of a store; SQLite gives it now, PostgreSQL can join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from losswatch_server.store.rows import (
    Change,
    NewEvent,
    RecordRow,
    RunRow,
    Snapshot,
    StoredEvent,
    StoredFinding,
    StoredRun,
)


class Store(Protocol):
    """Keeps runs. A method that writes returns when what it wrote survives a power loss."""

    async def check(self) -> None:
        """Whether a write would be kept now. Raises the StoreError of which it would die."""
        ...

    async def find_run(self, project: str, name: str) -> StoredRun | None:
        """The run that has this name now."""
        ...

    async def run_of(self, project: str, uid: str) -> RunRow | None:
        """The run of this uid."""
        ...

    async def is_gone(self, project: str, name: str, writer: str) -> bool:
        """Whether this writer posted to a deleted run of this name."""
        ...

    async def list_runs(
        self,
        project: str,
        *,
        status: str | None,
        state: str | None,
        tag: tuple[str, str | None] | None,
        group: str | None,
        text: str | None,
        before: tuple[float, str] | None,
        limit: int,
    ) -> list[RunRow]:
        """Runs of a project, newest first, after the one of ``before`` (created_at, uid)."""
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

    async def record_back_to(self, project: str, uid: str, wanted: Mapping[int, int]) -> list[RecordRow]:
        """The end of a record that holds all that is said about the ``wanted`` steps (by rank) and later ones."""
        ...

    async def record_range(self, project: str, uid: str, first_step: int, last_step: int) -> list[RecordRow]:
        """Rows of a record with points at these steps, in order; some have others too."""
        ...

    async def snapshot_marks(self, project: str, uid: str) -> Sequence[tuple[int, int, int]]:
        """(seq, step, detection_version) of a run's snapshots, oldest first."""
        ...

    async def snapshot(self, project: str, uid: str, seq: int) -> Snapshot | None:
        """One snapshot."""
        ...

    async def findings(self, project: str, uid: str) -> list[StoredFinding]:
        """Every finding of a run, in the order in which they opened."""
        ...

    async def events(self, project: str | None, after: int, uid: str | None, limit: int) -> list[StoredEvent]:
        """Events with a greater id, oldest first."""
        ...

    async def seal(self, project: str, uid: str) -> None:
        """Compress the run's small rows. Changes no answer."""
        ...

    async def runs_to_seal(self) -> list[tuple[str, str]]:
        """(project, uid) of the runs that have many small rows."""
        ...
