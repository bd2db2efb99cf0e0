"""The outermost layer, plain ASGI: host check, HEAD, counting, and a header that every answer carries."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from losswatch_server.api.metrics import Metrics
from losswatch_server.api.problems import WRONG_HOST, ProblemError, problem_response

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})
"""Names under which a service on this machine may be called. A page elsewhere that rebinds its own name to
127.0.0.1 sends that name, and is refused."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NOSNIFF = (b"x-content-type-options", b"nosniff")


class Admits:
    """Whether a request names one of the hosts as which the service answers. ``allowed_hosts`` None takes any."""

    def __init__(self, allowed_hosts: Collection[str] | None) -> None:
        self._allowed = None if allowed_hosts is None else frozenset(allowed_hosts)

    def __call__(self, scope: Scope) -> bool:
        return self._allowed is None or host_of(scope) in self._allowed


class Outer:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, admits: Admits) -> None:
        self.app = app
        self.metrics = metrics
        self.admits = admits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        method = scope["method"]
        head = method == "HEAD"
        if head:
            scope = {**scope, "method": "GET"}

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], NOSNIFF]
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            if self.admits(scope):
                await self.app(scope, receive, send_on)
            else:
                await problem_response(_wrong_host(host_of(scope)))(scope, receive, send_on)
        finally:
            self.metrics.count_request(
                method if method in _METHODS else "other", route_of(scope), status, time.perf_counter() - started
            )


def host_of(scope: Scope) -> str:
    """The host that the request names, without its port, in lower case."""
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1").strip().lower()
            if host.startswith("["):
                return host.partition("]")[0] + "]"
            return host.partition(":")[0]
    return ""


def route_of(scope: Scope) -> str:
    """The template of the path that was matched; "none" when nothing was."""
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "none"


def _wrong_host(host: str) -> ProblemError:
    shown = "".join(char if char.isprintable() and char.isascii() else "?" for char in host[:80])
    return ProblemError(
        WRONG_HOST,
        f'The request is for the host "{shown}", but this service answers only as localhost or 127.0.0.1. '
        "Use that name, or start the service with --host and the address it shall have.",
    )
