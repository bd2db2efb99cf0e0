"""``/v1/retention``: what a project keeps for how long; and the end of a whole project."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from losswatch_server.api.description import retention_schemas as schemas
from losswatch_server.api.description.describe import SLUG, Project, answer, body, refusals, schema_of
from losswatch_server.api.http.access import json_answer, read_model, runs_of
from losswatch_server.api.http.authentication import PROJECT
from losswatch_server.api.http.problems import (
    INVALID_BODY,
    MALFORMED_BODY,
    PROJECT_NOT_FOUND,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
)
from losswatch_server.keys import KeyRing
from losswatch_server.runs.retention import Retention
from losswatch_server.store.retention import Policy

router = APIRouter(tags=["runs"])

_ANSWER = answer(200, schemas.Retention, "What is kept.", schemas.RETENTION)


def _retention_of(request: Request) -> Retention:
    runs_of(request)  # refuses before the service is up
    return cast("Retention", request.app.state.retention)


@router.get(
    "/v1/retention",
    operation_id="get_retention",
    summary="Read what a project keeps for how long",
    responses={**_ANSWER, **refusals()},
)
async def get_retention(request: Request, project: Project = "default") -> Response:
    return await _told(_retention_of(request), project)


@router.put(
    "/v1/retention",
    operation_id="put_retention",
    summary="Set what a project keeps for how long",
    description="Holds from the next look on, at most an hour later. What is deleted or thinned does not come back.",
    responses={**_ANSWER, **refusals(MALFORMED_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_BODY)},
    openapi_extra=body(
        schema_of(schemas.NewRetention),
        ("a year, thinned after two weeks", {"thin_after_days": 14, "delete_after_days": 365}),
    ),
)
async def put_retention(request: Request, project: Project = "default") -> Response:
    retention = _retention_of(request)
    asked = await read_model(request, schemas.NewRetention)
    policy = Policy(asked.thin_after_days, asked.thin_to_points, asked.delete_after_days, asked.max_mib)
    await retention.put_policy(project, policy)
    return await _told(retention, project)


@router.delete(
    "/v1/retention",
    operation_id="reset_retention",
    summary="Let a project keep what the service's setting says",
    responses={**_ANSWER, **refusals()},
)
async def reset_retention(request: Request, project: Project = "default") -> Response:
    retention = _retention_of(request)
    await retention.put_policy(project, None)
    return await _told(retention, project)


@router.delete(
    "/v1/projects/{project}",
    operation_id="erase_project",
    summary="Erase a project with everything that belongs to it",
    description=(
        "Its runs, targets, silences, deliveries and events; its API keys end, the one that asks included. Processes "
        "that still post to one of its runs get 410. Backups are not touched."
    ),
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Erased."}, **refusals()},
)
async def erase_project(
    request: Request,
    project: Annotated[str, Path(description="The project.", pattern=SLUG, examples=["finished-project"])],
) -> Response:
    retention = _retention_of(request)
    if request.scope.get(PROJECT, project) != project:
        raise ProblemError(PROJECT_NOT_FOUND, "There is no such project, or this key is not for it.")
    await retention.erase(project)
    keys: KeyRing = request.app.state.keys
    await keys.reload()
    return Response(status_code=204)


async def _told(retention: Retention, project: str) -> Response:
    policy, is_own = await retention.policy(project)
    told: dict[str, Any] = {"project": project, "source": "project" if is_own else "service", **policy._asdict()}
    return json_answer(told)
