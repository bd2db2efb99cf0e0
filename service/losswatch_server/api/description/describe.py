"""Building blocks of the API's description: parameters, request bodies, answers and refusals of an endpoint."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel

from losswatch_server.api.description import examples, schemas
from losswatch_server.api.http.problems import (
    BUSY,
    FOREIGN_PAGE,
    INVALID_REQUEST,
    KEY_MISSING,
    KEY_SCOPE,
    MEDIA_TYPE,
    PROJECT_NOT_FOUND,
    STOPPING,
    STORE_FAILED,
    TOO_MANY_REQUESTS,
    WRONG_HOST,
    ProblemKind,
)

SLUG = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Names of runs and projects, in the dialect of JSON Schema and pydantic, where ``$`` is the very end."""

_RUN = "The run's name: 1 to 128 letters, digits, dots, hyphens and underscores."
_PROJECT = "The project that the run belongs to."

RunName = Annotated[
    str,
    Path(
        alias="run",
        description=_RUN,
        pattern=SLUG,
        examples=["keras-demo"],
    ),
]
Project = Annotated[
    str,
    Query(
        description=_PROJECT,
        pattern=SLUG,
    ),
]
FindingId = Annotated[
    str, Path(alias="id", description="The finding's id.", max_length=64, examples=["f_8c1d3f2a9b7e4d5061a2"])
]

NULL = "\x00null"
"""Stands for null in examples until ``openapi.build`` puts it back: FastAPI drops every None from a description."""

RUN_PARAMETER: dict[str, Any] = {
    "name": "run",
    "in": "path",
    "required": True,
    "description": _RUN,
    "schema": {"type": "string", "pattern": SLUG},
    "example": "keras-demo",
}
PROJECT_PARAMETER: dict[str, Any] = {
    "name": "project",
    "in": "query",
    "required": False,
    "description": _PROJECT,
    "schema": {"type": "string", "pattern": SLUG, "default": "default"},
}

_ALWAYS = (
    KEY_MISSING,
    KEY_SCOPE,
    PROJECT_NOT_FOUND,
    FOREIGN_PAGE,
    WRONG_HOST,
    TOO_MANY_REQUESTS,
    BUSY,
    STOPPING,
    STORE_FAILED,
)


def without_nulls(value: Any) -> Any:
    """``value`` with ``NULL`` for None."""
    match value:
        case None:
            return NULL
        case dict():
            return {name: without_nulls(item) for name, item in value.items()}
        case list():
            return [without_nulls(item) for item in value]
    return value


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A reference to the model among the components; ``openapi`` puts it there."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def body(schema: dict[str, Any], *shown: tuple[str, Any], required: bool = True, **others: Any) -> dict[str, Any]:
    """A JSON request body with named examples; ``others`` are further media types as ``text_plain={...}``."""
    content: dict[str, Any] = {
        "application/json": {
            "schema": schema,
            "examples": {name: {"value": without_nulls(value)} for name, value in shown},
        }
    }
    for media_type, description in others.items():
        content[media_type.replace("_", "/", 1)] = description
    return {"requestBody": {"required": required, "content": content}}


def answer(
    status: int, model: type[BaseModel] | tuple[type[BaseModel], ...], description: str, example: Any
) -> dict[int | str, dict[str, Any]]:
    """A JSON answer."""
    models = model if isinstance(model, tuple) else (model,)
    schema = schema_of(models[0]) if len(models) == 1 else {"anyOf": [schema_of(one) for one in models]}
    return {
        status: {
            "description": description,
            "content": {"application/json": {"schema": schema, "example": without_nulls(example)}},
        }
    }


def refusals(*kinds: ProblemKind, parameters: bool = True) -> dict[int | str, dict[str, Any]]:
    """The problem answers of an endpoint, those that every endpoint may give included."""
    by_status: dict[int | str, list[ProblemKind]] = {}
    for kind in (*kinds, *((INVALID_REQUEST,) if parameters else ()), *_ALWAYS):
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: _refusal(of_status) for status, of_status in sorted(by_status.items(), key=lambda item: str(item[0]))
    }


def _refusal(kinds: list[ProblemKind]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": " Or: ".join(kind.meaning for kind in kinds),
        "content": {
            MEDIA_TYPE: {
                "schema": schema_of(schemas.Problem),
                "examples": {kind.slug: {"value": examples.problem(kind)} for kind in kinds},
            }
        },
    }
    if any(kind.retry_after_s is not None for kind in kinds):
        described["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}, "required": True}
        }
    return described
