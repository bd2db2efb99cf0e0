"""Runs: begin, log, end, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from losswatch_server.api.description.describe import SLUG, Project
from losswatch_server.api.http.access import UseCases, json_answer
from losswatch_server.api.http.authentication import MAY_READ
from losswatch_server.compat.contexts import description
from losswatch_server.compat.mlflow.answers import info_json, run_json, values_of
from losswatch_server.compat.mlflow.errors import invalid, missing
from losswatch_server.compat.mlflow.identity import DEFAULT_NAME, RUN_ID, experiment_name, run_id
from losswatch_server.compat.mlflow.requests import PREFIX, fields, items, metric, pairs, parameters, texts
from losswatch_server.compat.mlflow.search import check_order, filter_of
from losswatch_server.compat.recording import Recording
from losswatch_server.compat.series import Logged
from losswatch_server.monitor.points import EMPTY_CONTEXT, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import RunNotFoundError, RunRow, Runs
from losswatch_server.store.rows import RunFilter

router = APIRouter(prefix=PREFIX, include_in_schema=False)
pages = APIRouter(include_in_schema=False)

_ENDS = {"FINISHED": RunState.FINISHED, "FAILED": RunState.FAILED, "KILLED": RunState.CANCELLED}
MACHINE = "system/"
"""How MLflow calls what it measures of the machine, in steps of its own: no part of the training, and not kept."""
LOOKED_BACK = 10_000
"""Steps of which a run's latest metrics are read."""
MAX_RESULTS = 1000


@router.post("/runs/create")
async def create(request: Request, runs: UseCases, project: Project = "default") -> Response:
    """A new run each time, as with MLflow; a name that is taken gets a number."""
    body = await fields(request)
    group = experiment_name(str(body.get("experiment_id") or "0"))
    if group is None:
        raise missing(f"No experiment has the id {str(body.get('experiment_id'))[:80]!r}.")
    tags = pairs(items(body, "tags"))
    wanted = str(body.get("run_name") or tags.get("mlflow.runName") or f"run-{body.get('start_time') or ''}")
    row = await _new(runs, project, wanted, tags, None if group == DEFAULT_NAME else group)
    return json_answer({"run": run_json(row, ())})


async def _new(runs: Runs, project: str, wanted: str, tags: Mapping[str, str], group: str | None) -> RunRow:
    number = 0
    while True:
        name = run_id(wanted, number)
        number += 1
        try:
            await runs.get(project, name)
        except RunNotFoundError:
            context = description({}, tags, group)(EMPTY_CONTEXT) or EMPTY_CONTEXT
            row, created = await runs.upsert(project, name, context)
            if created:
                return row


@router.get("/runs/get")
async def get(
    request: Request, runs: UseCases, run_id: str = "", run_uuid: str = "", project: Project = "default"
) -> Response:
    row = await _known(runs, project, run_id or run_uuid)
    return json_answer({"run": await _whole(request, runs, row)})


@router.post("/runs/update")
async def update(request: Request, runs: UseCases, project: Project = "default") -> Response:
    """The end of a run, or that it is taken up again. A run keeps its name."""
    body = await fields(request)
    row = await _of(runs, project, body)
    status = str(body.get("status") or "")
    if status in _ENDS:
        await runs.finish(project, row.name, _ENDS[status])
    elif status in ("RUNNING", "SCHEDULED"):
        await recording(request).resume(request, project, row.name)
    elif status:
        raise invalid(f"There is no status {status[:40]!r}.")
    return json_answer({"run_info": info_json(await runs.get(project, row.name))})


@router.post("/runs/log-metric")
async def log_metric(request: Request, runs: UseCases, project: Project = "default") -> Response:
    body = await fields(request)
    return await _log(request, await _of(runs, project, body), [metric(body)])


@router.post("/runs/log-parameter")
async def log_parameter(request: Request, runs: UseCases, project: Project = "default") -> Response:
    body = await fields(request)
    return await _log(request, await _of(runs, project, body), given=parameters([body]))


@router.post("/runs/set-tag")
async def set_tag(request: Request, runs: UseCases, project: Project = "default") -> Response:
    body = await fields(request)
    return await _log(request, await _of(runs, project, body), tags=pairs([body]))


@router.post("/runs/log-batch")
async def log_batch(request: Request, runs: UseCases, project: Project = "default") -> Response:
    body = await fields(request)
    row = await _of(runs, project, body)
    logged = [one for one in map(metric, items(body, "metrics")) if not one.name.startswith(MACHINE)]
    return await _log(request, row, logged, parameters(items(body, "params")), pairs(items(body, "tags")))


