"""Is the process alive, can it do its work, and what does Prometheus want to know."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api import examples, schemas
from losswatch_server.api.access import UseCases, json_answer
from losswatch_server.api.describe import answer, refusals
from losswatch_server.api.metrics import Metrics

router = APIRouter(tags=["operations"])


@router.get(
    "/livez",
    operation_id="livez",
    summary="Is the process alive?",
    responses={**answer(200, schemas.Alive, "It answers.", examples.ALIVE), **refusals(parameters=False)},
)
async def livez() -> Response:
    return json_answer({"status": "ok"})


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can it do its work?",
    description="Asks the store a question. 503 while it starts, stops, or cannot read.",
    responses={**answer(200, schemas.Alive, "It can.", examples.ALIVE), **refusals(parameters=False)},
)
async def readyz(runs: UseCases) -> Response:
    await runs.list("default", limit=1)
    return json_answer({"status": "ok"})


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    responses={
        200: {
            "description": "Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "losswatch_points_total 20.0\n"}},
        },
        **refusals(parameters=False),
    },
    response_class=Response,
)
async def metrics(request: Request) -> Response:
    counters: Metrics = request.app.state.metrics
    return Response(counters.exposition(), headers={"Content-Type": counters.content_type})
