"""``POST /v1/runs/{run}/points``: the main job, and the one hot path."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from losswatch_server import codec
from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import PROJECT_PARAMETER, RUN_PARAMETER, SLUG, answer, body, refusals
from losswatch_server.api.description.requests import POINTS_REQUEST
from losswatch_server.api.http.access import runs_of
from losswatch_server.api.http.body import POINTS_LIMIT, read_as
from losswatch_server.api.http.metrics import Metrics
from losswatch_server.api.http.problems import (
    INVALID_BODY,
    INVALID_REQUEST,
    MALFORMED_BODY,
    RUN_GONE,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
    refused_body,
)
from losswatch_server.api.http.rate_limits import take_points
from losswatch_server.codec import Body, BodyRefusedError, Problem
from losswatch_server.codec.encoding import dumps_plain
from losswatch_server.codec.packed import packed_body
from losswatch_server.codec.reports import counts_json, report_bytes
from losswatch_server.runs import PointsRefusedError, Recorded

_slug = re.compile(SLUG.removesuffix("$")).fullmatch
"""Python's ``$`` would let a final line break pass."""


class RawRoute(APIRoute):
    """Hands the request to the endpoint as it came. FastAPI's solving of parameters costs as much as the decoding."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)


PATH = "/v1/runs/{run}/points"
router = APIRouter(tags=["points"], route_class=RawRoute)


@router.post(
    PATH,
    operation_id="post_points",
    summary="Post points and get the report",
    description=(
        "Creates the run if it is new. Returns the report after these points, or only the counts with `?report=false`. "
        "A 2xx answer means that the points are stored and survive a power failure. A request with a bad point is "
        "refused whole. A body that parses as JSON is read as JSON, whatever its content type; gzip is accepted."
    ),
    responses={
        **answer(200, (schemas.Recorded, schemas.CountsOnly), "Stored.", examples.RECORDED),
        **refusals(MALFORMED_BODY, RUN_GONE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_BODY),
    },
    openapi_extra={
        "parameters": [
            RUN_PARAMETER,
            PROJECT_PARAMETER,
            {
                "name": "report",
                "in": "query",
                "required": False,
                "description": "false leaves the report out of the answer.",
                "schema": {"type": "boolean", "default": True},
            },
        ],
        **body(
            POINTS_REQUEST,
            ("points", examples.POINTS),
            ("one bare point", examples.POINT),
            ("a loss that is not a number", examples.NAN_POINT),
        ),
    },
)
async def post_points(request: Request) -> Response:
    """Decode, record, answer."""
    return Response(await answer_points(request, request.path_params["run"]), media_type="application/json")


async def answer_points(request: Request, name: str) -> bytes:
    """The answer to a request of points for the run of this name."""
    project, report = "default", True
    query = request.scope["query_string"]
    if query:
        project, report = _parameters(query)
    if not _slug(name):
        raise invalid_slug("run", "the run's name")
    brought = await read_as(request, POINTS_LIMIT, codec.read_body, of_large=packed_body)
    runs = runs_of(request)
    take_points(request.scope, request.app.state.quotas, project, len(brought.points))
    began = time.perf_counter()
    try:
        recorded = await runs.record(project, name, brought.points, brought.context, brought.writer, report=report)
    except PointsRefusedError as refusal:
        raise _refused(refusal, brought) from refusal
    metrics: Metrics = request.app.state.metrics
    metrics.count_points(recorded)
    metrics.count_verdict(time.perf_counter() - began)
    if recorded.report is not None:
        return report_bytes(recorded.report, recorded)
    return dumps_plain(counts(recorded))


def counts(recorded: Recorded) -> dict[str, Any]:
    """What became of a request's points, without the report."""
    run = recorded.run
    who = {"run": run.name, "project": run.project, "uid": run.uid, "attempt": recorded.attempt}
    return {**who, **counts_json(recorded)}


def _refused(refusal: PointsRefusedError, brought: Body) -> ProblemError:
    problems = [Problem(brought.place(problem.index, problem.field), problem.detail) for problem in refusal.problems]
    return refused_body(BodyRefusedError(problems, len(problems)))


def _parameters(query: bytes) -> tuple[str, bool]:
    """``project`` and ``report``; the last of repeated ones counts, others are left alone."""
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    project = given.get("project", ["default"])[-1]
    if not _slug(project):
        raise invalid_slug("project", "the project")
    report = given.get("report", ["true"])[-1].lower()
    if report not in ("true", "1", "false", "0"):
        problem = Problem("report", "report must be true or false")
        raise ProblemError(INVALID_REQUEST, "The parameter report must be true or false.", errors=[problem])
    return project, report in ("true", "1")


def invalid_slug(parameter: str, what: str) -> ProblemError:
    """A name that runs and projects cannot have."""
    detail = (
        f"{what} must have 1 to 128 letters, digits, dots, hyphens or underscores, and begin with a letter or a digit"
    )
    return ProblemError(INVALID_REQUEST, f"{detail[:1].upper()}{detail[1:]}.", errors=[Problem(parameter, detail)])
