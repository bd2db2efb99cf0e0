"""``GET /v1/runs/{run}/points``: the series for charts, as JSON in pages, CSV or NDJSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Annotated, ParamSpec, TypeVar

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from losswatch_server import codec
from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import Project, RunName, answer, refusals
from losswatch_server.api.http.access import UseCases
from losswatch_server.api.http.body import share_of
from losswatch_server.api.http.load import POINT, VALUE
from losswatch_server.api.http.negotiation import preferred
from losswatch_server.api.http.paging import LINK, Cursor, bad_cursor, link
from losswatch_server.api.http.problems import INVALID_REQUEST, RUN_NOT_FOUND, ProblemError
from losswatch_server.codec import Problem
from losswatch_server.monitor.points import MAX_STEP
from losswatch_server.runs import StoredPoint, written
from losswatch_server.runs.walk import POINTS

P = ParamSpec("P")
T = TypeVar("T")
router = APIRouter(tags=["points"])

JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
_MEDIA_TYPES = (JSON, CSV, NDJSON)
PAGE = 10_000
"""Points on a page of JSON, unless fewer are asked for: about 1 MB."""
FEW = 256
"""Points that are written where they are: about a millisecond of work. More are written in a thread."""
_SLICE = 2048
"""Points of a stream that are written at a time."""


@router.get(
    "/v1/runs/{run}/points",
    operation_id="get_points",
    summary="Read the series of a run",
    description=(
        "In ascending order of attempt and step; JSON, CSV or NDJSON by `Accept`. JSON comes in pages: `next_cursor` "
        "leads to the next one, and points that arrive in the meantime do not shift the pages. CSV and NDJSON are "
        "streams of the whole series. With `resolution` the series are thinned to about that many points, on one page. "
        "Thinning keeps the extremes of each stretch and every non-finite point; of more than eight non-finite points "
        "in a row in a long run it keeps only the ends of each stretch. In long runs (more than about 30,000 points in "
        "the range) thinned points may lack fields that were added to their step much later, and only the first of "
        "each stretch has `layers` and `metrics`. A narrower range (`from`, `to`) shows more."
    ),
    responses={
        200: {
            "description": "The points.",
            "content": {
                **answer(200, schemas.Points, "", examples.SERIES)[200]["content"],
                CSV: {"schema": {"type": "string"}, "example": examples.SERIES_CSV},
                NDJSON: {"schema": {"type": "string"}, "example": examples.SERIES_NDJSON},
            },
            "headers": LINK,
        },
        **refusals(RUN_NOT_FOUND),
    },
)
async def get_points(
    request: Request,
    run: RunName,
    runs: UseCases,
    project: Project = "default",
    from_step: Annotated[int | None, Query(alias="from", description="The first step.", ge=0, le=MAX_STEP)] = None,
    to_step: Annotated[int | None, Query(alias="to", description="The last step.", ge=0, le=MAX_STEP)] = None,
    attempt: Annotated[int | None, Query(description="Only points of this attempt.", ge=1, le=2**31 - 1)] = None,
    series: Annotated[
        str | None,
        Query(
            description="Only these, with commas between: `loss,learning_rate`. Also `layers`, `metrics`, `epoch`, "
            "`time`. Step and attempt always come, and points that have none of them are left out.",
            max_length=256,
            examples=["loss,grad_norm"],
        ),
    ] = None,
    resolution: Annotated[int | None, Query(description="Roughly how many points.", ge=2, le=100_000)] = None,
    limit: Annotated[int, Query(description="Points on a page of JSON.", ge=1, le=PAGE)] = PAGE,
    cursor: Cursor = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    media_type = preferred(accept, _MEDIA_TYPES)
    headers = {"Vary": "Accept"}
    wanted = _wanted(series)
    chosen: dict[str, int | None] = {"from_step": from_step, "to_step": to_step, "attempt": attempt}
    share = share_of(request)
    if resolution is None and media_type != JSON:
        share.take(POINT * POINTS)  # of a stream so many points are in memory at a time
        whole = await runs.series(project, run, **chosen, wanted=wanted)
        text = whole.ndjson() if media_type == NDJSON else whole.csv()
        return StreamingResponse(text, headers=headers, media_type=media_type)
    try:
        points, following = await runs.points(
            project, run, **chosen, resolution=resolution, cursor=cursor, limit=None if resolution else limit
        )
    except ValueError as error:
        if cursor is None:
            raise
        raise bad_cursor() from error
    points, cost = await beside_the_loop(len(points), _chosen, points, wanted)
    share.take(cost)
    if media_type == CSV:
        columns = await beside_the_loop(len(points), written.columns_of, points)
        write = partial(written.csv_rows, columns=columns)
        return StreamingResponse(_sliced(points, write, written.csv_head(columns)), headers=headers, media_type=CSV)
    if media_type == NDJSON:
        return StreamingResponse(_sliced(points, written.ndjson), headers=headers, media_type=NDJSON)
    kept = {"project": project, "from": from_step, "to": to_step, "attempt": attempt, "series": series}
    headers |= link(f"/v1/runs/{run}/points", following, limit, **kept)
    listed = await beside_the_loop(len(points), written.json_list, points)
    body = b"".join((b'{"points":[', listed, b'],"next_cursor":', codec.dumps(following), b"}"))
    return Response(body, headers=headers, media_type=JSON)


def _wanted(series: str | None) -> frozenset[str] | None:
    """The fields that were asked for; None: all. Raises ProblemError for a name that is no series."""
    if series is None:
        return None
    names = frozenset(series.split(","))
    unknown = names.difference(written.FIELDS)
    if unknown:
        detail = f"series has names that no point has; it may have {', '.join(written.FIELDS)}"
        raise ProblemError(INVALID_REQUEST, f"The parameter {detail}.", errors=[Problem("series", detail)])
    return names


def _chosen(points: Sequence[StoredPoint], wanted: written.Wanted) -> tuple[list[StoredPoint], int]:
    """What is wanted of the points, and the bytes of memory, at most, for writing it: for each point, and every number
    by name that it has."""
    left = written.only(points, wanted)
    named = sum(len(p.point.layers or ()) + len(p.point.metrics or ()) for p in left)
    return left, POINT * len(left) + VALUE * named


async def _sliced(points: Sequence[StoredPoint], write: written.Write, head: bytes = b"") -> AsyncIterator[bytes]:
    """The points written a slice at a time."""
    if head:
        yield head
    for start in range(0, len(points), _SLICE):
        part = points[start : start + _SLICE]
        yield await beside_the_loop(len(part), write, part)


async def beside_the_loop(count: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What ``work`` makes of so many points; of many in a thread, so that nobody who posts waits for it."""
    return work(*given, **named) if count <= FEW else await asyncio.to_thread(work, *given, **named)
