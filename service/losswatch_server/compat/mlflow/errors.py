"""Errors as MLflow's clients read them: ``{"error_code": …, "message": …}``."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from losswatch_server import codec
from losswatch_server.api.http.problems import (
    INVALID_REQUEST,
    NOT_FOUND,
    RUN_NOT_FOUND,
    ProblemError,
    ProblemKind,
)

_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "ENDPOINT_NOT_FOUND",
    408: "BAD_REQUEST",
    410: "RESOURCE_DOES_NOT_EXIST",
    422: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
_STATUSES = {405: 404, 410: 404, 422: 400}
"""MLflow answers 400 for what is not as described, and has no word for the others."""


def invalid(message: str) -> ProblemError:
    """A parameter that cannot be read."""
    return ProblemError(INVALID_REQUEST, message)


def missing(message: str) -> ProblemError:
    """A run or a model that is not there."""
    return ProblemError(RUN_NOT_FOUND, message)


def error_answer(problem: ProblemError, scope: Scope) -> Response:
    """The answer that tells an MLflow client of ``problem``."""
    kind = problem.kind
    headers = dict(problem.headers)
    if kind.retry_after_s is not None:
        headers["Retry-After"] = str(kind.retry_after_s)
    body = {"error_code": _code(kind), "message": _message(problem, scope)}
    return Response(codec.dumps(body), _STATUSES.get(kind.status, kind.status), headers, "application/json")


def _code(kind: ProblemKind) -> str:
    return "ENDPOINT_NOT_FOUND" if kind is NOT_FOUND else _CODES.get(kind.status, "BAD_REQUEST")


def _message(problem: ProblemError, scope: Scope) -> str:
    if problem.kind is NOT_FOUND:
        return (
            f"Losswatch has no {scope['path']}: it keeps the metrics, parameters and tags of runs, and no traces, "
            "registered models or artifacts. See /docs/what-you-already-have."
        )
    return problem.detail
