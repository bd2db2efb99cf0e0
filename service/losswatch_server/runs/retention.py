"""Retention: what the policies of the projects ask for is done in the background, a run at a time."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from losswatch_server.runs.answers import RunNotFoundError
from losswatch_server.runs.service import Runs
from losswatch_server.runs.thinning import CannotThinError, thin
from losswatch_server.store import Store
from losswatch_server.store.errors import RunMovedError
from losswatch_server.store.retention import OldRun, Policy, StoredRetention
from losswatch_server.store.rows import RunFilter, RunOrder

_log = logging.getLogger("losswatch.retention")

EVERY_S = 3600.0
FIRST_AFTER_S = 600.0
"""From the start to the first look: a machine whose clock was wrong has it corrected by then."""
AT_ONCE = 50
"""Runs of a project that are looked at before the next project has its turn."""
SOON_S = 1.0
JUMP_S = 86_400.0
"""The clock of the wall must not have gone so much further than time did: nothing is deleted because it jumped."""
WORTH_S = 3.0
"""How many times the points that are to be left a run must have, before it is thinned."""
DAY_S = 86_400.0
MIB = 1 << 20


class Retention:
    """Thins and deletes what the policies say; ``otherwise`` is that of the projects without one of their own."""

    def __init__(
        self,
        runs: Runs,
        store: Store,
        stored: StoredRetention,
        otherwise: Policy,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._store = store
        self._stored = stored
        self._otherwise = otherwise
        self._clock = clock
        self._monotonic = monotonic
        self._anchor = clock(), monotonic()
        self._looked = False
        self.counts: Counter[str] = Counter()
        """How many runs were ``thinned`` and ``deleted`` since the start."""

    async def policy(self, project: str) -> tuple[Policy, bool]:
        """What holds for a project, and whether it is its own."""
        own = (await self._stored.policies()).get(project)
        return (self._otherwise, False) if own is None else (own, True)

    async def put_policy(self, project: str, policy: Policy | None) -> None:
        """Give a project a policy of its own, or (None) that of the service."""
        await self._stored.put_policy(project, policy)

    async def look(self) -> float:
        """One pass over all projects; the seconds until the next."""
        if not self._looked:
            self._looked = True
            return FIRST_AFTER_S
        if self._clock_jumped():
            return EVERY_S
        policies = await self._stored.policies()
        more = False
        for project in await self._runs.projects():
            policy = policies.get(project, self._otherwise)
            if not policy.keeps_everything:
                more |= await self.apply(project, policy)
        return SOON_S if more else EVERY_S

    async def apply(self, project: str, policy: Policy) -> bool:
        """Do what a policy says of one project; whether there is more to do than was done at once."""
        now = self._clock()
        more = False
        if policy.delete_after_days is not None:
            before = now - policy.delete_after_days * DAY_S
            old = await self._stored.unheard(project, before, AT_ONCE)
            deleted = [await self._delete(project, run, before) for run in old]
            more |= len(old) == AT_ONCE and any(deleted)
        if policy.thin_after_days is not None:
            before = now - policy.thin_after_days * DAY_S
            at_least = int(WORTH_S * policy.thin_to_points)
            many = await self._stored.to_thin(project, before, at_least, AT_ONCE)
            for run in many:
                await self._thin(project, run, policy.thin_to_points)
            more |= len(many) == AT_ONCE
        if policy.max_mib is not None:
            await self._shrink(project, policy, now)
        return more

    async def erase(self, project: str) -> int:
        """Remove a project with everything that there is of it, and end its keys; how many runs it had."""
        count = 0
        while rows := (await self._runs.list(project, RunFilter(), order=RunOrder.CREATED, limit=AT_ONCE))[0]:
            for row in rows:
                with suppress(RunNotFoundError):
                    await self._runs.delete(project, row.name)
                count += 1
        await self._stored.erase(project, self._clock())
        return count

    async def _shrink(self, project: str, policy: Policy, now: float) -> None:
        assert policy.max_mib is not None
        most = policy.max_mib * MIB
        total = sum((await self._stored.sizes(project)).values())
        if total <= most:
            return
        for run in await self._stored.ended(project):
            if total <= most:
                return
            if not run.is_thinned and await self._thin(project, run, policy.thin_to_points):
                total = sum((await self._stored.sizes(project)).values())
        for run in await self._stored.ended(project):
            if total <= most:
                return
            size = (await self._stored.sizes(project)).get(run.uid, 0)
            if await self._delete(project, run, now):
                total -= size
        _log.warning("project %s takes %.0f MiB of %.0f: what is left is running", project, total / MIB, policy.max_mib)

    async def _thin(self, project: str, run: OldRun, to_points: int) -> bool:
        with suppress(RunMovedError, RunNotFoundError):
            findings = [one.finding for one in await self._runs.findings(project, run.name)]
            async with self._runs.alone(project, run.name) as stored:
                key, now = (project, stored.row.uid), self._clock()
                try:
                    thinned = await thin(self._store, stored, findings, to_points, now)
                except CannotThinError as error:
                    _log.info("run %s of project %s is not thinned: %s", run.name, project, error)
                    thinned = None
                if thinned is None:
                    await self._stored.mark_thinned(key, now, stored.next_seq)
                    return False
                await self._stored.replace_record(thinned)
            await self._store.summarise(*key)
            self.counts["thinned"] += 1
            _log.info(
                "run %s of project %s was thinned from %d to %d entries",
                run.name,
                project,
                thinned.entries,
                thinned.left,
            )
            return True
        return False

    async def _delete(self, project: str, run: OldRun, before: float) -> bool:
        with suppress(RunNotFoundError):
            if await self._runs.delete(project, run.name, unheard_since=before):
                self.counts["deleted"] += 1
                _log.info(
                    "run %s of project %s was deleted: it was over, or nothing was heard of it", run.name, project
                )
                return True
        return False

    def _clock_jumped(self) -> bool:
        wall, real = self._clock(), self._monotonic()
        jump = (wall - self._anchor[0]) - (real - self._anchor[1])
        self._anchor = wall, real
        if abs(jump) < JUMP_S:
            return False
        _log.warning("the clock jumped by %.1f days: nothing is thinned or deleted in this pass", jump / DAY_S)
        return True
