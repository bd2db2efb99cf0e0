"""``GET /v1/projects``: which projects there are, and how many of their runs are in which condition."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from losswatch_server.api.description import insight_schemas
from losswatch_server.api.description.describe import answer, refusals
from losswatch_server.api.http.access import UseCases, json_answer

router = APIRouter(tags=["runs"])


@router.get(
    "/v1/projects",
    operation_id="list_projects",
    summary="List the projects",
    description="Every project that has runs, by name, with the number of its runs by status and by state.",
    responses={
        **answer(200, insight_schemas.Projects, "The projects.", insight_schemas.PROJECTS),
        **refusals(parameters=False),
    },
)
async def list_projects(runs: UseCases) -> Response:
    found = [
        {"project": name, "runs": sum(counts.statuses.values()), "status": counts.statuses, "state": counts.states}
        for name, counts in (await runs.projects()).items()
    ]
    return json_answer({"projects": found})
