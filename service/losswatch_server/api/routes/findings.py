"""Findings of a run and of all runs of a project; acknowledging and muting one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from losswatch_server.api.description import examples
from losswatch_server.api.description import finding_schemas as schemas
from losswatch_server.api.description.describe import FindingId, Project, RunName, answer, body, refusals, schema_of
from losswatch_server.api.http.access import UseCases, json_answer, read_model
from losswatch_server.api.http.paging import LINK, MOST, Cursor, Limit, bad_cursor, link, page_of
from losswatch_server.api.http.problems import (
    FINDING_NOT_FOUND,
    INVALID_BODY,
    MALFORMED_BODY,
    RUN_NOT_FOUND,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
)
from losswatch_server.codec import finding_json, timestamp
from losswatch_server.monitor.vocabulary import Condition, Severity
from losswatch_server.store.rows import FindingFilter, StoredFinding

router = APIRouter(tags=["findings"])


MOST_RUNS = 100
"""Findings on a page of all runs': each may be of a run that has to be read and judged first."""


@router.get(
    "/v1/findings",
    operation_id="list_project_findings",
    summary="List the findings of all runs",
    description=(
        "Of all runs of a project, the one that opened last first: with `state=open`, what is wrong now. The findings "
        "are the same as in the runs' own lists."
    ),
    responses={
        200: {
            **answer(200, schemas.ProjectFindings, "A page of findings.", examples.PROJECT_FINDINGS)[200],
            "headers": LINK,
        },
        **refusals(),
    },
)
async def list_project_findings(
    request: Request,
    runs: UseCases,
    project: Project = "default",
    state: Annotated[Literal["open", "closed"] | None, Query(description="Only open, or only closed ones.")] = None,
    severity: Annotated[Severity | None, Query(description="Only findings of this severity.")] = None,
    condition: Annotated[Condition | None, Query(description="Only findings of this condition.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(description="How many on a page.", ge=1, le=MOST_RUNS)] = 50,
) -> Response:
    wanted = FindingFilter(None if state is None else state == "open", severity, condition)
    async with request.app.state.diagnosing.turn():  # runs that are not in memory are judged for their reports
        try:
            page, following = await runs.project_findings(project, wanted, cursor=cursor, limit=limit)
        except ValueError as error:
            if cursor is None:
                raise
            raise bad_cursor() from error
    listed = [
        {**stored_finding_json(found.stored), "run": found.run, "project": project, "uid": found.uid} for found in page
    ]
    chosen = {"project": project, "state": state, "severity": severity, "condition": condition}
    headers = link("/v1/findings", following, limit, **chosen)
    return json_answer({"findings": listed, "next_cursor": following}, headers=headers)


@router.get(
    "/v1/runs/{run}/findings",
    operation_id="list_findings",
    summary="List the findings of a run",
    description="Open and closed ones of every attempt, in the order in which they opened.",
    responses={
        200: {**answer(200, schemas.Findings, "The findings.", examples.FINDINGS)[200], "headers": LINK},
        **refusals(RUN_NOT_FOUND),
    },
)
async def list_findings(
    run: RunName, runs: UseCases, project: Project = "default", cursor: Cursor = None, limit: Limit = MOST
) -> Response:
    page, following = page_of(await runs.findings(project, run), _opening, cursor, limit)
    listed = [stored_finding_json(stored) for stored in page]
    headers = link(f"/v1/runs/{run}/findings", following, limit, project=project)
    return json_answer({"findings": listed, "next_cursor": following}, headers=headers)


def _opening(stored: StoredFinding) -> tuple[float, int, str]:
    return stored.opened_at, stored.finding.opened_step, stored.finding.id


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


@router.delete(
    "/v1/runs/{run}/findings/{id}/acknowledge",
    operation_id="unacknowledge_finding",
    summary="Withdraw an acknowledgement",
    description="Notifications of it may be repeated again. Idempotent.",
    responses={
        **answer(200, schemas.StoredFinding, "The finding.", examples.STORED_FINDING),
        **refusals(RUN_NOT_FOUND, FINDING_NOT_FOUND),
    },
)
async def unacknowledge_finding(
    run: RunName, finding: FindingId, runs: UseCases, project: Project = "default"
) -> Response:
    return json_answer(stored_finding_json(await runs.unmark(project, run, finding, "acknowledged")))


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


@router.delete(
    "/v1/runs/{run}/findings/{id}/mute",
    operation_id="unmute_finding",
    summary="Unmute a finding",
    description="Notifications of it are sent again. Idempotent.",
    responses={
        **answer(200, schemas.StoredFinding, "The finding.", examples.STORED_FINDING),
        **refusals(RUN_NOT_FOUND, FINDING_NOT_FOUND),
    },
)
async def unmute_finding(run: RunName, finding: FindingId, runs: UseCases, project: Project = "default") -> Response:
    return json_answer(stored_finding_json(await runs.unmark(project, run, finding, "muted")))


def stored_finding_json(stored: StoredFinding) -> dict[str, Any]:
    """A finding with its times, and what people have done about it."""
    return {
        **finding_json(stored.finding),
        "opened_at": timestamp(stored.opened_at),
        "closed_at": timestamp(stored.closed_at),
        "acknowledged_at": timestamp(stored.acknowledged_at),
        "muted_until": timestamp(stored.muted_until),
    }
