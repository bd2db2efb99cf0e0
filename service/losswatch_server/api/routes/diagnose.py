"""``POST /v1/diagnose``: a verdict on points or a log that are not kept."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_logs import Columns
from losswatch_server import codec
from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.context_fields import CONTEXT
from losswatch_server.api.description.describe import PROJECT_PARAMETER, answer, body, refusals
from losswatch_server.api.description.requests import POINTS_REQUEST, context_in
from losswatch_server.api.http.body import DIAGNOSE_LIMIT, Sent, gunzip, receive, share_of, unless_gone
from losswatch_server.api.http.load import MIB, Share, Turns, cost_of_log, remedy_of_log
from losswatch_server.api.http.problems import (
    BUSY,
    INVALID_BODY,
    INVALID_REQUEST,
    MALFORMED_BODY,
    TOO_LARGE,
    UNREADABLE_LOG,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
)
from losswatch_server.codec import BodyRefusedError, Problem, context_from_text
from losswatch_server.codec.contexts import CHOICES, INTEGERS, NUMBERS, SIGNED, SWITCHES, TEXTS
from losswatch_server.monitor.faults import Fault
from losswatch_server.monitor.points import Context
from losswatch_server.runs.offline import answer_json, diagnose_bytes
from losswatch_server.workers import WorkerLostError, Workers

router = APIRouter(tags=["diagnose"])

AT_ONCE, WAITING = 2, 8
"""Diagnoses that run at the same time, and that wait: a large log takes seconds of a core, which live runs need too."""

LARGE = MIB
"""Bytes from which on a diagnosis has a process of its own: a third of a second of work, as long as starting one."""

_LEAVE_WAITING, _LEAVE_READING = 0.75, 0.125
"""The parts of the memory that bodies in line leave to the one that is read, and that one to points of live runs."""


MOST_SERIES = 100_000
COLUMNS = {
    "loss_column": "The column of the log that is the loss.",
    "step_column": "The column that counts the steps.",
    "validation_column": "The column that is the validation loss.",
    "gradient_norm_column": "The column that is the gradient norm.",
    "learning_rate_column": "The column that is the learning rate.",
    "epoch_column": "The column that counts the epochs.",
}


_RESOLUTION: dict[str, Any] = {
    "name": "resolution",
    "in": "query",
    "required": False,
    "description": "Answer with about so many of the points too, as `series`.",
    "schema": {"type": "integer", "minimum": 2, "maximum": MOST_SERIES},
}


def _column_parameters() -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in COLUMNS.items()
    ]


def _context_parameters() -> list[dict[str, Any]]:
    kinds = {
        **dict.fromkeys(NUMBERS, "number"),
        **dict.fromkeys(INTEGERS, "integer"),
        **dict.fromkeys(SWITCHES, "boolean"),
    }
    parameters = []
    for name in context_in["properties"]:
        if name not in TEXTS and name not in kinds:
            continue
        schema: dict[str, Any] = {"type": kinds.get(name, "string")}
        if name in CHOICES:
            schema["enum"] = list(CHOICES[name])
        if schema["type"] in ("number", "integer") and name not in SIGNED:
            schema["minimum"] = 0
        parameters.append(
            {"name": name, "in": "query", "required": False, "schema": schema, "description": CONTEXT[name]}
        )
    return parameters


@router.post(
    "/v1/diagnose",
    operation_id="diagnose",
    summary="Diagnose points or a training log; nothing is stored",
    description=(
        "Accepts the body of a points request, or a log as it is: console output, CSV, JSON lines, JSON columns, a "
        "notebook, a trainer state file. JSON without `points` or `step` is read as a log too. The context can be "
        "given as query parameters. `read` in the answer says what was read as what, and `read.doubts` where it may be "
        "wrong; the `…_column` parameters correct it. If a text holds several runs, the answer is the worst one's, and "
        "`reports` has all of them."
    ),
    responses={
        **answer(200, schemas.Diagnosis, "The diagnosis.", examples.DIAGNOSIS),
        **refusals(MALFORMED_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_BODY, UNREADABLE_LOG),
    },
    openapi_extra={
        "parameters": [*_context_parameters(), *_column_parameters(), _RESOLUTION, PROJECT_PARAMETER],
        **body(
            POINTS_REQUEST,
            ("points", examples.POINTS),
            ("one bare point", examples.POINT),
            text_plain={"schema": {"type": "string"}, "examples": {"a CSV file": {"value": examples.LOG}}},
        ),
    },
)
async def diagnose(request: Request) -> Response:
    """Read, fold in a thread or a process, answer."""
    context, columns = _asked(request)
    resolution = _resolution(request)
    sent = await receive(request, DIAGNOSE_LIMIT, leave=_LEAVE_WAITING)
    turns: Turns = request.app.state.diagnosing
    async with turns.turn():
        raw = await asyncio.to_thread(_admitted, sent, share_of(request))
        if len(raw) < LARGE:
            told = await asyncio.to_thread(diagnosed, raw, context, columns, resolution)
        else:
            told = await unless_gone(request, _beside(request, raw, context, columns, resolution))
    answer, faults = told
    request.app.state.faults.take(faults, "a diagnosis")
    return Response(answer, media_type="application/json")


async def _beside(request: Request, raw: bytes, *asked: Any) -> tuple[bytes, tuple[Fault, ...]]:
    """In a process of its own, or in a thread where there can be none."""
    workers: Workers = request.app.state.workers
    try:
        return await workers.run(diagnosed, raw, *asked)
    except WorkerLostError as error:
        raise ProblemError(BUSY, "The diagnosis was broken off. Send it again in a moment.") from error
    except OSError:
        return await asyncio.to_thread(diagnosed, raw, *asked)


def diagnosed(
    raw: bytes, context: Context, columns: Columns, resolution: int | None
) -> tuple[bytes, tuple[Fault, ...]]:
    """The answer, and what failed on the way."""
    diagnosis = diagnose_bytes(raw, context, columns=columns, resolution=resolution)
    return codec.dumps(answer_json(diagnosis)), diagnosis.faults


def _admitted(sent: Sent, share: Share) -> bytes:
    """The body unpacked, with memory taken for what is made of it."""
    raw = gunzip(sent.raw, DIAGNOSE_LIMIT, share, leave=_LEAVE_READING) if sent.packed else sent.raw
    if not raw.strip():
        raise ProblemError(MALFORMED_BODY, "The body is empty. Send points as JSON, or the text of a training log.")
    cost = cost_of_log(raw)
    room = int((1 - _LEAVE_READING) * share.memory.total) - share.held
    share.take(cost, leave=_LEAVE_READING, remedy="" if cost <= room else remedy_of_log(raw, cost, room))
    return raw


def _asked(request: Request) -> tuple[Context, Columns]:
    given = {name: text for name, text in request.query_params.items() if name not in ("project", "resolution")}
    columns = Columns(**{name.removesuffix("_column"): given.pop(name) for name in COLUMNS if name in given})
    try:
        return context_from_text(given), columns
    except BodyRefusedError as refusal:
        first = refusal.problems[0]
        raise ProblemError(INVALID_REQUEST, f"In the query: {first.detail}.", errors=refusal.problems) from refusal


def _resolution(request: Request) -> int | None:
    given = request.query_params.get("resolution")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 6 and 2 <= int(given) <= MOST_SERIES):
        detail = f"resolution must be a whole number from 2 to {MOST_SERIES}"
        raise ProblemError(INVALID_REQUEST, f"The parameter {detail}.", errors=[Problem("resolution", detail)])
    return int(given)
