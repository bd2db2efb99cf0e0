"""The HTTP API as the tools see it: one call each, its JSON or text, and its errors in words that an agent acts on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

HEARD_S = 60.0
"""A stream of events says something every 15 s; one that is silent for so long is broken."""

Given = Mapping[str, str | int | None]
Caller = Context[Any, Any]


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One server-sent event; ``id`` is where to go on from, None for what has no such place."""

    name: str
    data: Any
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where the tools call.

    ``client`` reaches the service with the runs; ``reader`` whatever reads logs and shows pages, which need no runs.
    ``headers``: those of each call, by who calls the tool. ``project``: that of calls that name none.
    """

    client: httpx.AsyncClient
    reader: httpx.AsyncClient
    headers: Callable[[Caller], Mapping[str, str]]
    project: str | None = None

    async def get(self, caller: Caller, path: str, given: Given | None = None) -> Any:
        """The JSON of an answer. Raises ToolError with what the service says."""
        return (await self._ask(self.client, caller, "GET", path, self._about(given))).json()

    async def read(self, caller: Caller, log: bytes, given: Given) -> Any:
        """The diagnosis of a log."""
        return (await self._ask(self.reader, caller, "POST", "/v1/diagnose", given, log)).json()

    async def page(self, caller: Caller, path: str) -> str | None:
        """A page as markdown; None where there is none of this name."""
        try:
            return (await self._ask(self.reader, caller, "GET", path, {}, accept="text/markdown")).text
        except _NotThereError:
            return None

    @asynccontextmanager
    async def events(
        self, caller: Caller, path: str, given: Given, last_id: str | None
    ) -> AsyncIterator[AsyncIterator[StreamedEvent]]:
        """What happens from now on, or since ``last_id``."""
        headers = dict(self.headers(caller)) | ({"Last-Event-ID": last_id} if last_id else {})
        timeout = httpx.Timeout(10.0, read=HEARD_S)
        params = _only_given(self._about(given))
        try:
            async with self.client.stream("GET", path, params=params, headers=headers, timeout=timeout) as answer:
                if answer.is_error:
                    await answer.aread()
                _check(answer)
                yield _events(answer.aiter_lines())
        except httpx.HTTPError as error:
            raise _unreachable(self.client, error) from error

    def _about(self, given: Given | None) -> Given:
        asked = dict(given or {})
        if asked.get("project") is None:
            asked["project"] = self.project
        return asked

    async def _ask(
        self,
        client: httpx.AsyncClient,
        caller: Caller,
        method: str,
        path: str,
        given: Given,
        body: bytes | None = None,
        accept: str = "application/json",
    ) -> httpx.Response:
        headers = {**self.headers(caller), "Accept": accept}
        try:
            answer = await client.request(
                method, path, params=_only_given(given), headers=headers, content=body, timeout=90
            )
        except httpx.HTTPError as error:
            raise _unreachable(client, error) from error
        _check(answer)
        return answer


class _NotThereError(ToolError):
    """404."""


def _only_given(given: Given) -> dict[str, str | int]:
    return {name: value for name, value in given.items() if value is not None}


def _check(answer: httpx.Response) -> None:
    """Raises ToolError with the problem's detail and, of several, each."""
    if not answer.is_error:
        return
    try:
        problem = answer.json()
        said = str(problem["detail"])
        more = [f"{one['pointer']}: {one['detail']}" for one in problem.get("errors", [])[:10]]
    except (ValueError, KeyError, TypeError):
        said, more = "what answers is not Losswatch.", []
    text = "\n".join([f"{answer.status_code}: {said}", *more])
    raise _NotThereError(text) if answer.status_code == 404 else ToolError(text)


def _unreachable(client: httpx.AsyncClient, error: httpx.HTTPError) -> ToolError:
    return ToolError(
        f"No service answers at {client.base_url} ({type(error).__name__}). Start one with losswatch-server serve, or "
        "set LOSSWATCH_URL to the address of yours. Diagnosing a log and the catalogue need no service."
    )


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[StreamedEvent]:
    """Server-sent events as the service writes them: one line of data each."""
    name, data, place = "", "", None
    async for line in lines:
        field, _, value = line.partition(": ")
        match field:
            case "event":
                name = value
            case "data":
                data = value
            case "id":
                place = value
            case "" if not line and name:
                yield StreamedEvent(name, json.loads(data or "{}"), place)
                name, data, place = "", "", None
