"""Assessments as JSON, rounded for people, or exact: how a finished run was judged stays as it was, whatever later
versions would say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from losswatch_server.codec.damage import MISSHAPEN, DamagedCellError
from losswatch_server.codec.encoding import rounded
from losswatch_server.codec.findings import finding_from_fields, finding_json, suspicion_json
from losswatch_server.monitor.forecast import Forecast
from losswatch_server.monitor.report import Assessment
from losswatch_server.monitor.vocabulary import LoopAction, Status


def assessment_json(assessment: Assessment, *, exact: bool = False) -> dict[str, Any]:
    """A report on points that belong to no stored run: what ``diagnose`` answers. ``exact``: see ``finding_json``."""
    return {
        "attempt": assessment.attempt,
        "step": assessment.step,
        "points": assessment.points,
        **verdict_json(assessment, exact=exact),
    }


def verdict_json(
    assessment: Assessment,
    *,
    exact: bool = False,
    findings: Sequence[msgspec.Raw] | None = None,
    told_forecast: msgspec.Raw | None = None,
) -> dict[str, Any]:
    """``status``, ``action``, ``headline``, ``findings``, ``suspicions``, ``forecast``, ``notes``. What is stored is of
    watched runs, which have no suspicions: the exact form leaves them out. ``findings`` and ``told_forecast``: encoded
    already."""
    told = [finding_json(finding, exact=exact) for finding in assessment.findings] if findings is None else findings
    forecast = assessment.forecast
    return {
        "status": assessment.status.value,
        "action": assessment.action.value,
        "headline": assessment.headline,
        "findings": told,
        **({} if exact else {"suspicions": [suspicion_json(suspicion) for suspicion in assessment.suspicions]}),
        "forecast": [forecast.floor, forecast.interval, forecast.steps_to_floor]
        if exact
        else told_forecast or forecast_json(forecast),
        "notes": list(assessment.notes),
    }


def assessment_to_bytes(assessment: Assessment) -> bytes:
    """Every number exactly, in Python's dialect of JSON (bare NaN and Infinity)."""
    return json.dumps(assessment_json(assessment, exact=True), separators=(",", ":")).encode()


def assessment_from_bytes(data: bytes) -> Assessment:
    """The inverse of ``assessment_to_bytes``. Raises DamagedCellError for bytes that it did not write."""
    try:
        return _assessment(json.loads(data))
    except MISSHAPEN as error:
        raise DamagedCellError(f"not an assessment: {error}") from error


def forecast_json(forecast: Forecast) -> dict[str, Any]:
    """The contract's forecast."""
    return {
        "floor": rounded(forecast.floor),
        "interval": rounded(forecast.interval),
        "steps_to_floor": rounded(forecast.steps_to_floor),
    }


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
