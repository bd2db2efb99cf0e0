"""``GET /v1/runs/{run}/points``: the series for charts, as JSON, CSV or NDJSON."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from losswatch_server import wire
from losswatch_server.api import examples, schemas
from losswatch_server.api.access import UseCases
from losswatch_server.api.describe import Project, RunName, answer, refusals
from losswatch_server.api.negotiation import preferred
from losswatch_server.api.problems import RUN_NOT_FOUND
from losswatch_server.monitor.points import MAX_STEP, SERIES
from losswatch_server.runs import StoredPoint

router = APIRouter(tags=["points"])

JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
_MEDIA_TYPES = (JSON, CSV, NDJSON)


@router.get(
    "/v1/runs/{run}/points",
    operation_id="get_points",
    summary="Read the series of a run",
    description=(
        "By ascending step and attempt. JSON, CSV or NDJSON by `Accept`. With `resolution` the series are thinned to "
        "about so many points; the extremes of each stretch and every non-finite point stay."
    ),
    responses={
        200: {
            "description": "The points.",
            "content": {
                **answer(200, schemas.Points, "", examples.SERIES)[200]["content"],
                CSV: {"schema": {"type": "string"}, "example": examples.SERIES_CSV},
                NDJSON: {"schema": {"type": "string"}, "example": examples.SERIES_NDJSON},
            },
        },
        **refusals(RUN_NOT_FOUND),
    },
)
async def get_points(
    run: RunName,
    runs: UseCases,
    project: Project = "default",
    from_step: Annotated[int | None, Query(alias="from", description="The first step.", ge=0, le=MAX_STEP)] = None,
    to_step: Annotated[int | None, Query(alias="to", description="The last step.", ge=0, le=MAX_STEP)] = None,
    attempt: Annotated[int | None, Query(description="Only points of this attempt.", ge=1, le=2**31 - 1)] = None,
    resolution: Annotated[int | None, Query(description="About so many points.", ge=2, le=100_000)] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    points = await runs.points(
        project, run, from_step=from_step, to_step=to_step, attempt=attempt, resolution=resolution
    )
    media_type = preferred(accept, _MEDIA_TYPES)
    write = {JSON: as_json, CSV: as_csv, NDJSON: as_ndjson}[media_type]
    content = write(points) if len(points) <= 1000 else await asyncio.to_thread(write, points)
    return Response(content, headers={"Vary": "Accept"}, media_type=media_type)


def as_json(points: Sequence[StoredPoint]) -> bytes:
    """``{"points": […]}``."""
    return wire.dumps({"points": [_json(stored) for stored in points]})


def as_ndjson(points: Sequence[StoredPoint]) -> bytes:
    """One object a line."""
    return b"".join(wire.dumps(_json(stored)) + b"\n" for stored in points)


def as_csv(points: Sequence[StoredPoint]) -> str:
    """A column for every series that has a value; layers and metrics as ``layers.NAME`` and ``metrics.NAME``."""
    rows = [_flat(_json(stored)) for stored in points]
    found = {name for row in rows for name in row}
    first = ("step", "attempt", "superseded", *SERIES, "time", "rank")
    columns = [name for name in first if name in found or name in first[:3]]
    columns += sorted(found.difference(columns))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(stored: StoredPoint) -> dict[str, Any]:
    return {**wire.point_json(stored.point), "attempt": stored.attempt, "superseded": stored.superseded}


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
