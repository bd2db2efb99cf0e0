"""The types that the schemas of answers are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

NON_FINITE = ["NaN", "Infinity", "-Infinity"]
Probability = Annotated[float, Field(ge=0, le=1)]

REFERENCE = "x-reference"
"""Stands for ``$ref`` in the schemas of fields until ``openapi.build`` puts it there: pydantic refuses references to
what it has not made itself."""


def reference(name: str) -> dict[str, Any]:
    """A reference to one of the components of the description, as a schema of a field."""
    return {REFERENCE: f"#/components/schemas/{name}"}


Number = Annotated[float, WithJsonSchema(reference("Number"))]
Context = Annotated[dict[str, Any], WithJsonSchema(reference("ContextIn"))]


class Answer(BaseModel):
    """Fields are only ever added: readers ignore those that they do not know."""

    model_config = ConfigDict(use_attribute_docstrings=True)
