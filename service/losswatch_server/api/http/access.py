"""How endpoints reach the use cases, read small JSON bodies, and answer in strict JSON."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from losswatch_server import codec
from losswatch_server.api.http.body import SMALL_LIMIT, read_as
from losswatch_server.api.http.problems import STOPPING, ProblemError, refused_body
from losswatch_server.codec import BodyRefusedError, Problem
from losswatch_server.codec.bodies import parse_json
from losswatch_server.codec.problems import pointer
from losswatch_server.runs import Runs

M = TypeVar("M", bound=BaseModel)


def runs_of(request: Request) -> Runs:
    """The use cases of this service. Raises ProblemError 503 before they are there."""
    runs = getattr(request.app.state, "runs", None)
    if runs is None:
        raise ProblemError(STOPPING, "The service is starting; send it again in a moment.")
    return cast("Runs", runs)


async def _runs(request: Request) -> Runs:
    return runs_of(request)  # a plain function would cost a turn through the thread pool


UseCases = Annotated[Runs, Depends(_runs)]


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Strict JSON."""
    return Response(codec.dumps(value), status, headers, "application/json")


async def read_model(request: Request, model: type[M], *, empty: bool = False) -> M:
    """The body as ``model``. ``empty`` takes no body at all as ``{}``. Raises ProblemError and BodyRefusedError."""
    value = await read_json(request, empty=empty)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        problems = [Problem(pointer(*fault["loc"]), _told(fault, model)) for fault in faults]
        raise refused_body(BodyRefusedError(problems, len(problems))) from error


def _told(fault: Any, model: type[BaseModel]) -> str:
    """What is wrong with a place of a body, in plain words; pydantic's own where they are plain."""
    name, message = str(fault["loc"][-1]) if fault["loc"] else "", str(fault["msg"])
    if fault["type"] == "extra_forbidden":
        known = model.model_fields if len(fault["loc"]) == 1 else ()
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        return f'unknown field "{name}"' + (f": did you mean {close[0]}?" if close else "")
    if fault["type"] == "missing":
        return f"{name} is missing"
    if fault["type"] == "string_pattern_mismatch":  # of a silence: the one pattern in a body
        return f"{name} must be run, group, condition, severity, or tag: and a tag's name"
    return message[:1].lower() + message[1:]


async def read_json(request: Request, *, empty: bool = False) -> Any:
    """The body as JSON, whatever its content type."""
    return await read_as(request, SMALL_LIMIT, _or_empty if empty else parse_json)


def _or_empty(raw: bytes) -> Any:
    return parse_json(raw) if raw.strip() else {}
