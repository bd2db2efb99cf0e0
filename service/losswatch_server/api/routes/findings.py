"""The history of a run's findings; acknowledging and muting one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import FindingId, Project, RunName, answer, body, refusals, schema_of
from losswatch_server.api.http.access import UseCases, json_answer, read_model
from losswatch_server.api.http.problems import (
    FINDING_NOT_FOUND,
    INVALID_BODY,
    MALFORMED_BODY,
    RUN_NOT_FOUND,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
)
from losswatch_server.codec import finding_json, timestamp
from losswatch_server.store.rows import StoredFinding

router = APIRouter(tags=["findings"])


@router.get(
    "/v1/runs/{run}/findings",
    operation_id="list_findings",
    summary="List the findings of a run",
    description="Open and closed ones of every attempt, in the order in which they opened.",
    responses={**answer(200, schemas.Findings, "The findings.", examples.FINDINGS), **refusals(RUN_NOT_FOUND)},
)
async def list_findings(run: RunName, runs: UseCases, project: Project = "default") -> Response:
    return json_answer({"findings": [stored_finding_json(stored) for stored in await runs.findings(project, run)]})


@router.get(
    "/v1/runs/{run}/findings/{id}",
    operation_id="get_finding",
    summary="Read a finding",
    responses={
        **answer(200, schemas.StoredFinding, "The finding.", examples.STORED_FINDING),
        **refusals(RUN_NOT_FOUND, FINDING_NOT_FOUND),
    },
)
async def get_finding(run: RunName, finding: FindingId, runs: UseCases, project: Project = "default") -> Response:
    return json_answer(stored_finding_json(await runs.finding(project, run, finding)))


@router.post(
    "/v1/runs/{run}/findings/{id}/acknowledge",
    operation_id="acknowledge_finding",
    summary="Acknowledge a finding",
    description="Stop repeating notifications for it, because somebody is dealing with it. Idempotent.",
    responses={
        **answer(200, schemas.StoredFinding, "Acknowledged.", examples.STORED_FINDING),
        **refusals(RUN_NOT_FOUND, FINDING_NOT_FOUND),
    },
)
async def acknowledge_finding(
    run: RunName, finding: FindingId, runs: UseCases, project: Project = "default"
) -> Response:
    return json_answer(stored_finding_json(await runs.acknowledge(project, run, finding)))


@router.post(
    "/v1/runs/{run}/findings/{id}/mute",
    operation_id="mute_finding",
    summary="Mute a finding",
    description="Suppress notifications for `seconds`, or indefinitely; 0 ends the mute.",
    responses={
        **answer(200, schemas.StoredFinding, "Muted.", examples.STORED_FINDING),
        **refusals(RUN_NOT_FOUND, FINDING_NOT_FOUND, MALFORMED_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_BODY),
    },
    openapi_extra=body(schema_of(schemas.Mute), ("an hour", {"seconds": 3600}), ("indefinitely", {}), required=False),
)
async def mute_finding(
    request: Request, run: RunName, finding: FindingId, runs: UseCases, project: Project = "default"
) -> Response:
    mute = await read_model(request, schemas.Mute, empty=True)
    return json_answer(stored_finding_json(await runs.mute(project, run, finding, mute.seconds)))


def stored_finding_json(stored: StoredFinding) -> dict[str, Any]:
    """A finding with its times, and what people have done about it."""
    return {
        **finding_json(stored.finding),
        "opened_at": timestamp(stored.opened_at),
        "closed_at": timestamp(stored.closed_at),
        "acknowledged_at": timestamp(stored.acknowledged_at),
        "muted_until": timestamp(stored.muted_until),
    }
