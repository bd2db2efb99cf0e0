"""The schemas of request bodies that are read by hand (``losswatch_server.codec``), for the API's description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losswatch_server.api.description.context_fields import CONTEXT, FACTS
from losswatch_server.api.description.types import NON_FINITE
from losswatch_server.codec.bodies import MAX_POINTS, MAX_WRITER
from losswatch_server.codec.contexts import CHOICES, INTEGERS, MAX_LAYER_ORDER, NUMBERS, SIGNED, SWITCHES, TEXTS
from losswatch_server.codec.facts import (
    FACT_CHOICES,
    FACT_COUNTS,
    FACT_NUMBER_LISTS,
    FACT_NUMBERS,
    FACT_SIZES,
    FACT_SWITCHES,
    FACT_TEXTS,
    FACT_WORD_LISTS,
    MAX_LIST,
)
from losswatch_server.codec.hyperparameters import MAX_TAGS, MAX_TEXT
from losswatch_server.codec.points import MAX_LAYERS, MAX_METRICS, MAX_RANK
from losswatch_server.codec.problems import MAX_NAME
from losswatch_server.monitor.model_facts import FACT_NAMES
from losswatch_server.monitor.points import MAX_STEP, SERIES

_DESCRIPTIONS = {
    "step": "Counts up; what it counts is the client's own (optimizer steps, epochs).",
    "loss": "The training loss. An explicit null is taken for NaN in a run with losses: many encoders write it so.",
    "grad_norm": "The norm of the whole gradient.",
    "learning_rate": "The learning rate in use at this step.",
    "validation_loss": "May come later than the step's loss, by another request or another process.",
    "epoch": "Whole or fractional.",
    "time": "When it was measured, by the client's clock.",
    "layers": "Gradient norm by layer.",
    "metrics": "Any other numbers: kept and drawn, not judged.",
    "rank": "Of ranks other than 0 only non-finite values are judged.",
}

number_in: dict[str, Any] = {
    "oneOf": [{"type": "number"}, {"type": "string", "enum": NON_FINITE}, {"type": "null"}],
    "description": "A number; NaN and infinities also as bare tokens, or as strings in any case; null: not measured.",
}
number: dict[str, Any] = {
    "oneOf": [{"type": "number"}, {"type": "string", "enum": NON_FINITE}],
    "description": "A number; NaN and infinities as strings.",
}
_number = {"$ref": "#/components/schemas/NumberIn"}
_name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"allOf": [schema], "description": _DESCRIPTIONS[name]}
    return {**schema, "description": _DESCRIPTIONS[name]}


def _named_numbers(most: int) -> dict[str, Any]:
    return {"type": ["object", "null"], "additionalProperties": _number, "propertyNames": _name, "maxProperties": most}


_fields: dict[str, dict[str, Any]] = {
    "step": {"type": "integer", "minimum": 0, "maximum": MAX_STEP},
    **dict.fromkeys(SERIES, _number),
    "time": {"type": ["string", "null"], "format": "date-time"},
    "layers": _named_numbers(MAX_LAYERS),
    "metrics": _named_numbers(MAX_METRICS),
    "rank": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_RANK, "default": 0},
}
point_in: dict[str, Any] = {
    "type": "object",
    "description": "What was measured at one step. Everything but the step is optional.",
    "properties": {name: _described(name, schema) for name, schema in _fields.items()},
    "required": ["step"],
    "additionalProperties": False,
}

_amount = {"oneOf": [{"type": "number", "minimum": 0}, {"type": "null"}]}
_count = {"oneOf": [{"type": "integer", "minimum": -1, "maximum": MAX_STEP}, {"type": "null"}]}
_signed = {"type": ["number", "null"]}
_plain: list[dict[str, Any]] = [{"type": ["string", "number", "boolean", "null"]}]


def _text(name: str, choices: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    if name in choices:
        return {
            "description": f"{' or '.join(choices[name])}; another word is kept as a hyper-parameter of this name.",
            "anyOf": [{"enum": [*choices[name], None]}, {"type": "string", "maxLength": MAX_TEXT}],
        }
    return {"type": ["string", "null"], "maxLength": MAX_TEXT}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": items, "maxItems": MAX_LIST}


def _explained(fields: Mapping[str, dict[str, Any]], meanings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {
        name: {**schema, "description": " ".join(filter(None, (meanings.get(name), schema.get("description"))))}
        for name, schema in fields.items()
    }


_facts: dict[str, dict[str, Any]] = {
    **dict.fromkeys(FACT_COUNTS, _count),
    **dict.fromkeys(FACT_NUMBERS, _number),
    **dict.fromkeys(FACT_SIZES, _number),
    **{name: {"type": ["boolean", "null"]} for name in FACT_SWITCHES},
    **{name: _text(name, FACT_CHOICES) for name in FACT_TEXTS},
    **{name: _list_of({"type": "string", "maxLength": MAX_TEXT}) for name in FACT_WORD_LISTS},
    **{name: _list_of(_number) for name in FACT_NUMBER_LISTS},
}
facts_in: dict[str, Any] = {
    "type": "object",
    "description": (
        "What the client sees of its model, its data and its optimizer, none of it the data itself; all optional. A "
        "fact outweighs what the curve suggests. Other names with a plain value are kept as hyper-parameters."
    ),
    "properties": _explained({name: _facts[name] for name in FACT_NAMES}, FACTS),
    "additionalProperties": {"anyOf": [*_plain, {"type": "array", "maxItems": MAX_TAGS, "items": _plain[0]}]},
}


context_in: dict[str, Any] = {
    "type": "object",
    "description": (
        "What the client knows about the job. All optional: it sharpens the advice. Any other name with a plain value "
        "is kept and shown as a hyper-parameter. -1 for a count and null mean: not known."
    ),
    "properties": _explained(
        {
            **{name: _text(name, CHOICES) for name in sorted(TEXTS)},
            **dict.fromkeys(sorted(NUMBERS - SIGNED), _amount),
            **dict.fromkeys(sorted(SIGNED), _signed),
            **dict.fromkeys(sorted(INTEGERS), _count),
            **{name: {"type": ["boolean", "null"]} for name in sorted(SWITCHES)},
            "layer_order": {"type": ["array", "null"], "items": _name, "maxItems": MAX_LAYER_ORDER},
            "facts": {"oneOf": [{"$ref": "#/components/schemas/FactsIn"}, {"type": "null"}]},
            "tags": {
                "type": ["object", "null"],
                "additionalProperties": {"type": "string", "maxLength": MAX_TEXT},
                "propertyNames": _name,
                "maxProperties": MAX_TAGS,
            },
        },
        CONTEXT,
    ),
    "additionalProperties": {
        "anyOf": [*_plain, {"type": "array", "maxItems": MAX_TAGS, "items": _plain[0]}],
    },
}

points_in: dict[str, Any] = {
    "type": "object",
    "properties": {
        "points": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/PointIn"},
            "maxItems": MAX_POINTS,
            "description": "In any order; those of a request are judged by ascending step.",
        },
        "context": {
            "oneOf": [{"$ref": "#/components/schemas/ContextIn"}, {"type": "null"}],
            "description": "Laid over what is known of the run, before these points.",
        },
        "writer": {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": MAX_WRITER,
            "description": (
                "Opaque, one for each client process: makes resuming from a checkpoint exact. A process that was "
                "forked from writer `P` calls itself `P~` and a name of its own: it never supersedes what `P` sends."
            ),
        },
    },
    "required": ["points"],
    "additionalProperties": False,
}

POINTS_REQUEST: dict[str, Any] = {
    "oneOf": [{"$ref": "#/components/schemas/PointsIn"}, {"$ref": "#/components/schemas/PointIn"}]
}
CONTEXT_REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {"context": {"oneOf": [{"$ref": "#/components/schemas/ContextIn"}, {"type": "null"}]}},
    "additionalProperties": False,
}

COMPONENTS: dict[str, dict[str, Any]] = {
    "Number": number,
    "NumberIn": number_in,
    "PointIn": point_in,
    "ContextIn": context_in,
    "FactsIn": facts_in,
    "PointsIn": points_in,
}
