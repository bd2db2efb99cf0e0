"""The fast path to ``POST /v1/runs/{run}/points``: the same endpoint, without the framework's search for the route.

With it one second of a processor answers about 1.25 times as many single points (8 connections, with and without it in
turns on a busy machine: 1.19 over five alternations, 1.28 over six, 1.25 over eight, there with 1.26 times as many
requests a second). It lies inside ``EdgeMiddleware``, so what holds for every request holds here. It takes only what is
plainly a request for it; everything else (another method, a name that no run can have, a path prefix of a proxy) goes
on to the framework, where the same endpoint is registered and described.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from losswatch_server.api.description.describe import SLUG
from losswatch_server.api.routes.points import PATH, answer_points, router

_named = re.compile(PATH.replace("{run}", f"({SLUG.strip('^$')})")).fullmatch
(_ROUTE,) = router.routes

Failed = Callable[[Request, Exception], Awaitable[tuple[Response, bool]]]
"""The answer to an exception, and whether the exception is a fault that the server shall log."""


class FastPathApp:
    """Between ``EdgeMiddleware`` and the framework."""

    def __init__(self, app: ASGIApp, failed: Failed) -> None:
        self.app = app
        self.failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = _named(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if named is None or scope.get("root_path"):
            await self.app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = _ROUTE, {"run": named[1]}
        request = Request(scope, receive, send)
        try:
            body = await answer_points(request, named[1])
        except Exception as error:
            response, is_fault = await self.failed(request, error)
            await response(scope, receive, send)
            if is_fault:
                raise
        else:
            headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
