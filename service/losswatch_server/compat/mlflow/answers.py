"""Runs as MLflow's clients read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from losswatch_server.codec.contexts import context_json
from losswatch_server.codec.encoding import number_json
from losswatch_server.compat.mlflow.experiments import experiment_json
from losswatch_server.compat.mlflow.identity import DEFAULT_NAME
from losswatch_server.compat.series import LOGGED_AS, NUMBERED
from losswatch_server.monitor.points import SERIES, Point
from losswatch_server.monitor.vocabulary import RunState
from losswatch_server.runs import RunRow

STATUSES = {RunState.FINISHED: "FINISHED", RunState.FAILED: "FAILED", RunState.CANCELLED: "KILLED"}
"""Of a run that ended; every other is RUNNING."""


def info_json(row: RunRow) -> dict[str, Any]:
    """What a run is."""
    experiment = experiment_json(row.context.group or DEFAULT_NAME)
    info: dict[str, Any] = {
        "run_id": row.name,
        "run_uuid": row.name,
        "run_name": row.name,
        "experiment_id": experiment["experiment_id"],
        "user_id": row.context.tags.get("mlflow.user", ""),
        "status": STATUSES.get(row.state, "RUNNING"),
        "start_time": int(row.created_at * 1000),
        "artifact_uri": f"{experiment['artifact_location']}/{row.name}/artifacts",
        "lifecycle_stage": "active",
    }
    if row.finished_at is not None:
        info["end_time"] = int(row.finished_at * 1000)
    return info


def run_json(row: RunRow, metrics: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A run with its metrics, parameters and tags."""
    given = context_json(row.context)
    tags = {"mlflow.runName": row.name, **given.pop("tags", {})}
    for own in ("facts", "group", LOGGED_AS, NUMBERED):
        given.pop(own, None)
    return {
        "info": info_json(row),
        "data": {
            "metrics": list(metrics),
            "params": [{"key": name, "value": _text(value)} for name, value in given.items()],
            "tags": [{"key": name, "value": value} for name, value in tags.items()],
        },
        "inputs": {},
    }


def values_of(points: Iterable[Point], row: RunRow, names: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    """Every number of the points as a metric, under the name by which it was logged."""
    for point in points:
        at_ms = int((row.created_at if point.time is None else datetime.fromisoformat(point.time).timestamp()) * 1000)
        numbers = {names.get(name, name): getattr(point, name) for name in SERIES}
        for name, value in (numbers | dict(point.metrics or {})).items():
            if value is not None:
                yield {"key": name, "value": number_json(value), "timestamp": at_ms, "step": point.step}


def _text(value: Any) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else str(value)
