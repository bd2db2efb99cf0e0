"""``openapi.json``: FastAPI's description, with the schemas that are written by hand put in."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from losswatch_server.api.description.alert_schemas import MODELS
from losswatch_server.api.description.describe import NULL
from losswatch_server.api.description.evidence import EVIDENCE
from losswatch_server.api.description.insight_schemas import INSIGHTS
from losswatch_server.api.description.requests import COMPONENTS
from losswatch_server.api.description.retention_schemas import RETENTIONS
from losswatch_server.api.description.schemas import ANSWERS
from losswatch_server.api.description.shared import share
from losswatch_server.api.description.silence_schemas import SILENCES
from losswatch_server.api.description.types import REFERENCE

TAGS = (
    ("points", "Measurements: post them, read them back."),
    ("runs", "Training jobs and their reports."),
    ("events", "What happens to runs, as it happens."),
    ("findings", "Findings: list, explain, acknowledge, mute."),
    ("targets", "Notification targets and the log of deliveries."),
    ("silences", "Suppress notifications that match, for a limited time."),
    ("diagnose", "Diagnose points or a log without storing anything."),
    ("catalogue", "Every condition and every cause, explained."),
    ("operations", "Probes and metrics."),
)
_DESCRIPTION = """\
A training job posts a few numbers per step. The answer is a report: how the run is doing, why, and what to do.

NaN and infinities are accepted as bare tokens and as strings. Answers are strict JSON and write them as the strings
`"NaN"`, `"Infinity"` and `"-Infinity"`. Errors are `application/problem+json` (RFC 9457) with a stable `type`.
Fields and enum values are only added, never removed: ignore those that you do not know.
"""

SERVERS = (
    {"url": "/", "description": "The service that this description came from."},
    {"url": "http://127.0.0.1:8000", "description": "Where `losswatch-server serve` listens unless told otherwise."},
)
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key (`losswatch-server keys create`), needed as soon as the service has one.",
}


def describe(app: FastAPI) -> None:
    """Make ``app`` describe itself by ``build``, once, when it is first asked."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the description


class _Schemas(GenerateJsonSchema):
    """Without a title for every field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def build(app: FastAPI) -> dict[str, Any]:
    """The description of every endpoint of ``app``."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[dict(server) for server in SERVERS],
        tags=[{"name": name, "description": text} for name, text in TAGS],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _, models = models_json_schema(
        [
            (model, "serialization")
            for model in (*ANSWERS, *EVIDENCE.values(), *INSIGHTS, *MODELS, *RETENTIONS, *SILENCES)
        ],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    document["security"] = [{}, {"bearer": []}]
    document.setdefault("components", {})["securitySchemes"] = {"bearer": _BEARER}
    components = document["components"].setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems
        components.pop(unused, None)
    components.update(models["$defs"])
    components.update(COMPONENTS)
    document["components"]["schemas"] = dict(sorted(components.items()))
    share(document)
    complete: dict[str, Any] = completed(document)
    return complete


def completed(value: Any) -> Any:
    """``value`` with what FastAPI and pydantic would not have let pass: the nulls of examples, and references."""
    match value:
        case dict():
            return {"$ref" if name == REFERENCE else name: completed(item) for name, item in value.items()}
        case list():
            return [completed(item) for item in value]
    return None if value == NULL else value
