"""``GET /v1/runs/{run}/points``: the series for charts, as JSON in pages, CSV or NDJSON."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Annotated, Any

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
from losswatch_server.codec.encoding import dumps_plain
from losswatch_server.monitor.points import MAX_STEP, SERIES
from losswatch_server.runs import Runs, StoredPoint
from losswatch_server.runs.answers import stored_point_json
from losswatch_server.runs.walk import POINTS

router = APIRouter(tags=["points"])

JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
_MEDIA_TYPES = (JSON, CSV, NDJSON)
PAGE = 10_000
"""Points on a page of JSON, unless fewer are asked for: about 1 MB."""
_FIELDS = (*SERIES, "time", "layers", "metrics")
"""What ``series`` may ask for."""
_SLICE = 256
"""Points written at a time: about a millisecond of work, after which the event loop gets its turn."""


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
        parts = _only_parts(await runs.series(project, run, **chosen), wanted)
        write = _ndjson_stream(parts) if media_type == NDJSON else _csv_stream(parts, runs, project, run, wanted)
        return StreamingResponse(write, headers=headers, media_type=media_type)
    try:
        points, following = await runs.points(
            project, run, **chosen, resolution=resolution, cursor=cursor, limit=None if resolution else limit
        )
    except ValueError as error:
        if cursor is None:
            raise
        raise bad_cursor() from error
    points = _only(points, wanted)
    share.take(_cost(points))
    if media_type == CSV:
        return StreamingResponse(_csv_rows(_once(points), _columns_of(points)), headers=headers, media_type=CSV)
    if media_type == NDJSON:
        return StreamingResponse(_ndjson_stream(_once(points)), headers=headers, media_type=NDJSON)
    kept = {"project": project, "from": from_step, "to": to_step, "attempt": attempt, "series": series}
    headers |= link(f"/v1/runs/{run}/points", following, limit, **kept)
    body = [b'{"points":[', b",".join([part async for part in _sliced(points, _json_list)])]
    body += [b'],"next_cursor":', codec.dumps(following), b"}"]
    return Response(b"".join(body), headers=headers, media_type=JSON)


def _wanted(series: str | None) -> frozenset[str] | None:
    """The fields that were asked for; None: all. Raises ProblemError for a name that is no series."""
    if series is None:
        return None
    names = frozenset(series.split(","))
    unknown = names.difference(_FIELDS)
    if unknown:
        detail = f"series has names that no point has; it may have {', '.join(_FIELDS)}"
        raise ProblemError(INVALID_REQUEST, f"The parameter {detail}.", errors=[Problem("series", detail)])
    return names


def _only(points: Sequence[StoredPoint], wanted: frozenset[str] | None) -> list[StoredPoint]:
    """The points with what is wanted of them; those that have nothing of it are left out."""
    if wanted is None:
        return list(points)
    dropped: dict[str, Any] = dict.fromkeys((name for name in _FIELDS if name not in wanted), None)
    has_loss = "loss" in wanted
    found = []
    for stored in points:
        point = stored.point._replace(**dropped, loss_is_null=stored.point.loss_is_null and has_loss)
        if point.loss_is_null or any(getattr(point, name) is not None for name in wanted):
            found.append(stored._replace(point=point))
    return found


async def _only_parts(
    parts: AsyncIterator[Sequence[StoredPoint]], wanted: frozenset[str] | None
) -> AsyncIterator[Sequence[StoredPoint]]:
    async for points in parts:
        yield _only(points, wanted)


def _cost(points: Sequence[StoredPoint]) -> int:
    """Bytes of memory, at most, for writing the points: each, and every number by name that it has."""
    named = sum(len(p.point.layers or ()) + len(p.point.metrics or ()) for p in points)
    return POINT * len(points) + VALUE * named


async def _once(points: Sequence[StoredPoint]) -> AsyncIterator[Sequence[StoredPoint]]:
    yield points


async def _sliced(
    points: Sequence[StoredPoint], write: Callable[[Sequence[StoredPoint]], bytes]
) -> AsyncIterator[bytes]:
    """The points written a slice at a time, with turns for others between."""
    for start in range(0, len(points), _SLICE):
        if start:
            await asyncio.sleep(0)
        yield write(points[start : start + _SLICE])


def _json_list(points: Iterable[StoredPoint]) -> bytes:
    return b",".join(dumps_plain(stored_point_json(stored)) for stored in points)


def _ndjson(points: Iterable[StoredPoint]) -> bytes:
    return b"".join(dumps_plain(stored_point_json(stored)) + b"\n" for stored in points)


async def _ndjson_stream(parts: AsyncIterator[Sequence[StoredPoint]]) -> AsyncIterator[bytes]:
    """One object a line."""
    async for points in parts:
        async for text in _sliced(points, _ndjson):
            yield text


async def _csv_stream(
    parts: AsyncIterator[Sequence[StoredPoint]], runs: Runs, project: str, run: str, wanted: frozenset[str] | None
) -> AsyncIterator[bytes]:
    """A column for every series that has a value, layers and metrics as ``layers.NAME`` and ``metrics.NAME``.

    What fits into one part has the columns of its own points, anything longer those of the whole run.
    """
    first = await anext(parts, ())
    second = await anext(parts, None)
    columns = _columns_of(first) if second is None else _ordered(_chosen(await runs.columns(project, run), wanted))

    async def together() -> AsyncIterator[Sequence[StoredPoint]]:
        yield first
        if second is not None:
            yield second
            async for points in parts:
                yield points

    async for text in _csv_rows(together(), columns):
        yield text


async def _csv_rows(parts: AsyncIterator[Sequence[StoredPoint]], columns: Sequence[str]) -> AsyncIterator[bytes]:
    def rows(points: Iterable[StoredPoint]) -> bytes:
        text = io.StringIO()
        csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n").writerows(
            _flat(stored_point_json(stored)) for stored in points
        )
        return text.getvalue().encode("utf-8", "backslashreplace")

    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow(columns)
    yield head.getvalue().encode("utf-8", "backslashreplace")
    async for points in parts:
        async for text in _sliced(points, rows):
            yield text


def _chosen(columns: set[str], wanted: frozenset[str] | None) -> set[str]:
    return {name for name in columns if wanted is None or name == "rank" or name.partition(".")[0] in wanted}


def _columns_of(points: Iterable[StoredPoint]) -> list[str]:
    return _ordered({name for stored in points for name in _flat(stored_point_json(stored))})


def _ordered(found: set[str]) -> list[str]:
    """Step, attempt and whether it was superseded, then what was found: series in their order, the rest by name."""
    first = ("step", "attempt", "superseded", *SERIES, "time", "rank")
    columns = [name for name in first if name in found or name in first[:3]]
    return columns + sorted(found.difference(columns))


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in data.items():
        match value:
            case dict():
                row.update({f"{name}.{key}": item for key, item in value.items()})
            case bool():
                row[name] = "true" if value else "false"
            case None:
                row[name] = ""
            case _:
                row[name] = value
    return row
