"""Logged models (MLflow 3): named, so that a training that logs its model goes on, and kept by the client alone."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from losswatch_server.api.http.access import json_answer
from losswatch_server.compat.mlflow.errors import missing
from losswatch_server.compat.mlflow.identity import MODEL_ID, model_id
from losswatch_server.compat.mlflow.requests import PREFIX, fields

router = APIRouter(prefix=f"{PREFIX}/logged-models", include_in_schema=False)


def model_json(id_: str, status: str, **more: Any) -> dict[str, Any]:
    """A model as its client reads it: its files lie where the client runs."""
    now = int(time.time() * 1000)
    info = {
        "model_id": id_,
        "experiment_id": "0",
        "name": "model",
        "creation_timestamp_ms": now,
        "last_updated_timestamp_ms": now,
        "artifact_uri": f"mlartifacts/models/{id_}/artifacts",
        "status": status,
        **more,
    }
    return {"model": {"info": info, "data": {"params": [], "metrics": []}}}


@router.post("")
async def create(request: Request) -> Response:
    body = await fields(request)
    named = ("experiment_id", "name", "model_type", "source_run_id")
    given = {name: str(body[name]) for name in named if body.get(name)}
    return json_answer(model_json(model_id(), "LOGGED_MODEL_PENDING", **given))


@router.get("/{id_}")
async def get(id_: str) -> Response:
    return json_answer(model_json(_known(id_), "LOGGED_MODEL_READY"))


@router.patch("/{id_}")
async def finalize(request: Request, id_: str) -> Response:
    status = str((await fields(request)).get("status") or "LOGGED_MODEL_READY")
    failed = "FAILED" in status
    return json_answer(model_json(_known(id_), "LOGGED_MODEL_UPLOAD_FAILED" if failed else "LOGGED_MODEL_READY"))


@router.post("/{id_}/params")
@router.patch("/{id_}/tags")
async def describe(request: Request, id_: str) -> Response:
    """Taken and not kept."""
    await fields(request)
    return json_answer(model_json(_known(id_), "LOGGED_MODEL_READY"))


def _known(id_: str) -> str:
    if MODEL_ID.fullmatch(id_) is None:
        raise missing(f"There is no model with the id {id_[:80]!r}.")
    return id_
