"""Writing what the clock says of a run: that it fell silent, and that nobody waits for it any more.

Each looks at the run again under its lock: what the watch decided on may have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs.finding_changes import FindingChanges
from losswatch_server.runs.live_run import LiveRun
from losswatch_server.runs.liveness.findings import lapsed, silence
from losswatch_server.runs.recording import Draft, Recorder
from losswatch_server.runs.run_cache import RunCache
from losswatch_server.store import RunMovedError
from losswatch_server.store.rows import RunRow


async def mark_silent(
    cache: RunCache, recorder: Recorder, key: tuple[str, str], at: float, last_seen: float, heard_at: float | None
) -> RunRow | None:
    """The run stopped reporting; see ``Runs.mark_silent``. The run as it stands then, None where nothing changed."""
    try:
        async with _held(cache, key, RunState.RUNNING) as live:
            if live is None or live.row.last_seen_at != last_seen or (live.row.paused_until or 0) > at:
                return None
            draft = Draft(at, FindingChanges(live.findings), event_kinds=["run.silent"])
            draft.finding_changes.forward([silence(live.row, live.findings.values(), at, heard_at or last_seen)])
            live.row = live.row._replace(state=RunState.SILENT)
            live.report = None
            await recorder.commit(live, draft)
            return live.row
    except RunMovedError:  # another service heard of it meanwhile: the next look decides
        return None


async def give_up(cache: RunCache, recorder: Recorder, key: tuple[str, str], at: float) -> RunRow | None:
    """Nobody waits for the silent run any more; see ``Runs.give_up``. The run as it stands then; None as above."""
    try:
        async with _held(cache, key, RunState.SILENT) as live:
            if live is None:
                return None
            draft = Draft(at, FindingChanges(live.findings))
            draft.finding_changes.forward(lapsed(live.findings.values()))
            live.report = None
            await recorder.commit(live, draft)
            return live.row
    except RunMovedError:  # another service heard of it meanwhile: the next look decides
        return None


@asynccontextmanager
async def _held(cache: RunCache, key: tuple[str, str], state: RunState) -> AsyncIterator[LiveRun | None]:
    """The run with this project and uid, locked; None where it is gone, has another uid now, or is in another state."""
    project, uid = key
    row = await cache.store.run_of(project, uid)
    if row is None:
        yield None
        return
    async with cache.lock(project, row.name) as cached:
        live = await cache.load(cached, project, row.name)
        fits = live is not None and live.row.uid == uid and live.row.state is state
        yield live if fits else None
