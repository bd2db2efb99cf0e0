"""The API's description: fresh, valid, and complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from losswatch_server.app import create_app
from losswatch_server.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENT: dict[str, Any] = create_app(Settings()).openapi()
METHODS = ("get", "put", "post", "delete", "patch")
PROBLEM = {"$ref": "#/components/schemas/Problem"}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def bodies() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(where, media type object, all) of every request and answer that has a body."""
    for name, operation in operations():
        places = [("request", operation.get("requestBody", {}).get("content", {}))]
        places += [(status, answer.get("content", {})) for status, answer in operation["responses"].items()]
        for place, content in places:
            for media_type, described in content.items():
                yield f"{name} {place} {media_type}", described, content


def check(schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_openapi_json_says_what_the_code_says() -> None:
    written = json.loads((ROOT / "openapi.json").read_text("utf-8"))
    assert written == DOCUMENT, "openapi.json is stale: run `make openapi`"


def test_the_description_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_operation_ids_are_unique_words() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert all(name.isidentifier() and name.islower() for name in ids)


@pytest.mark.parametrize(("name", "operation"), [pytest.param(n, o, id=n) for n, o in operations()])
def test_every_operation_is_described(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"], name
    assert len(operation["tags"]) == 1
    assert operation["tags"][0] in [tag["name"] for tag in DOCUMENT["tags"]]
    for parameter in operation.get("parameters", []):
        if parameter["in"] != "header":
            assert parameter.get("description"), parameter["name"]
    refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
    assert {"403", "421", "503"} <= set(refusals)
    for answer in refusals.values():
        assert answer["content"]["application/problem+json"]["schema"] == PROBLEM
    assert refusals["503"]["headers"]["Retry-After"]


@pytest.mark.parametrize(("where", "described"), [pytest.param(w, d, id=w) for w, d, _ in bodies()])
def test_every_body_has_examples_and_they_fit_its_schema(where: str, described: dict[str, Any]) -> None:
    examples = [shown["value"] for shown in described.get("examples", {}).values()]
    examples += [described["example"]] if "example" in described else []
    assert examples, f"{where} has no example"
    for example in examples:
        check(described["schema"], example)


def test_numbers_that_may_be_non_finite_are_a_number_or_one_of_three_strings() -> None:
    loss = DOCUMENT["components"]["schemas"]["Point"]["properties"]["loss"]["anyOf"][0]
    assert loss == {"oneOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}


def test_every_named_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    unused = [name for name in DOCUMENT["components"]["schemas"] if f'"#/components/schemas/{name}"' not in text]
    assert unused == []
