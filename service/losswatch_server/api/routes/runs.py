"""Runs: create, update, read, list, delete, finish, pause."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from losswatch_server.api.description import examples, schemas
from losswatch_server.api.description.describe import (
    Project,
    RunName,
    answer,
    body,
    refusals,
    schema_of,
)
from losswatch_server.api.description.requests import CONTEXT_REQUEST
from losswatch_server.api.http.access import UseCases, json_answer, read_json, read_model
from losswatch_server.api.http.negotiation import HTML, JSON, preferred
from losswatch_server.api.http.paging import LINK, Cursor, Limit, bad_cursor, link
from losswatch_server.api.http.problems import (
    INVALID_BODY,
    INVALID_REQUEST,
    MALFORMED_BODY,
    RUN_NOT_FOUND,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
)
from losswatch_server.api.http.site_pages import TO_ITS_PAGE, to_page
from losswatch_server.codec import BodyRefusedError, Problem, read_context, report_json, run_json
from losswatch_server.codec.problems import pointer, printable
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import RunState, Status
from losswatch_server.store.rows import RunFilter, RunOrder

router = APIRouter(tags=["runs"])

_BODY_REFUSALS = (MALFORMED_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_BODY)


@router.put(
    "/v1/runs/{run}",
    operation_id="declare_run",
    summary="Declare a run with its context",
    description="Idempotent, and optional: the first point creates the run too.",
    responses={
        **answer(200, schemas.Run, "The run existed already.", examples.RUN),
        **answer(201, schemas.Run, "The run was created.", examples.RUN),
        **refusals(*_BODY_REFUSALS),
    },
    openapi_extra=body(CONTEXT_REQUEST, ("context", examples.CONTEXT), required=False),
)
async def declare_run(request: Request, run: RunName, runs: UseCases, project: Project = "default") -> Response:
    row, created = await runs.upsert(project, run, await _read_context(request))
    location = f"/v1/runs/{run}" + ("" if project == "default" else f"?project={project}")
    return json_answer(run_json(row), 201 if created else 200, {"Location": location} if created else None)


@router.patch(
    "/v1/runs/{run}",
    operation_id="amend_run",
    summary="Amend a run's context",
    description="Given fields replace the earlier ones; tags and hyper-parameters are merged by name.",
    responses={
        **answer(200, schemas.Run, "Amended.", examples.RUN),
        **refusals(RUN_NOT_FOUND, *_BODY_REFUSALS),
    },
    openapi_extra=body(CONTEXT_REQUEST, ("context", examples.CONTEXT)),
)
async def amend_run(request: Request, run: RunName, runs: UseCases, project: Project = "default") -> Response:
    return json_answer(run_json(await runs.update(project, run, await _read_context(request))))


@router.get(
    "/v1/runs/{run}",
    operation_id="get_run",
    summary="Read a run",
    responses={**answer(200, schemas.Run, "The run.", examples.RUN), **refusals(RUN_NOT_FOUND)},
)
async def get_run(run: RunName, runs: UseCases, project: Project = "default") -> Response:
    return json_answer(run_json(await runs.get(project, run)))


@router.delete(
    "/v1/runs/{run}",
    operation_id="delete_run",
    summary="Delete a run with everything that belongs to it",
    description="Processes that still post to it get 410, so they do not create it again. The name can be reused.",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Deleted."}, **refusals(RUN_NOT_FOUND)},
)
async def delete_run(run: RunName, runs: UseCases, project: Project = "default") -> Response:
    await runs.delete(project, run)
    return Response(status_code=204)


@router.get(
    "/v1/runs",
    operation_id="list_runs",
    summary="List runs",
    responses={
        200: {
            **answer(200, schemas.Runs, "A page of runs.", examples.RUNS)[200],
            "headers": LINK,
        },
        303: TO_ITS_PAGE,
        **refusals(),
    },
)
async def list_runs(
    runs: UseCases,
    project: Project = "default",
    status: Annotated[Status | None, Query(description="Only runs of this status.")] = None,
    state: Annotated[RunState | None, Query(description="Only runs in this state.")] = None,
    tag: Annotated[
        str | None, Query(description="Only runs with this tag: its name, or name=value.", max_length=1300)
    ] = None,
    group: Annotated[str | None, Query(description="Only runs of this group (a sweep).", max_length=1024)] = None,
    q: Annotated[str | None, Query(description="Only runs whose name contains this.", max_length=256)] = None,
    order: Annotated[
        RunOrder,
        Query(description="`created`: newest first. `seen`: heard of last first. `status`: the worst status first."),
    ] = RunOrder.CREATED,
    cursor: Cursor = None,
    limit: Limit = 50,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    _refuse_unstorable(tag=tag, group=group, q=q, cursor=cursor)
    kept = {"project": project, "status": status, "state": state, "tag": tag, "group": group, "q": q}
    kept["order"] = None if order is RunOrder.CREATED else order
    if preferred(accept, (JSON, HTML)) == HTML:
        return to_page("/", **kept)
    try:
        rows, following = await runs.list(
            project, RunFilter(status, state, _tag(tag), group, q), order=order, cursor=cursor, limit=limit
        )
    except ValueError as error:
        if cursor is None:
            raise
        raise bad_cursor() from error
    headers = link("/v1/runs", following, limit, **kept)
    found = [run_json(row) for row in rows]
    return json_answer({"runs": found, "next_cursor": following}, headers={**headers, "Vary": "Accept"})


@router.post(
    "/v1/runs/{run}/finish",
    operation_id="finish_run",
    summary="Finish a run",
    description="Says how it ended; without a body: `finished`. A point after the end reopens the run.",
    responses={
        **answer(200, schemas.Report, "The last report.", examples.REPORT),
        **refusals(RUN_NOT_FOUND, *_BODY_REFUSALS),
    },
    openapi_extra=body(
        schema_of(schemas.Finish),
        ("finished", {"state": "finished"}),
        ("failed", {"state": "failed", "error": "OutOfMemoryError: CUDA out of memory."}),
        required=False,
    ),
)
async def finish_run(request: Request, run: RunName, runs: UseCases, project: Project = "default") -> Response:
    end = await read_model(request, schemas.Finish, empty=True)
    return json_answer(report_json(await runs.finish(project, run, RunState(end.state), end.error or "")))


@router.post(
    "/v1/runs/{run}/pause",
    operation_id="pause_run",
    summary="Announce a pause",
    description="For an evaluation or a checkpoint: the run does not count as silent during the pause.",
    responses={
        **answer(200, schemas.Run, "The run, with paused_until.", examples.RUN),
        **refusals(RUN_NOT_FOUND, *_BODY_REFUSALS),
    },
    openapi_extra=body(schema_of(schemas.Pause), ("ten minutes", {"seconds": 600})),
)
async def pause_run(request: Request, run: RunName, runs: UseCases, project: Project = "default") -> Response:
    pause = await read_model(request, schemas.Pause)
    return json_answer(run_json(await runs.pause(project, run, pause.seconds)))


async def _read_context(request: Request) -> Context:
    """``{"context": {…}}``, or nothing."""
    value: Any = await read_json(request, empty=True)
    if not isinstance(value, dict):
        raise BodyRefusedError([Problem("", 'the body must be an object: {"context": {"learning_rate": 0.01}}')])
    unknown = [name for name in value if name != "context"]
    if unknown:
        raise BodyRefusedError(
            [
                Problem(
                    pointer(name),
                    f'unknown field "{printable(name)}"; put it into context: '
                    f'{{"context": {{"{printable(name, 32)}": …}}}}',
                )
                for name in unknown
            ],
            len(unknown),
        )
    return read_context(value.get("context"), ("context",))


def _tag(text: str | None) -> tuple[str, str | None] | None:
    """``name``, or ``name=value``."""
    if text is None:
        return None
    key, given, value = text.partition("=")
    return key, value if given else None


def _refuse_unstorable(**texts: str | None) -> None:
    """Reject NUL and lone surrogates: they cannot be stored or queried."""
    for name, text in texts.items():
        if text is not None and ("\x00" in text or any("\ud800" <= char <= "\udfff" for char in text)):
            detail = f"{name} contains a character that no run can have"
            raise ProblemError(INVALID_REQUEST, f"The parameter {detail}; remove it.", errors=[Problem(name, detail)])
