"""``GET /v1/runs/{run}/export`` and ``POST /v1/runs/{run}/import``: a run from one service to another."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import BinaryIO, cast

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import Project, RunName, answer, refusals
from losswatch_server.api.http.access import UseCases, json_answer
from losswatch_server.api.http.body import share_of
from losswatch_server.api.http.load import MIB, Turns
from losswatch_server.api.http.problems import (
    INVALID_BODY,
    RUN_EXISTS,
    RUN_NOT_FOUND,
    TOO_LARGE,
    ProblemError,
)
from losswatch_server.codec import Problem, run_json
from losswatch_server.codec.portable import MAX_LINE, NotPortableError
from losswatch_server.runs.event_feed import EventFeed
from losswatch_server.runs.portability import Importer, RunExistsError, export, put, take_lines
from losswatch_server.store.transactions import Transactions

router = APIRouter(tags=["runs"])

NDJSON = "application/x-ndjson"
AT_ONCE, WAITING = 2, 8
"""Runs that are written out at the same time: each takes a thread that reads, of which others need some too."""
_IN_MEMORY = MIB
_PART = 64 << 10
_LINES = 64
"""Lines that are read between two looks at what else there is to do."""
_EXAMPLE = (
    '{"line":"run","format":1,"name":"keras-demo","uid":"01jd8w5c7v3k9m2n4p6q8r0s1t","entries":1}\n'
    '{"line":"points","attempt":1,"writer":null,"received_ms":1767225600000,"points":[{"step":1,"loss":2.31}]}\n'
    '{"line":"end","lines":2}\n'
)
_LINES_OF_A_RUN = {NDJSON: {"schema": {"type": "string"}, "example": _EXAMPLE}}


def _database(request: Request) -> Transactions:
    return cast("Transactions", request.app.state.transactions)


@router.get(
    "/v1/runs/{run}/export",
    operation_id="export_run",
    summary="Write out a run with all it has",
    description=(
        "Its record in the order in which it came, its findings and its last report, exactly and as of one moment, for "
        "`POST /v1/runs/{run}/import` of this or another service. The last line says how many there are: without it "
        "the file was cut off."
    ),
    response_class=Response,
    responses={200: {"description": "The lines.", "content": _LINES_OF_A_RUN}, **refusals(RUN_NOT_FOUND)},
)
async def export_run(request: Request, run: RunName, runs: UseCases, project: Project = "default") -> Response:
    await runs.get(project, run)
    turns: Turns = request.app.state.exporting
    file = cast("BinaryIO", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - closed by who reads it
    try:
        share_of(request).take(2 * _IN_MEMORY)
        async with turns.turn():
            await export(_database(request), project, run, file)
    except BaseException:
        file.close()
        raise
    headers = {"Content-Disposition": f'attachment; filename="{run}.ndjson"'}
    return StreamingResponse(_parts(file), headers=headers, media_type=NDJSON)


async def _parts(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        file.seek(0)
        while part := await asyncio.to_thread(file.read, _PART):
            yield part


@router.post(
    "/v1/runs/{run}/import",
    operation_id="import_run",
    summary="Take in a run that was written out",
    description=(
        "Under the name in the path, which may be another, with its uid, its points, its findings and its report as "
        "they were. Whole or not at all. Nobody is notified of what was found before."
    ),
    status_code=201,
    responses={
        **answer(201, schemas.Run, "Taken in.", examples.RUN),
        **refusals(RUN_EXISTS, INVALID_BODY, TOO_LARGE),
    },
    openapi_extra={"requestBody": {"required": True, "content": _LINES_OF_A_RUN}},
)
async def import_run(request: Request, run: RunName, runs: UseCases, project: Project = "default") -> Response:
    importer = Importer(project, run, share_of(request).take)
    try:
        waiting: list[bytes] = []
        async for line in _lines(request):
            waiting.append(line)
            if len(waiting) >= _LINES:
                await take_lines(importer, waiting)
                waiting = []
        await take_lines(importer, waiting)
        new = importer.finish()
    except NotPortableError as error:
        told = str(error)
        raise ProblemError(
            INVALID_BODY, f"This is no run that was written out: {told}.", errors=[Problem("", told)]
        ) from error
    try:
        await put(_database(request), new)
    except RunExistsError as error:
        raise ProblemError(RUN_EXISTS, f"{error} Choose another name, or delete that run.") from error
    feed: EventFeed = request.app.state.feed
    row = await runs.get(project, run)
    feed.changed(row)
    return json_answer(run_json(row), 201)


async def _lines(request: Request) -> AsyncIterator[bytes]:
    """The lines of the body as it comes; one takes at most MAX_LINE."""
    share = share_of(request)
    share.take(2 * MIB)
    rest = bytearray()
    held = 0
    async for part in request.stream():
        *whole, last = part.split(b"\n")
        for line in whole:
            rest += line
            if rest.strip():
                yield bytes(rest)
            rest.clear()
        rest += last
        if len(rest) > MAX_LINE:
            raise ProblemError(TOO_LARGE, f"A line of it has more than {MAX_LINE // MIB} MiB.")
        share.take(max(0, 40 * len(rest) - held))
        held = max(held, 40 * len(rest))
    if rest.strip():
        yield bytes(rest)
