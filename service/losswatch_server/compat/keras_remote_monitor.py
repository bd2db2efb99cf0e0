"""Keras' ``RemoteMonitor``: a form with ``data={"epoch": 3, "loss": 0.7, "val_loss": 0.9}`` after each epoch."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch.metric_names import field
from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import SLUG, Project, RunName, answer, refusals
from losswatch_server.api.http.access import json_answer
from losswatch_server.api.http.body import SMALL_LIMIT, read_as
from losswatch_server.api.http.problems import (
    INVALID_BODY,
    MALFORMED_BODY,
    RUN_GONE,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    refused_body,
)
from losswatch_server.api.routes.points import counts, invalid_slug
from losswatch_server.codec import BodyRefusedError, NotJsonError, Problem
from losswatch_server.codec.bodies import parse_json
from losswatch_server.codec.numbers import NumberRefusedError, read_number
from losswatch_server.codec.problems import pointer
from losswatch_server.compat.series import Logged
from losswatch_server.monitor.points import MAX_STEP, Context

router = APIRouter(tags=["points"])

PATH = "/v1/compat/keras"
MAX_FIELDS = 64
"""Fields of a form; Keras sends one."""
_CONTEXT = Context(framework="keras", step_unit="epoch")
_EXAMPLE = {"epoch": 3, "loss": 0.71, "val_loss": 0.93, "accuracy": 0.61}
_CONTENT = {
    "application/json": {
        "schema": {"type": "object", "additionalProperties": True, "minProperties": 1},
        "examples": {"an epoch": {"value": _EXAMPLE}},
    },
    "application/x-www-form-urlencoded": {
        "schema": {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]},
        "examples": {"an epoch": {"value": {"data": json.dumps(_EXAMPLE)}}},
    },
}


@router.post(
    f"{PATH}/{{run}}",
    operation_id="post_keras_epoch",
    summary="Take what Keras' RemoteMonitor sends",
    description=(
        "`keras.callbacks.RemoteMonitor(root='http://…/v1/compat/keras/my-run')` needs nothing else; its default "
        "path, `/publish/epoch/end/`, may follow. A form field holds the JSON, or the body is that JSON. The epoch is "
        "the step; an epoch that comes again begins a new attempt."
    ),
    responses={
        **answer(200, schemas.CountsOnly, "Stored.", examples.COUNTED),
        **refusals(MALFORMED_BODY, RUN_GONE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_BODY),
    },
    openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
)
async def post_epoch(request: Request, run: RunName, project: Project = "default") -> Response:
    return await _take(request, project, run)


@router.post(f"{PATH}/{{run}}/publish/epoch/end/", include_in_schema=False)
async def post_epoch_below(request: Request, run: RunName, project: Project = "default") -> Response:
    return await _take(request, project, run)


@router.post(PATH, include_in_schema=False)
@router.post(f"{PATH}/publish/epoch/end/", include_in_schema=False)
async def post_epoch_of(request: Request, run: str = "", project: Project = "default") -> Response:
    """The run is named by the query, or by a header."""
    name = run or request.headers.get("x-losswatch-run", "")
    if not re.fullmatch(SLUG.removesuffix("$"), name):
        raise invalid_slug("run", "the run's name, in the path, ?run= or the header X-Losswatch-Run,")
    return await _take(request, project, name)


async def _take(request: Request, project: str, run: str) -> Response:
    step, numbers = await read_as(request, SMALL_LIMIT, _read)
    logged = [Logged(name, value, step, None) for name, value in numbers.items()]
    recorded = await request.app.state.compat.record(
        request, project, run, logged, lambda known: _CONTEXT, steps_count=True
    )
    return json_answer(counts(recorded))


def _read(raw: bytes) -> tuple[int | None, dict[str, float]]:
    """The epoch, and the numbers of one post."""
    values = _values(raw)
    if not isinstance(values, dict):
        raise refused_body(BodyRefusedError([Problem("", "the data must be an object, such as " + str(_EXAMPLE))]))
    step: int | None = None
    numbers: dict[str, float] = {}
    problems: list[Problem] = []
    for name, value in values.items():
        try:
            number = read_number(value, str(name))
        except NumberRefusedError as refusal:
            problems.append(Problem(pointer(str(name)), str(refusal)))
            continue
        if number is None or not name:
            continue
        if step is None and field(name) in ("epoch", "step") and number.is_integer() and 0 <= number <= MAX_STEP:
            step = int(number)
        else:
            numbers[name] = number
    if not problems and not numbers:
        problems.append(Problem("", "there is no number but the epoch in it"))
    if problems:
        raise refused_body(BodyRefusedError(problems, len(problems)))
    return step, numbers


def _values(raw: bytes) -> Any:
    """The JSON of the body, or of the field of a form that holds JSON, ``data`` if there is one."""
    try:
        return parse_json(raw)
    except NotJsonError:
        try:
            form = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            form = {}
        text = form.get("data") or next((value for value in form.values() if value.lstrip().startswith("{")), None)
        if text is None:
            raise
        return parse_json(text.encode("utf-8", "replace"))
