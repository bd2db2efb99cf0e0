"""The FastAPI application: routers, error handlers and the outermost layer. It knows no concrete store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from losswatch_server import __version__
from losswatch_server.api.description.openapi import describe
from losswatch_server.api.fast_path import FastPathApp
from losswatch_server.api.http.authentication import Authentication
from losswatch_server.api.http.dialects import Dialect, refusal_response
from losswatch_server.api.http.load import MIB, RequestMemory, Turns
from losswatch_server.api.http.metrics import Metrics
from losswatch_server.api.http.middleware import EdgeMiddleware
from losswatch_server.api.http.problems import (
    DOMAIN_PROBLEMS,
    INTERNAL,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    ProblemError,
)
from losswatch_server.api.http.proxy_users import ProxyUsers
from losswatch_server.api.http.rate_limits import RateLimits
from losswatch_server.api.http.site import LOOPBACK_NAMES, Site, is_navigation
from losswatch_server.api.http.tracing import Tracing
from losswatch_server.api.routes import (
    catalogue,
    deliveries,
    diagnose,
    docs,
    events,
    explanations,
    findings,
    login,
    pictures,
    points,
    portability,
    probes,
    projects,
    reports,
    retention,
    runs,
    series,
    siblings,
    silences,
    targets,
)
from losswatch_server.codec import Problem
from losswatch_server.runs.faults import FaultLog
from losswatch_server.supervision import Supervisor
from losswatch_server.workers import Elsewhere, Workers

PROCESSES = 2
"""That judge, read and write what is long of runs, besides those of diagnoses: each takes about 100 MB of memory."""

_PROBLEMS = {**DOMAIN_PROBLEMS, **targets.PROBLEMS}

ROUTERS = (
    points.router,
    reports.router,
    runs.router,
    events.router,
    projects.router,
    retention.router,
    portability.router,
    series.router,
    pictures.router,
    findings.router,
    explanations.router,
    siblings.router,
    targets.router,
    deliveries.router,
    silences.router,
    diagnose.router,
    catalogue.router,
    probes.router,
    docs.router,
    login.router,
)


class Callers(NamedTuple):
    """How much each caller may send, and which users a proxy may name."""

    limits: RateLimits = RateLimits()
    users: ProxyUsers | None = None


class Application(FastAPI):
    """FastAPI within ``EdgeMiddleware`` and with the fast path."""

    site: Site
    memory: RequestMemory
    limits: RateLimits
    users: ProxyUsers | None
    tracer: Any

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What FastAPI does, in one coroutine instead of two: this is done at each request."""
        if scope["type"] != "http" or self.middleware_stack is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.root_path:
            scope["root_path"] = self.root_path
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's own layers lie inside: what they answer by themselves passes ``EdgeMiddleware`` too."""
        inside = FastPathApp(super().build_middleware_stack(), _on_any_error)
        edge = EdgeMiddleware(
            inside,
            metrics=self.state.metrics,
            site=self.site,
            memory=self.memory,
            authentication=Authentication(lambda: getattr(self.state, "keys", None), self.users),
            limits=self.limits,
        )
        return edge if self.tracer is None else Tracing(edge, self.tracer)


