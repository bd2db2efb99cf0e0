"""``POST /v1/metrics``: gauges and sums of a training."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.description.describe import Project
from losswatch_server.api.http.authentication import PROJECT
from losswatch_server.api.http.body import OFF_LOOP, media_type, read_raw, share_of
from losswatch_server.api.http.load import MIB, SMALL_FACTOR
from losswatch_server.api.http.problems import MALFORMED_BODY, UNSUPPORTED_MEDIA_TYPE, ProblemError
from losswatch_server.compat.contexts import description
from losswatch_server.compat.otlp.answers import JSON, PROTOBUF, taken

if TYPE_CHECKING:
    from losswatch_server.compat.otlp.reading import Read

router = APIRouter(include_in_schema=False)

LIMIT = 4 * MIB
"""A request that is unpacked. The exporters send what a minute brought: a thousand steps of ten numbers are 1 MB."""


@router.post("/v1/metrics")
async def export_metrics(request: Request, project: Project = "default") -> Response:
    """Takes what can be taken, and says what cannot. What was taken can be sent again."""
    kind = media_type(request)
    if kind not in (PROTOBUF, JSON):
        raise ProblemError(
            UNSUPPORTED_MEDIA_TYPE, f"OTLP comes as {PROTOBUF} or {JSON}, not as {kind[:80] or 'no type at all'}."
        )
    raw = await read_raw(request, LIMIT)
    share_of(request).take(SMALL_FACTOR * len(raw))
    read = await asyncio.to_thread(_read, raw, kind) if len(raw) >= OFF_LOOP else _read(raw, kind)
    rejected, why = read.rejected, read.why
    for export in read.exports:
        place = export.project or project
        if PROJECT in request.scope and place != request.scope[PROJECT]:
            rejected += len(export.logged)
            why = "The API key is for another project than the resource attribute losswatch.project says."
            continue
        recording = request.app.state.compat
        await recording.record(
            request, place, export.run, export.logged, description(export.attributes), steps_count=True
        )
    return taken(kind, rejected, why)


def _read(raw: bytes, kind: str) -> Read:
    from losswatch_server.compat.otlp import reading  # protobuf is loaded by who sends it

    try:
        return reading.read_json(raw) if kind == JSON else reading.read_protobuf(raw)
    except reading.NotProtobufError as error:
        raise ProblemError(MALFORMED_BODY, str(error)) from error
