"""The findings of all runs of a project, as their runs' reports have them now."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from losswatch_server.monitor.findings import Finding
from losswatch_server.runs.answers import Report, RunNotFoundError
from losswatch_server.runs.page_cursors import read_opening, write_opening
from losswatch_server.store import Store
from losswatch_server.store.errors import StoreError
from losswatch_server.store.rows import FindingFilter, RunFinding

logger = logging.getLogger(__name__)


async def project_findings(
    store: Store,
    report: Callable[[str, str], Awaitable[Report]],
    project: str,
    wanted: FindingFilter,
    cursor: str | None,
    limit: int,
) -> tuple[list[RunFinding], str | None]:
    """A page of them, the one that opened last first, and the cursor of the next page.

    The store keeps a finding as it was when it opened, worsened or closed; what has moved since (its evidence, its
    causes) comes from ``report``, for open ones. Raises ValueError for a cursor that this function did not give.
    """
    before = None if cursor is None else read_opening(cursor)
    page, following = await store.project_findings(project, wanted, before, limit)
    now: dict[str, Mapping[str, Finding]] = {}
    for run in dict.fromkeys(found.run for found in page if found.stored.finding.is_open):
        try:
            now[run] = {finding.id: finding for finding in (await report(project, run)).assessment.findings}
        except RunNotFoundError:  # deleted meanwhile
            continue
        except StoreError:
            raise
        except Exception:  # what is wrong with one run costs the list nothing: its findings are as they were stored
            logger.exception("the report of run %s of project %s cannot be made", run, project)
    return [_as_reported(found, now.get(found.run, {})) for found in page], following and write_opening(following)


def _as_reported(found: RunFinding, now: Mapping[str, Finding]) -> RunFinding:
    stored = found.stored
    return found._replace(stored=replace(stored, finding=now.get(stored.finding.id, stored.finding)))
