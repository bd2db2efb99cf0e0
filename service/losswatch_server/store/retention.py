"""What is kept for how long: the policy of each project, the runs that it is about, and the removal of what it is not.

Plain SQL throughout, the same for every database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from losswatch_server.codec import damage
from losswatch_server.monitor.entries import Attempt
from losswatch_server.store.cells import given, moment, whole
from losswatch_server.store.changes import RECORD, RUN_TABLES
from losswatch_server.store.connection import DatabaseConnection
from losswatch_server.store.errors import RunMovedError
from losswatch_server.store.record_rows import Key, to_database
from losswatch_server.store.rows import RecordRow
from losswatch_server.store.transactions import Transactions

THIN_TO_POINTS = 2000
"""Points that a thinned run keeps about, besides those near its findings: more than a chart has room for."""


class Policy(NamedTuple):
    """What of a project is kept; None: without a limit."""

    thin_after_days: float | None = None
    """Runs that ended so long ago keep about ``thin_to_points`` points."""
    thin_to_points: int = THIN_TO_POINTS
    delete_after_days: float | None = None
    """Runs of which nothing was heard for so long are deleted."""
    max_mib: float | None = None
    """Where the points of the project take more, ended runs are thinned and then deleted, the oldest first."""

    @property
    def keeps_everything(self) -> bool:
        """Whether there is nothing to do."""
        return self.thin_after_days is None and self.delete_after_days is None and self.max_mib is None


class OldRun(NamedTuple):
    """A run that a policy is about."""

    name: str
    uid: str
    is_thinned: bool


class ThinnedRecord(NamedTuple):
    """The record of an ended run with fewer entries, numbered anew; its place in the database is that of ``entries``
    entries before. ``snapshot`` is the number of the one that is kept, before and now."""

    key: Key
    at: float
    entries: int
    rows: Sequence[RecordRow]
    attempts: Sequence[Attempt]
    snapshot: tuple[int, int] | None

    @property
    def left(self) -> int:
        """How many entries there are now."""
        return sum(row.n for row in self.rows)


_ENDED = "state IN ('finished', 'failed', 'cancelled')"
_IS_THINNED = (
    "EXISTS (SELECT 1 FROM thinned t WHERE t.project = run.project AND t.uid = run.uid AND t.at >= run.finished_at)"
)
_HEARD = "EXISTS (SELECT 1 FROM record r WHERE r.project = run.project AND r.uid = run.uid AND r.received_ms >= ?)"
_POLICY = "thin_after_days, thin_to_points, delete_after_days, max_mib"


def policies(connection: DatabaseConnection) -> dict[str, Policy]:
    """Those of all projects that have one of their own. A damaged one keeps everything."""
    found: dict[str, Policy] = {}
    for project, *cells in connection.execute(f"SELECT project, {_POLICY} FROM retention"):
        if type(project) is not str:
            continue
        try:
            thin, points, delete, most = cells
            found[project] = Policy(given(moment, thin), whole(points, 1), given(moment, delete), given(moment, most))
        except ValueError as error:
            damage.note("retention", (project,), error)
            found[project] = Policy()
    return found


def put_policy(connection: DatabaseConnection, project: str, policy: Policy | None) -> None:
    """Give a project a policy of its own, or (None) that of the service."""
    connection.execute("DELETE FROM retention WHERE project = ?", (project,))
    if policy is not None:
        connection.execute(f"INSERT INTO retention (project, {_POLICY}) VALUES (?, ?, ?, ?, ?)", (project, *policy))


def unheard(connection: DatabaseConnection, project: str, before: float, limit: int) -> list[OldRun]:
    """Runs of which nothing was heard since, whatever their state, the oldest first. What the record says of its last
    request counts too: one damaged cell of a run must not delete it."""
    return _old_runs(
        connection,
        f"last_seen_at < ? AND created_at < ? AND NOT {_HEARD}",
        (project, before, before, before * 1000),
        limit,
    )


def to_thin(connection: DatabaseConnection, project: str, before: float, at_least: int, limit: int) -> list[OldRun]:
    """Runs that ended before, have at least so many entries, and were not thinned since, the oldest first."""
    return _old_runs(
        connection,
        f"{_ENDED} AND finished_at < ? AND next_seq >= ? AND NOT {_IS_THINNED}",
        (project, before, at_least),
        limit,
    )


def ended(connection: DatabaseConnection, project: str) -> list[OldRun]:
    """All runs that are over, the oldest first."""
    return _old_runs(connection, _ENDED, (project,), 1 << 30)


def _old_runs(connection: DatabaseConnection, where: str, values: Sequence[object], limit: int) -> list[OldRun]:
    query = (
        f"SELECT name, uid, CASE WHEN {_IS_THINNED} THEN 1 ELSE 0 END FROM run WHERE project = ? AND {where} "
        "ORDER BY last_seen_at, uid LIMIT ?"
    )
    found = connection.execute(query, (*values, limit))
    return [OldRun(name, uid, bool(thin)) for name, uid, thin in found if type(name) is str and type(uid) is str]


def sizes(connection: DatabaseConnection, project: str) -> Mapping[str, int]:
    """How many bytes the points and snapshots of each run take, by uid."""
    found: dict[str, int] = {}
    for table in ("record", "snapshot", "summary"):
        query = f"SELECT uid, sum(length(body)) FROM {table} WHERE project = ? GROUP BY uid"
        for uid, size in connection.execute(query, (project,)):
            found[uid] = found.get(uid, 0) + int(size or 0)
    return found


def replace_record(connection: DatabaseConnection, thinned: ThinnedRecord) -> None:
    """Put the thinned record in the place of the whole one. Raises RunMovedError where the run has gone on."""
    key = thinned.key
    moved = connection.execute(
        f"UPDATE run SET next_seq = ?, unsealed = 0, revision = revision + 1 "
        f"WHERE project = ? AND uid = ? AND next_seq = ? AND {_ENDED}",
        (thinned.left, *key, thinned.entries),
    )
    if moved.rowcount != 1:
        raise RunMovedError("The run went on while it was thinned.")
    for table in ("record", "attempt", "summary", "rank_tail", "series_name"):
        connection.execute(f"DELETE FROM {table} WHERE project = ? AND uid = ?", key)
    connection.executemany(RECORD, [(*key, *to_database(row)) for row in thinned.rows])
    connection.executemany(
        "INSERT INTO attempt (project, uid, number, step, seq) VALUES (?, ?, ?, ?, ?)",
        [(*key, *attempt) for attempt in thinned.attempts],
    )
    before, now = thinned.snapshot or (-1, -1)
    connection.execute("DELETE FROM snapshot WHERE project = ? AND uid = ? AND seq <> ?", (*key, before))
    connection.execute("UPDATE snapshot SET seq = ? WHERE project = ? AND uid = ? AND seq = ?", (now, *key, before))
    mark_thinned(connection, key, thinned.at, thinned.entries)


def mark_thinned(connection: DatabaseConnection, key: Key, at: float, entries: int) -> None:
    """The run need not be looked at again, unless it goes on: it had so many entries before."""
    connection.execute("DELETE FROM thinned WHERE project = ? AND uid = ?", key)
    connection.execute("INSERT INTO thinned (project, uid, at, entries) VALUES (?, ?, ?, ?)", (*key, at, entries))


_OF_A_PROJECT = ("run_name", "concern", "target_group", "delivery", "target", "silence", "retention", "points_of_day")


def erase(connection: DatabaseConnection, project: str, at: float) -> None:
    """Remove everything that there is of a project, and end its keys.

    Two things stay, without a name of anything: that these keys are over (a service that once asked for keys goes on
    asking), and the numbers of the processes that posted, so that one that still runs does not begin the project anew.
    """
    remembered = connection.execute("SELECT uid, writer FROM writer WHERE project = ?", (project,)).fetchall()
    gone = connection.execute("SELECT uid, writer, gone_at FROM gone_writer WHERE project = ?", (project,)).fetchall()
    connection.execute("DELETE FROM gone_writer WHERE project = ?", (project,))
    nameless: dict[Any, tuple[Any, Any]] = {writer: (uid, when) for uid, writer, when in gone}
    nameless |= {writer: (uid, at) for uid, writer in remembered}
    connection.executemany(
        "INSERT INTO gone_writer (project, uid, name, writer, gone_at) VALUES (?, ?, '', ?, ?)",
        [(project, uid, writer, when) for writer, (uid, when) in nameless.items()],
    )
    for statement in connection.dialect.begin_erasing:
        connection.execute(statement)
    for table in (*RUN_TABLES, *_OF_A_PROJECT):
        connection.execute(f"DELETE FROM {table} WHERE project = ?", (project,))
    for statement in connection.dialect.end_erasing:
        connection.execute(statement)
    connection.execute(
        "UPDATE api_key SET revoked_at = coalesce(revoked_at, ?), name = '' WHERE project = ?", (at, project)
    )


class Erasable(Transactions, Protocol):
    """A store of which nothing is left that was deleted."""

    async def empty_log(self) -> None:
        """Leave nothing that was deleted in the log."""
        ...


class StoredRetention:
    """The above for a running service, each with its errors of the store."""

    def __init__(self, database: Erasable) -> None:
        self._database = database

    async def policies(self) -> Mapping[str, Policy]:
        """Of the projects that have one of their own."""
        return await self._database.read(policies)

    async def put_policy(self, project: str, policy: Policy | None) -> None:
        """Give a project a policy of its own, or (None) that of the service."""
        await self._database.write(partial(put_policy, project=project, policy=policy))

    async def unheard(self, project: str, before: float, limit: int) -> Sequence[OldRun]:
        """Runs of which nothing was heard since."""
        return await self._database.read(partial(unheard, project=project, before=before, limit=limit))

    async def to_thin(self, project: str, before: float, at_least: int, limit: int) -> Sequence[OldRun]:
        """Runs that ended before and have at least so many entries."""
        asked = partial(to_thin, project=project, before=before, at_least=at_least, limit=limit)
        return await self._database.read(asked)

    async def ended(self, project: str) -> Sequence[OldRun]:
        """All runs that are over."""
        return await self._database.read(partial(ended, project=project))

    async def sizes(self, project: str) -> Mapping[str, int]:
        """How many bytes each run takes."""
        return await self._database.read(partial(sizes, project=project))

    async def replace_record(self, thinned: ThinnedRecord) -> None:
        """Put a thinned record in the place of the whole one."""
        await self._database.write(partial(replace_record, thinned=thinned))

    async def mark_thinned(self, key: Key, at: float, entries: int) -> None:
        """The run need not be looked at again."""
        await self._database.write(partial(mark_thinned, key=key, at=at, entries=entries))

    async def erase(self, project: str, at: float) -> None:
        """Remove everything that there is of a project."""
        await self._database.write(partial(erase, project=project, at=at))
        await self._database.empty_log()
