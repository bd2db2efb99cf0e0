"""``POST /mcp``: the tools over streamable HTTP, for the project of whoever calls.

The protocol keeps no session here: each message is a request of its own, so replicas and restarts do not matter. What a
tool does is a request to the API of the same service with the caller's own key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import httpx
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from losswatch_server.agents.in_process import InProcess
from losswatch_server.api.http.body import read_raw, share_of
from losswatch_server.api.http.load import MIB, cost_of_points
from losswatch_server.api.http.problems import NOT_FOUND, ProblemError

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from losswatch_server.agents.service import Caller

LIMIT = 4 * MIB
"""Of a message. A larger log goes to ``POST /v1/diagnose``, or is read by ``losswatch-server mcp`` where it lies."""
INSTALL = 'pip install "losswatch-server[mcp]"'
_PASSED_ON = ("authorization", "cookie", "host")


def is_installed() -> bool:
    """Whether the SDK is there."""
    return find_spec("mcp") is not None


class McpEndpoint:
    """The route, and the SDK behind it, which the first message imports: half a second and 28 MiB that a service
    without agents does not spend."""

    def __init__(self) -> None:
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/mcp", self._answer, methods=["POST"], response_class=Response)
        self._open = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def close(self) -> None:
        """End what still runs."""
        self._closing.set()
        if self._running is not None:
            await self._running

    async def _answer(self, request: Request) -> Response:
        if not is_installed():
            raise ProblemError(NOT_FOUND, f"This service has no tools for agents: install the extra, {INSTALL}.")
        raw = await read_raw(request, LIMIT)
        share_of(request).take(cost_of_points(raw))
        async with self._open:
            if self._manager is None:
                self._manager = await self._start(request.app)
        return _Answer(self._manager, raw)

    async def _start(self, app: FastAPI) -> StreamableHTTPSessionManager:
        manager = await asyncio.to_thread(_manager, app)
        ready = asyncio.Event()

        async def run() -> None:
            async with manager.run():
                ready.set()
                await self._closing.wait()

        self._running = asyncio.create_task(run())
        await asyncio.wait(
            {self._running, waiting := asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        if self._running.done():
            await self._running
        return manager


def _manager(app: FastAPI) -> StreamableHTTPSessionManager:
    from losswatch_server.agents.service import Service
    from losswatch_server.agents.tools import tools

    client = httpx.AsyncClient(transport=InProcess(app), base_url="http://localhost")
    server = tools(Service(client=client, reader=client, headers=_of_caller), own_files=False)
    # Host and origin were checked before the message came here, as for every request.
    server.streamable_http_app(stateless_http=True, max_request_body_size=LIMIT, host="")
    return server.session_manager


def _of_caller(caller: Caller) -> Mapping[str, str]:
    """What says who calls, and under which name the service was called."""
    headers = caller.headers or {}
    return {name: headers[name] for name in _PASSED_ON if name in headers}


class _Answer(Response):
    """Hands the message, already read, to the SDK."""

    def __init__(self, manager: StreamableHTTPSessionManager, raw: bytes) -> None:
        super().__init__()
        self._manager = manager
        self._raw: bytes | None = raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def replay() -> Message:
            if self._raw is not None:
                raw, self._raw = self._raw, None
                return {"type": "http.request", "body": raw, "more_body": False}
            return await receive()

        await self._manager.handle_request(scope, replay, send)
