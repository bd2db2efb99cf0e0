"""httpx calls to an ASGI application of the same process. Answers are read as they come: a stream may have no end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
from starlette.types import ASGIApp, Message, Scope

_WAITING = 8
"""Parts of an answer that the application may be ahead of its reader."""


class InProcess(httpx.AsyncBaseTransport):
    """Calls ``app``. httpx has such a transport too, which gives an answer only when all of it is there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(self._app, _scope(request), await request.aread())
        try:
            start = await exchange.message()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(start["status"], headers=start["headers"], stream=exchange)


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer. The application runs as a task until it ends or the answer is closed."""

    def __init__(self, app: ASGIApp, scope: Scope, body: bytes) -> None:
        self._unsent: bytes | None = body
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(_WAITING)
        self._task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._messages.put)
        finally:
            with contextlib.suppress(asyncio.QueueFull):  # a reader of a full queue sees the task's end after it
                self._messages.put_nowait(None)

    async def _receive(self) -> Message:
        if self._unsent is not None:
            body, self._unsent = self._unsent, None
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.Event().wait()  # who closes the answer cancels the task
        raise AssertionError

    async def message(self) -> Message:
        """The next message of the application; raises what it failed with."""
        found = None if self._task.done() and self._messages.empty() else await self._messages.get()
        if found is None:
            await self._task
            raise httpx.RemoteProtocolError("the application ended before its answer did")
        return found

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            part = await self.message()
            if part.get("body"):
                yield part["body"]
            if not part.get("more_body"):
                return

    async def aclose(self) -> None:
        self._task.cancel()
        with contextlib.suppress(BaseException):
            await asyncio.shield(asyncio.wait([self._task]))


def _scope(request: httpx.Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port or 80),
        "client": ("127.0.0.1", 0),
        "extensions": {},
    }
