"""What the pictures of a run need of the use cases, and a tag that changes when a picture may."""

from __future__ import annotations

import hashlib
from typing import Protocol

from losswatch_server.pictures.chart import RunPicture
from losswatch_server.pictures.of_run import RESOLUTION, run_picture
from losswatch_server.runs.answers import Report, StoredPoint


class RunReader(Protocol):
    """``Runs`` is one. Both raise RunNotFoundError."""

    async def report(self, project: str, name: str) -> Report:
        """The latest report."""
        ...

    async def points(
        self, project: str, name: str, *, resolution: int | None = None
    ) -> tuple[list[StoredPoint], str | None]:
        """With ``resolution`` about so many points, from summaries where the run is long."""
        ...


async def picture_of(runs: RunReader, project: str, name: str, report: Report | None = None) -> RunPicture:
    """What the chart of a run shows now; of ``report`` where that is known already."""
    said = await runs.report(project, name) if report is None else report
    points, _ = await runs.points(project, name, resolution=RESOLUTION)
    return run_picture(said, points)


def tag_of(report: Report, kind: str) -> str:
    """The same as long as a picture of this kind (``chart.svg``) shows the same, without drawing it."""
    row, said = report.run, report.assessment
    findings = [(f.id, f.severity, f.opened_step, f.last_step, f.resolved_step, f.closed_by) for f in said.findings]
    shown = (FORMAT, kind, row.uid, row.version, row.last_seen_at, row.state, row.error, said.status, said.headline)
    return hashlib.blake2b(repr((shown, findings)).encode("utf-8", "replace"), digest_size=12).hexdigest()


FORMAT = 1
"""To be raised when pictures look different, so that no cache shows the old ones."""
