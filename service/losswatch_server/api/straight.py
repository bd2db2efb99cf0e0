"""The straight way of ``POST /v1/runs/{run}/points``: the same endpoint, without the framework in between.

Middleware, the search for the route and the framework's own wrapping cost more than decoding, judging and answering a
point together. Whatever is not plainly a request for this endpoint (another method, a name that no run can have,
another host, a path prefix of a proxy) takes the framework's way, where the same endpoint is registered and described.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from losswatch_server.api.describe import SLUG
from losswatch_server.api.outer import NOSNIFF, Admits
from losswatch_server.api.points import PATH, answer_points

_named = re.compile(PATH.replace("{run}", f"({SLUG.strip('^$')})")).fullmatch
_JSON = (b"content-type", b"application/json")

Failed = Callable[[Request, Exception], Awaitable[tuple[Response, bool]]]
"""The answer to an exception, and whether the exception is a fault that the server shall log."""


class Straight(FastAPI):
    """The application. ``admits`` says whether a request names a host that this service answers as."""

    admits: Admits
    failed: Failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            named = _named(scope["path"])
            if named is not None and not scope.get("root_path") and self.admits(scope):
                await self._post_points(named[1], scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _post_points(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 500
        scope["app"] = self
        request = Request(scope, receive, send)
        try:
            try:
                body = await answer_points(request, name)
            except Exception as error:
                response, is_fault = await self.failed(request, error)
                status = response.status_code
                response.raw_headers.append(NOSNIFF)
                await response(scope, receive, send)
                if is_fault:
                    raise
                return
            status = 200
            length = (b"content-length", b"%d" % len(body))
            await send({"type": "http.response.start", "status": 200, "headers": [length, _JSON, NOSNIFF]})
            await send({"type": "http.response.body", "body": body})
        finally:
            self.state.metrics.count_request("POST", PATH, status, time.perf_counter() - started)
