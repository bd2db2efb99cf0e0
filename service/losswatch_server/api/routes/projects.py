"""``GET /v1/projects``: which projects there are, and how many of their runs are in which condition."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.description import insight_schemas
from losswatch_server.api.description.describe import answer, refusals
from losswatch_server.api.http.access import UseCases, json_answer
from losswatch_server.api.http.authentication import PROJECT

router = APIRouter(tags=["runs"])


@router.get(
    "/v1/projects",
    operation_id="list_projects",
    summary="List the projects",
    description="Every project that has runs, by name, with the number of its runs by status and by state. "
    "With an API key: its own.",
    responses={
        **answer(200, insight_schemas.Projects, "The projects.", insight_schemas.PROJECTS),
        **refusals(parameters=False),
    },
)
async def list_projects(request: Request, runs: UseCases) -> Response:
    own = request.scope.get(PROJECT)
    found = [
        {"project": name, "runs": sum(counts.statuses.values()), "status": counts.statuses, "state": counts.states}
        for name, counts in (await runs.projects()).items()
        if own in (None, name)
    ]
    return json_answer({"projects": found})
