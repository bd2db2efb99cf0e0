"""Silences: suppress notifications that match, for a limited time."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from losswatch_server.alerts.mute_rules import Matcher, MuteRule
from losswatch_server.api.description import silence_schemas as schemas
from losswatch_server.api.description.alert_schemas import read_time
from losswatch_server.api.description.describe import Project, answer, body, refusals, schema_of
from losswatch_server.api.http.access import json_answer, read_model
from losswatch_server.api.http.paging import LINK, MOST, Cursor, Limit, link, page_of
from losswatch_server.api.http.problems import SILENCE_NOT_FOUND, TOO_MANY, ProblemError, refused_body
from losswatch_server.api.routes.targets import BODY_REFUSALS, Targets
from losswatch_server.codec import BodyRefusedError, Problem, timestamp

router = APIRouter(tags=["silences"])

SilenceId = Annotated[
    str, Path(alias="id", description="The silence's id.", max_length=64, examples=["sil_9a8b7c6d5e4f3021"])
]


@router.post(
    "/v1/silences",
    operation_id="create_silence",
    summary="Add a silence",
    description="Suppresses matching notifications. Findings that are still open when it ends are reported then.",
    status_code=201,
    responses={**answer(201, schemas.Silence, "Added.", schemas.SILENCE), **refusals(*BODY_REFUSALS, TOO_MANY)},
    openapi_extra=body(
        schema_of(schemas.NewSilence),
        ("an hour for a sweep", {"matchers": [{"field": "group", "value": "lr-scan"}], "duration_s": 3600}),
    ),
)
async def create_silence(request: Request, targets: Targets, project: Project = "default") -> Response:
    asked = await read_model(request, schemas.NewSilence)
    starts_at = None if asked.starts_at is None else read_time(asked.starts_at)
    matchers = tuple(Matcher(field=m.field, operator=m.operator, value=m.value) for m in asked.matchers)
    try:
        silence = await targets.mute(project, matchers, starts_at, _end(asked, starts_at), asked.comment)
    except ValueError as error:
        raise _refused("/ends_at", str(error)) from error
    return json_answer(silence_json(silence), 201)


@router.get(
    "/v1/silences",
    operation_id="list_silences",
    summary="List the silences, including past ones",
    responses={
        200: {
            **answer(200, schemas.Silences, "The silences.", {"silences": [schemas.SILENCE], "next_cursor": None})[200],
            "headers": LINK,
        },
        **refusals(),
    },
)
async def list_silences(
    targets: Targets, project: Project = "default", cursor: Cursor = None, limit: Limit = MOST
) -> Response:
    silences = await targets.mute_rules(project)
    page, following = page_of(silences, lambda silence: (-silence.created_at, silence.id), cursor, limit)
    headers = link("/v1/silences", following, limit, project=project)
    answered = {"silences": [silence_json(silence) for silence in page], "next_cursor": following}
    return json_answer(answered, headers=headers)


@router.delete(
    "/v1/silences/{id}",
    operation_id="end_silence",
    summary="End a silence now",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Ended."}, **refusals(SILENCE_NOT_FOUND)},
)
async def end_silence(silence: SilenceId, targets: Targets, project: Project = "default") -> Response:
    await targets.end_mute_rule(project, silence)
    return Response(status_code=204)


def silence_json(silence: MuteRule) -> dict[str, Any]:
    """A silence."""
    return {
        "id": silence.id,
        "project": silence.project,
        "matchers": [{"field": m.field, "operator": m.operator, "value": m.value} for m in silence.matchers],
        "starts_at": timestamp(silence.starts_at),
        "ends_at": timestamp(silence.ends_at),
        "active": silence.starts_at <= time.time() < silence.ends_at,
        "comment": silence.comment,
        "created_at": timestamp(silence.created_at),
    }


def _end(asked: schemas.NewSilence, starts_at: float | None) -> float:
    if (asked.ends_at is None) == (asked.duration_s is None):
        raise _refused("", "give either ends_at or duration_s")
    if asked.ends_at is not None:
        return read_time(asked.ends_at)
    return (time.time() if starts_at is None else starts_at) + (asked.duration_s or 0.0)


def _refused(place: str, detail: str) -> ProblemError:
    return refused_body(BodyRefusedError([Problem(place, detail)], 1))