def create_api(
    lifespan: Lifespan[FastAPI] | None = None,
    *,
    site: Site | None = None,
    request_memory: int = 384 * MIB,
    callers: Callers | None = None,
    tracer: Any = None,
    supervisor: Supervisor | None = None,
    more_routers: Sequence[APIRouter] = (),
    dialects: Mapping[str, Dialect] | None = None,
) -> FastAPI:
    """The application. ``lifespan`` puts the use cases at ``app.state.runs`` and ``app.state.alerts``, and
    the API keys at ``app.state.keys``.

    ``site`` None answers under the names of loopback alone. ``request_memory``: bytes for all requests together.
    ``callers``: what is known and asked of them. ``tracer``: one of OpenTelemetry, where requests are traced.
    ``supervisor`` is that of the work in the background. ``dialects``: by the beginning of a path, how errors are
    written there for clients that do not read problem details.
    """
    app = Application(
        title="Losswatch",
        version=__version__,
        summary="Watches training runs: loss and gradient norm in, a diagnosis with numbers out.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # the service measures itself (/metrics); looking for providers that nobody configured is 3 % of a point's cost
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.supervisor = supervisor or Supervisor()
    app.state.metrics = Metrics(app.state.supervisor)
    app.state.dialects = tuple((dialects or {}).items())
    app.state.faults = FaultLog(app.state.metrics.count_fault)
    app.state.exporting = Turns(portability.AT_ONCE, portability.WAITING)
    app.state.diagnosing = Turns(diagnose.AT_ONCE, diagnose.WAITING)
    app.state.workers = Workers()
    app.state.elsewhere = Elsewhere(app.state.workers, PROCESSES)
    routers = (*ROUTERS, *more_routers)
    for router in routers:
        app.include_router(router)
    # Included routers hide their routes; kept for the Allow header of 405.
    of_all = (app.routes, *(router.routes for router in routers))
    app.state.routes = [route for routes in of_all for route in routes if isinstance(route, Route)]
    app.site, app.memory = site or Site(LOOPBACK_NAMES), RequestMemory(request_memory)
    app.limits, app.users = callers or Callers()
    app.tracer = tracer
    errors: tuple[type[Exception], ...] = (ProblemError, *_PROBLEMS)
    for error in errors:
        app.add_exception_handler(error, _on_domain_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(Exception, _on_fault)
    describe(app)
    return app


def instance(request: Request) -> str:
    """The path that was asked for, as a URI reference."""
    return quote(request.scope["path"], safe="/:@!$&'()*+,;=~")


async def _on_domain_error(request: Request, error: Exception) -> Response:
    if isinstance(error, ProblemError):
        return refusal_response(request.scope, error, instance(request))
    told: Callable[[Exception], ProblemError] = next(
        _PROBLEMS[kind] for kind in type(error).__mro__ if kind in _PROBLEMS
    )
    return refusal_response(request.scope, told(error), instance(request))


async def _on_any_error(request: Request, error: Exception) -> tuple[Response, bool]:
    """For the fast path, which has none of the framework's handlers; also whether the error is a fault of ours."""
    if isinstance(error, (ProblemError, *_PROBLEMS)):
        return await _on_domain_error(request, error), False
    return await _on_fault(request, error), True


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(_methods(request))
        detail = f"This path does not support {request.method}; it supports {allowed}."
        problem = ProblemError(METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed})
        return refusal_response(request.scope, problem, request.scope["path"])
    if (page := _page_of(request, 404, "There is no such page", "Nothing has this address.")) is not None:
        return page
    detail = "No endpoint has this path. GET /docs lists all of them."
    return refusal_response(request.scope, ProblemError(NOT_FOUND, detail), instance(request))


def _page_of(request: Request, status: int, title: str, detail: str) -> Response | None:
    """Where somebody follows a link in a browser: a page that says it, if there are pages."""
    path, page = request.scope["path"], getattr(request.app.state, "error_page", None)
    if page is None or path.startswith("/v1/") or not is_navigation(request.scope):
        return None
    shown: Response = page(request, status, title, detail)
    return shown


def _methods(request: Request) -> list[str]:
    """The methods that the path has, over all of its routes."""
    found: set[str] = set()
    for route in request.app.state.routes:
        if route.methods and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods
    if "GET" in found:
        found.add("HEAD")
    return sorted(found)


async def _on_bad_parameter(request: Request, error: Exception) -> Response:
    """Path and query parameters: what is wrong, never what was sent (it may hold anything)."""
    assert isinstance(error, RequestValidationError)
    faults = [Problem(str(fault["loc"][-1]), _told(fault)) for fault in error.errors()]
    first = faults[0]
    detail = f"The parameter {first.pointer} is not as described: {first.detail}."
    if (page := _page_of(request, 422, "This address cannot be read", detail)) is not None:
        return page
    return refusal_response(request.scope, ProblemError(INVALID_REQUEST, detail, errors=faults), instance(request))


def _told(fault: Any) -> str:
    if fault["type"] == "string_pattern_mismatch":
        return "it must have 1 to 128 letters, digits, dots, hyphens or underscores, and begin with a letter or a digit"
    message: str = fault["msg"]
    return message[:1].lower() + message[1:]


async def _on_fault(request: Request, error: Exception) -> Response:
    """A fault of ours. Starlette raises the error on after this answer, so the server logs it with its traceback."""
    detail = "This is an error in the service, not in your request. It has been logged."
    return refusal_response(request.scope, ProblemError(INTERNAL, detail), instance(request))
