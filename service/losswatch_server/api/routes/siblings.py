"""``GET /v1/runs/{run}/siblings``: how a run compares with the others of its sweep."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.description import insight_schemas
from losswatch_server.api.description.describe import Project, RunName, answer, refusals
from losswatch_server.api.http.access import UseCases, json_answer
from losswatch_server.api.http.problems import RUN_NOT_FOUND
from losswatch_server.codec.explanations import standing_json

router = APIRouter(tags=["runs"])


@router.get(
    "/v1/runs/{run}/siblings",
    operation_id="get_siblings",
    summary="Compare a run with its siblings",
    description=(
        "Siblings are the other runs of the same `group` (the 200 newest) that minimize the same loss, and the run's "
        "own earlier attempts. For information only: no finding and no report depends on it."
    ),
    responses={
        **answer(200, insight_schemas.Siblings, "The comparison.", insight_schemas.SIBLINGS),
        **refusals(RUN_NOT_FOUND),
    },
)
async def get_siblings(request: Request, run: RunName, runs: UseCases, project: Project = "default") -> Response:
    async with request.app.state.diagnosing.turn():  # up to 200 runs are looked at
        row = await runs.get(project, run)
        standing = await runs.siblings(project, run)
    return json_answer({"run": row.name, "project": row.project, "uid": row.uid, **standing_json(standing)})
