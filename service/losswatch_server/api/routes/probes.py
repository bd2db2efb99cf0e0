"""Liveness, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import answer, refusals
from losswatch_server.api.http.access import UseCases, json_answer
from losswatch_server.api.http.metrics import Metrics
from losswatch_server.api.http.problems import STOPPING, ProblemError, problem_of
from losswatch_server.codec.encoding import timestamp
from losswatch_server.store.errors import StoreError
from losswatch_server.supervision import Supervisor

router = APIRouter(tags=["operations"])


@router.get(
    "/livez",
    operation_id="livez",
    summary="Liveness probe",
    responses={**answer(200, schemas.Alive, "The process is alive.", examples.ALIVE), **refusals(parameters=False)},
)
async def livez() -> Response:
    return json_answer({"status": "ok"})


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Readiness probe",
    description=(
        "200 while points can be stored, 503 while they cannot: the service is starting or stopping, or cannot use its "
        "database, or could not keep the last points. "
        "`not_running` names background work that does not run (the watch for silent runs, notifications), "
        "since when and why. It is retried, and points are stored meanwhile."
    ),
    responses={**answer(200, schemas.Ready, "Points can be stored.", examples.READY), **refusals(parameters=False)},
)
async def readyz(request: Request, runs: UseCases) -> Response:
    supervisor: Supervisor = request.app.state.supervisor
    not_running = [
        {"name": found.name, "since": timestamp(found.since), "why": found.why} for found in supervisor.not_running()
    ]
    if getattr(request.app.state, "is_draining", False):
        raise ProblemError(STOPPING, "The service is about to stop.", members={"not_running": not_running})
    try:
        await runs.check()
    except StoreError as error:
        told = problem_of(error)
        detail = f"{told.detail} Why: {error}"
        raise ProblemError(told.kind, detail, members={"not_running": not_running}) from error
    return json_answer({"status": "degraded" if not_running else "ok", "not_running": not_running})


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
