"""An assessment as bytes: how a finished run was judged stays as it was, whatever later versions would say."""

from __future__ import annotations

import json
from typing import Any

from losswatch_server.monitor.forecast import Forecast
from losswatch_server.monitor.report import Assessment
from losswatch_server.monitor.vocabulary import LoopAction, Status
from losswatch_server.store import damage
from losswatch_server.store.documents import finding_fields, finding_from_fields


def to_bytes(assessment: Assessment) -> bytes:
    """Every number exactly."""
    forecast = assessment.forecast
    return json.dumps(
        {
            "status": assessment.status,
            "action": assessment.action,
            "headline": assessment.headline,
            "findings": [finding_fields(finding) for finding in assessment.findings],
            "forecast": [forecast.floor, forecast.interval, forecast.steps_to_floor],
            "notes": assessment.notes,
            "attempt": assessment.attempt,
            "step": assessment.step,
            "points": assessment.points,
        },
        separators=(",", ":"),
    ).encode()


def from_bytes(data: bytes) -> Assessment:
    """The inverse of ``to_bytes``. Raises ValueError for bytes that it did not write."""
    try:
        return _assessment(json.loads(data))
    except damage.MISSHAPEN as error:
        raise ValueError(f"not an assessment: {error}") from error


def _assessment(fields: Any) -> Assessment:
    floor, interval, steps = fields["forecast"]
    return Assessment(
        status=Status(fields["status"]),
        action=LoopAction(fields["action"]),
        headline=fields["headline"],
        findings=tuple(finding_from_fields(finding) for finding in fields["findings"]),
        forecast=Forecast(
            floor=floor, interval=None if interval is None else (interval[0], interval[1]), steps_to_floor=steps
        ),
        notes=tuple(fields["notes"]),
        attempt=fields["attempt"],
        step=fields["step"],
        points=fields["points"],
    )
