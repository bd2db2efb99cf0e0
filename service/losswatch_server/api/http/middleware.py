"""The outermost layer, plain ASGI: what holds for every request, whichever endpoint it is for, is decided here.

Who may call (``site``, ``authentication``), how much memory its body may take (``load``), HEAD, counting, the audit
log, and the headers of every answer. How much a caller may ask for (``rate_limits``), and whether there is room for one
more request (``shedding``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from losswatch_server.api.http.authentication import KEY, LIMITS, Authentication, log_in_first, scopes_needed
from losswatch_server.api.http.dialects import at_project, refusal_response
from losswatch_server.api.http.load import RequestMemory
from losswatch_server.api.http.metrics import Metrics
from losswatch_server.api.http.problems import ProblemError, problem_response
from losswatch_server.api.http.rate_limits import GRANT, RateLimits
from losswatch_server.api.http.request_id import HEADER as REQUEST_ID
from losswatch_server.api.http.request_id import name_request
from losswatch_server.api.http.shedding import OVERLOADED, Shedding
from losswatch_server.api.http.site import Site
from losswatch_server.keys import Scope as Role

_audit = logging.getLogger("losswatch.audit")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    # No page of another origin may embed an answer, not even as a picture or a script that it cannot read.
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""The headers of every answer."""


class EdgeMiddleware:
    """Wraps the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        site: Site,
        memory: RequestMemory,
        authentication: Authentication,
        limits: RateLimits,
    ) -> None:
        self.app = app
        self.limits = limits
        self.posting = Shedding()
        self.reading = Shedding()
        metrics.watch_shedding({"post": self.posting, "other": self.reading})
        self.metrics = metrics
        self.site = site
        self.memory = memory
        self.authentication = authentication

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        scope = at_project(scope)
        status = 500
        method = scope["method"]
        head = method == "HEAD"
        if head:
            scope = {**scope, "method": "GET"}
        named = name_request(scope)
        scope["losswatch.share"] = share = self.memory.share()
        gate: Shedding | None = None

        def send_on(message: Message) -> Awaitable[None]:  # no coroutine of its own: this is done twice a request
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS, (REQUEST_ID, named)]
                if (grant := scope.get(GRANT)) is not None:
                    message["headers"] += grant.headers()
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            return send(message)

        try:
            refusal, gate = self._admit(scope)
            if refusal is None:
                await self.app(scope, receive, send_on)
            else:
                plain = refusal is OVERLOADED and scope["path"].startswith("/v1/runs/")
                response = _TURNED_AWAY if plain else log_in_first(refusal, scope) or refusal_response(scope, refusal)
                await response(scope, receive, send_on)
        finally:
            share.close()
            took = time.perf_counter() - started
            if gate is not None:
                gate.end(took, worked=200 <= status < 300)
            if KEY in scope:
                audit(scope, status)
            self.metrics.count_request(method if method in _METHODS else "other", route_of(scope), status, took)

    def _admit(self, scope: Scope) -> tuple[ProblemError | None, Shedding | None]:
        """Why a request is refused; where it is not, what it counts in until it is over."""
        method, path = scope["method"], scope["path"]
        refusal = self.site.refusal(scope) or self.authentication.admit(scope)
        posts = method == "POST" and path.endswith("/points")  # nearly every request, so it is asked for first
        if refusal is None and not posts:
            needed = scopes_needed(method, path)
            if needed is None:
                return None, None
            posts = method == "POST" and Role.INGEST in needed
        if refusal is not None:
            return refusal, None
        own = scope.get(LIMITS)
        if own is not None or self.limits.are_on:
            scope[GRANT] = grant = self.limits.of(caller_of(scope), own)
            if (refusal := grant.refusal(brings_points=posts)) is not None:
                return refusal, None
        if path.endswith(_ENDLESS):
            return None, None
        gate = self.posting if posts else self.reading
        refusal = gate.refusal()
        return refusal, None if refusal is not None else gate


_TURNED_AWAY = problem_response(OVERLOADED)
"""Made once: it is told thousands of times a second."""
_ENDLESS = ("/events", "/export", "/import", "/diagnose")
"""What takes its time, and has limits of its own."""


def caller_of(scope: Scope) -> str:
    """Whom a request counts for: its key or user, else the address that it comes from."""
    client = scope.get("client")
    return scope.get(KEY) or f"address {client[0] if client else ''}"


def audit(scope: Scope, status: int) -> None:
    """One line in the log for each request of a key that is administration, or was refused."""
    if scopes_needed(scope["method"], scope["path"]) == frozenset({Role.ADMIN}) or status in (401, 403):
        _audit.info("key %s: %s %s: %d", scope[KEY], scope["method"], quote(scope["path"]), status)


def route_of(scope: Scope) -> str:
    """The template of the path that was matched; "none" when nothing was."""
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "none"
