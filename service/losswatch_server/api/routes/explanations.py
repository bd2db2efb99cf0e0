"""``GET /v1/runs/{run}/findings/{id}/explain``: the numbers behind a finding."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.description import insight_schemas
from losswatch_server.api.description.describe import FindingId, Project, RunName, answer, refusals
from losswatch_server.api.http.access import UseCases, json_answer
from losswatch_server.api.http.body import share_of, unless_gone
from losswatch_server.api.http.load import POINT
from losswatch_server.api.http.problems import FINDING_NOT_FOUND, RUN_NOT_FOUND
from losswatch_server.codec.explanations import explanation_json
from losswatch_server.runs.walk import POINTS

router = APIRouter(tags=["findings"])


@router.get(
    "/v1/runs/{run}/findings/{id}/explain",
    operation_id="explain_finding",
    summary="Explain a finding",
    description=(
        "The rule in one sentence, its statistic and its threshold at each point where the rule judged, and the points "
        "that it used, computed from the run's points in the finding's attempt."
    ),
    responses={
        **answer(200, insight_schemas.Explanation, "The explanation.", insight_schemas.EXPLANATION),
        **refusals(RUN_NOT_FOUND, FINDING_NOT_FOUND),
    },
)
async def explain_finding(
    request: Request, run: RunName, finding: FindingId, runs: UseCases, project: Project = "default"
) -> Response:
    share_of(request).take(POINT * POINTS)  # of a record that is folded so many points are in memory at a time
    async with request.app.state.diagnosing.turn():  # a run is folded again: as much work as a diagnosis
        await request.body()  # there is none, but what comes after it tells that the client has gone
        explanation = await unless_gone(request, runs.explain(project, run, finding))
    return json_answer(explanation_json(explanation))
