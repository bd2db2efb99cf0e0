"""The delivery log of a target; sending again what did not arrive."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from losswatch_server.alerts import row_codec
from losswatch_server.api.description import alert_schemas as schemas
from losswatch_server.api.description.describe import Project, answer, body, refusals, schema_of
from losswatch_server.api.http.access import json_answer, read_model
from losswatch_server.api.http.paging import LINK, Cursor, Limit, bad_cursor, link
from losswatch_server.api.http.problems import DELIVERY_NOT_FOUND, TARGET_NOT_FOUND
from losswatch_server.api.routes.targets import BODY_REFUSALS, TargetId, Targets
from losswatch_server.codec import timestamp
from losswatch_server.store.alerting.deliveries import DeliveryRow

router = APIRouter(tags=["targets"])

_PAGE = {"deliveries": [schemas.DELIVERY], "next_cursor": None}
DAY_S = 86_400.0

DeliveryId = Annotated[
    str, Path(alias="delivery", description="The delivery's id.", max_length=64, examples=[schemas.DELIVERY["id"]])
]


@router.get(
    "/v1/targets/{id}/deliveries",
    operation_id="list_deliveries",
    summary="List the deliveries of a target",
    description="Newest first, with the outcome of each. Kept for 30 days.",
    responses={
        200: {
            **answer(200, schemas.Deliveries, "A page of deliveries.", _PAGE)[200],
            "headers": LINK,
        },
        **refusals(TARGET_NOT_FOUND),
    },
)
async def list_deliveries(
    target: TargetId,
    targets: Targets,
    project: Project = "default",
    state: Annotated[schemas.DeliveryState | None, Query(description="Only deliveries in this state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise bad_cursor()
    before = None if cursor is None else int(cursor)
    rows = await targets.log(project, target, state=state, before=before, limit=limit + 1)
    following = str(rows[limit - 1].number) if len(rows) > limit else None
    headers = link(f"/v1/targets/{target}/deliveries", following, limit, project=project, state=state)
    answered = {"deliveries": [delivery_json(row) for row in rows[:limit]], "next_cursor": following}
    return json_answer(answered, headers=headers)


@router.post(
    "/v1/targets/{id}/deliveries/{delivery}/redeliver",
    operation_id="redeliver",
    summary="Send a notification again",
    description="Under the same id, even if it has arrived. Receivers recognise copies by the id.",
    status_code=202,
    responses={
        **answer(202, schemas.Delivery, "It will be sent.", {**schemas.DELIVERY, "state": "pending"}),
        **refusals(TARGET_NOT_FOUND, DELIVERY_NOT_FOUND),
    },
)
async def redeliver(target: TargetId, delivery: DeliveryId, targets: Targets, project: Project = "default") -> Response:
    return json_answer(delivery_json(await targets.redeliver(project, target, delivery)), 202)


@router.post(
    "/v1/targets/{id}/recover",
    operation_id="recover_deliveries",
    summary="Send all failed notifications again",
    description="Those since a given time, or without a body of the last 24 hours, in order: for use after an outage.",
    status_code=202,
    responses={
        **answer(202, schemas.Recovered, "They will be sent.", {"recovered": 3}),
        **refusals(TARGET_NOT_FOUND, *BODY_REFUSALS),
    },
    openapi_extra=body(schema_of(schemas.Recover), ("since noon", {"since": "2026-11-21T12:00:00Z"}), required=False),
)
async def recover_deliveries(
    request: Request, target: TargetId, targets: Targets, project: Project = "default"
) -> Response:
    asked = await read_model(request, schemas.Recover, empty=True)
    since = time.time() - DAY_S if asked.since is None else schemas.read_time(asked.since)
    recovered = await targets.recover(project, target, since)
    return json_answer({"recovered": recovered}, 202)


def delivery_json(row: DeliveryRow) -> dict[str, Any]:
    """A delivery with its tries."""
    try:
        said = row_codec.message_from(row)
        title, runs = said.title, list(said.runs)[:100]
    except row_codec.DamagedRowError:
        title, runs = "(damaged)", []
    return {
        "id": row.id,
        "number": row.number,
        "title": title,
        "runs": runs,
        "reason": row.reason,
        "state": row.state,
        "tries": row.tries,
        "status": row.status,
        "detail": row.detail,
        "created_at": timestamp(row.created_at),
        "next_at": timestamp(row.next_at) if row.state == "pending" else None,
        "finished_at": timestamp(row.finished_at),
        "attempts": [{**one, "at": timestamp(one["at"])} for one in row_codec.tries_from(row)],
    }
