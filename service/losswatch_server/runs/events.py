"""Events for the outbox: what happened, with the run and the finding as they were when it did."""

from __future__ import annotations

from losswatch_server.codec import dumps, finding_json, run_json
from losswatch_server.monitor.findings import Finding
from losswatch_server.store.rows import NewEvent, RunRow


def event(kind: str, at: float, row: RunRow, finding: Finding | None = None) -> NewEvent:
    """``finding`` has its causes and advice already; the body is strict JSON."""
    told = {} if finding is None else {"finding": finding_json(finding)}
    body = {"run": run_json(row), **told, "headline": row.headline, "status": str(row.status)}
    return NewEvent(kind, at, None if finding is None else finding.id, dumps(body))
