"""Experiments: groups of runs, which exist as soon as they are named."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.description.describe import Project
from losswatch_server.api.http.access import UseCases, json_answer
from losswatch_server.compat.mlflow.errors import invalid, missing
from losswatch_server.compat.mlflow.identity import DEFAULT_NAME, experiment_id, experiment_name
from losswatch_server.compat.mlflow.requests import PREFIX, fields
from losswatch_server.store.rows import RunFilter

router = APIRouter(prefix=f"{PREFIX}/experiments", include_in_schema=False)

LONGEST_NAME = 500
LOOKED_AT = 200
"""Runs, the newest, whose groups are listed as experiments."""


def experiment_json(name: str) -> dict[str, Any]:
    """An experiment as its client reads it. Artifacts of its runs are for the client to keep, where it runs."""
    id_ = experiment_id(name)
    return {
        "experiment_id": id_,
        "name": name,
        "artifact_location": f"mlartifacts/{id_}",
        "lifecycle_stage": "active",
        "tags": [],
    }


@router.get("/get-by-name")
async def get_by_name(experiment_name: str = "") -> Response:
    return json_answer({"experiment": experiment_json(_named(experiment_name))})


@router.get("/get")
async def get(experiment_id: str = "") -> Response:
    name = experiment_name(experiment_id)
    if name is None:
        raise missing(f"No experiment has the id {experiment_id[:80]!r}. mlflow.set_experiment takes a name.")
    return json_answer({"experiment": experiment_json(name)})


@router.post("/create")
async def create(request: Request) -> Response:
    name = _named(str((await fields(request)).get("name") or ""))
    return json_answer({"experiment_id": experiment_id(name)})


@router.post("/search")
async def search(runs: UseCases, project: Project = "default") -> Response:
    rows, _ = await runs.list(project, RunFilter(), limit=LOOKED_AT)
    names = dict.fromkeys([DEFAULT_NAME, *(row.context.group for row in rows if row.context.group)])
    return json_answer({"experiments": [experiment_json(name) for name in names]})


@router.post("/set-experiment-tag")
async def set_tag(request: Request) -> Response:
    """Taken and not kept: nothing here belongs to a group but its runs."""
    await fields(request)
    return json_answer({})


def _named(name: str) -> str:
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise invalid(f"An experiment's name has 1 to {LONGEST_NAME} printable characters.")
    return name
