"""``GET /v1/events`` and ``GET /v1/runs/{run}/events``: what happens, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response, StreamingResponse

from losswatch_server import codec
from losswatch_server.api.description.describe import Project, RunName, refusals
from losswatch_server.api.http.access import UseCases
from losswatch_server.api.http.problems import BUSY, INVALID_REQUEST, RUN_NOT_FOUND, ProblemError
from losswatch_server.codec import Problem, run_json
from losswatch_server.codec.points import point_json
from losswatch_server.runs.event_feed import EventFeed, Tidings
from losswatch_server.store.rows import RunRow, StoredEvent

router = APIRouter(tags=["events"])

MEDIA_TYPE = "text/event-stream"
MOST_LISTENERS = 500
"""Streams at the same time: each holds a connection, of which points need some too."""
RETRY_MS = 2000
_QUIET = b": nothing new\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Not even a proxy may keep the stream back."""

_EXAMPLE = (
    "id: 41\nevent: hello\ndata: {}\n\n"
    'event: report\ndata: {"run":"keras-demo","project":"default","step":20,"points":20,"state":"running",'
    '"status":"critical","headline":"The loss is diverging.","last_point":{"step":20,"loss":3.4e13}}\n\n'
    'id: 42\nevent: finding.opened\ndata: {"kind":"finding.opened","at":"2026-11-28T03:00:00.000Z","run":{},'
    '"finding":{},"headline":"The loss is diverging.","status":"critical"}\n\n'
)
LastEventId = Annotated[
    str | None,
    Header(description="The `id` of the last event that is known: what happened since comes first.", max_length=32),
]


def _described(of: str) -> dict[str, Any]:
    return {
        "description": (
            f"What happens to {of} from now on, as a stream of server-sent events that does not end. `report`: how a "
            "run stands, at most once a second for each; it has no `id`. Its `last_point` is the newest point of rank "
            "0 without layers and metrics, null where another service took it. `run.created`, `run.finished`, "
            "`run.silent`, `finding.opened`, `finding.worsened`, `finding.resolved` and the like: each once, with an "
            "`id`. With `Last-Event-ID`, which browsers send when they reconnect, events that were missed come first. "
            "`hello` comes first of all; `reset` in its place, or later, when some can no longer be told: read "
            "everything again then. A comment comes every 15 seconds."
        ),
        "response_class": Response,
    }


def _answers(*kinds: Any) -> dict[int | str, dict[str, Any]]:
    stream = {"schema": {"type": "string"}, "example": _EXAMPLE}
    return {200: {"description": "The stream.", "content": {MEDIA_TYPE: stream}}, **refusals(*kinds)}


@router.get(
    "/v1/events",
    operation_id="stream_events",
    summary="Listen to all runs",
    responses=_answers(),
    **_described("all runs of a project"),
)
async def stream_events(request: Request, project: Project = "default", last_event_id: LastEventId = None) -> Response:
    return _stream(request, project, None, last_event_id)


@router.get(
    "/v1/runs/{run}/events",
    operation_id="stream_run_events",
    summary="Listen to a run",
    responses=_answers(RUN_NOT_FOUND),
    **_described("one run"),
)
async def stream_run_events(
    request: Request, run: RunName, runs: UseCases, project: Project = "default", last_event_id: LastEventId = None
) -> Response:
    return _stream(request, project, (await runs.get(project, run)).uid, last_event_id)


def _stream(request: Request, project: str, uid: str | None, last_event_id: str | None) -> Response:
    feed: EventFeed = request.app.state.feed
    if feed.listeners >= MOST_LISTENERS:
        raise ProblemError(BUSY, f"{MOST_LISTENERS} listeners are connected already, which is as many as there may be.")
    after = _place(last_event_id)
    return StreamingResponse(_frames(feed, project, uid, after), headers=_HEADERS, media_type=MEDIA_TYPE)


def _place(last_event_id: str | None) -> int | None:
    if last_event_id is None or last_event_id == "":
        return None
    if not (last_event_id.isascii() and last_event_id.isdigit()) or int(last_event_id) >= 1 << 62:
        detail = "Last-Event-ID is not one that this service gave; leave it out to begin now"
        raise ProblemError(INVALID_REQUEST, f"{detail}.", errors=[Problem("last-event-id", detail)])
    return int(last_event_id)


async def _frames(feed: EventFeed, project: str, uid: str | None, after: int | None) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MS
    async for told in feed.listen(project, uid, after=after):
        yield b"".join(map(frame, told)) or _QUIET


def frame(tidings: Tidings) -> bytes:
    """One event as it goes over the line."""
    if tidings.written is None:
        tidings.written = _written(tidings)
    return tidings.written


def _written(tidings: Tidings) -> bytes:
    """The data is JSON on one line, so nothing in it can end the event."""
    match tidings.what:
        case RunRow() as row:
            last = None if tidings.last is None else point_json(tidings.last._replace(layers=None, metrics=None))
            name, data = "report", codec.dumps({**run_json(row), "context": None, "last_point": last})
        case StoredEvent() as event:
            head = {"kind": event.kind, "at": codec.timestamp(event.at)}
            name, data = event.kind, codec.dumps(head)[:-1] + b"," + event.body[1:]
        case word:
            name, data = word, b"{}"
    place = b"" if tidings.id is None else b"id: %d\n" % tidings.id
    return b"%sevent: %s\ndata: %s\n\n" % (place, name.encode(), data)
