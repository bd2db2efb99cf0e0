"""The outermost layer, plain ASGI: what holds for every request, whichever endpoint it is for, is decided here.

Who may call (``site``, ``authentication``), how much memory its body may take (``load``), HEAD, counting, the audit
log, and the headers of every answer.
"""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from losswatch_server.api.http.authentication import KEY, Authentication, log_in_first, scopes_needed
from losswatch_server.api.http.dialects import at_project, refusal_response
from losswatch_server.api.http.load import RequestMemory
from losswatch_server.api.http.metrics import Metrics
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
        self, app: ASGIApp, *, metrics: Metrics, site: Site, memory: RequestMemory, authentication: Authentication
    ) -> None:
        self.app = app
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
        scope["losswatch.share"] = share = self.memory.share()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            refusal = self.site.refusal(scope) or self.authentication.admit(scope)
            if refusal is None:
                await self.app(scope, receive, send_on)
            else:
                response = log_in_first(refusal, scope) or refusal_response(scope, refusal)
                await response(scope, receive, send_on)
        finally:
            share.close()
            if KEY in scope:
                audit(scope, status)
            self.metrics.count_request(
                method if method in _METHODS else "other", route_of(scope), status, time.perf_counter() - started
            )


def audit(scope: Scope, status: int) -> None:
    """One line in the log for each request of a key that is administration, or was refused."""
    if scopes_needed(scope["method"], scope["path"]) == frozenset({Role.ADMIN}) or status in (401, 403):
        _audit.info("key %s: %s %s: %d", scope[KEY], scope["method"], quote(scope["path"]), status)


def route_of(scope: Scope) -> str:
    """The template of the path that was matched; "none" when nothing was."""
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "none"