@router.post("/runs/log-inputs")
@router.post("/runs/outputs")
@router.post("/runs/log-model")
async def log_others(request: Request, runs: UseCases, project: Project = "default") -> Response:
    """Data sets and models, which are not kept: a training that says what it uses goes on."""
    await _of(runs, project, await fields(request))
    return json_answer({})


@router.get("/metrics/get-history")
async def get_history(
    runs: UseCases,
    request: Request,
    metric_key: str = "",
    run_id: str = "",
    run_uuid: str = "",
    page_token: str = "",
    max_results: int = 25_000,
    project: Project = "default",
) -> Response:
    """Every value of one metric. A page has the values of as many points as ``max_results`` says."""
    row = await _known(runs, project, run_id or run_uuid)
    names = await recording(request).names(request, project, row.name)
    try:
        points, following = await runs.points(
            project, row.name, cursor=page_token or None, limit=max(1, min(max_results, 25_000))
        )
    except ValueError as error:
        raise invalid("page_token must be the next_page_token of the page before.") from error
    found = [
        value
        for value in values_of((one.point for one in points), row, names)
        if metric_key in (value["key"], _own_name(value["key"], names))
    ]
    return json_answer({"metrics": found, **({"next_page_token": following} if following else {})})


@router.post("/runs/search")
async def search(request: Request, runs: UseCases, project: Project = "default") -> Response:
    """Runs of some experiments, newest first."""
    body = await fields(request)
    check_order(texts(body, "order_by"))
    fits = filter_of(str(body.get("filter") or ""))
    groups = {experiment_name(id_) for id_ in texts(body, "experiment_ids")}
    limit = body.get("max_results")
    limit = limit if isinstance(limit, int) and 0 < limit <= MAX_RESULTS else MAX_RESULTS
    try:
        rows, following = await runs.list(
            project, RunFilter(), cursor=str(body.get("page_token") or "") or None, limit=limit
        )
    except ValueError as error:
        raise invalid("page_token must be the next_page_token of the page before.") from error
    chosen = [row for row in rows if (row.context.group or DEFAULT_NAME) in groups and fits(row)]
    found = [await _whole(request, runs, row) for row in chosen]
    return json_answer({"runs": found, **({"next_page_token": following} if following else {})})


@router.get("/artifacts/list")
async def list_artifacts(
    runs: UseCases, run_id: str = "", run_uuid: str = "", project: Project = "default"
) -> Response:
    """None: artifacts stay where the client runs."""
    row = await _known(runs, project, run_id or run_uuid)
    return json_answer({"root_uri": info_json(row)["artifact_uri"], "files": []})


@pages.get("/mlflow/{project}")
@pages.get("/mlflow/{project}/")
async def to_the_runs(project: Annotated[str, Path(pattern=SLUG)]) -> Response:
    """What a client prints as the address of its run, where its tracking URI names a project."""
    return RedirectResponse(f"/?project={project}", 303)


def recording(request: Request) -> Recording:
    """What takes the numbers."""
    return cast("Recording", request.app.state.compat)


async def _log(
    request: Request,
    row: RunRow,
    logged: Sequence[Logged] = (),
    given: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Response:
    await recording(request).record(request, row.project, row.name, logged, description(given or {}, tags))
    return json_answer({})


async def _of(runs: Runs, project: str, body: Mapping[str, Any]) -> RunRow:
    return await _known(runs, project, str(body.get("run_id") or body.get("run_uuid") or ""))


async def _known(runs: Runs, project: str, id_: str) -> RunRow:
    """The run of this id. What is logged to a run that was deleted creates no other."""
    if RUN_ID.fullmatch(id_):
        try:
            return await runs.get(project, id_)
        except RunNotFoundError:
            pass
    raise missing(f"There is no run with the id {id_[:128]!r}.")


async def _whole(request: Request, runs: Runs, row: RunRow) -> dict[str, Any]:
    """The run with the latest value of each of its metrics, for whoever may read them."""
    latest: dict[str, dict[str, Any]] = {}
    if request.scope.get(MAY_READ, True):
        names = await recording(request).names(request, row.project, row.name)
        points: list[Point] = []
        first = max(0, (row.step or 0) - LOOKED_BACK)
        async for some in await runs.series(row.project, row.name, from_step=first, attempt=row.attempt):
            points += [stored.point for stored in some if not stored.superseded and not stored.point.rank]
        latest = {value["key"]: value for value in values_of(points, row, names)}
    return run_json(row, latest.values())


def _own_name(key: str, names: Mapping[str, str]) -> str:
    """The field that a key is."""
    return next((field for field, name in names.items() if name == key), key)
