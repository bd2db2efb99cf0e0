"""The API's description: fresh, valid, and complete."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import validate

from benchmarks.pictures.conditions import finding_of
from benchmarks.pictures.curves import RUNS, kept
from losswatch_server.api.description.evidence import EVIDENCE
from losswatch_server.app import create_app
from losswatch_server.codec import finding_json
from losswatch_server.monitor.advice.actions import ACTIONS
from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.vocabulary import Condition
from losswatch_server.settings import Settings

ROOT = Path(__file__).parents[1]
RULES = ROOT / "service/losswatch_server/monitor/rules"
DOCUMENT: dict[str, Any] = create_app(Settings()).openapi()
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
METHODS = ("get", "put", "post", "delete", "patch")
PROBLEM = {"$ref": "#/components/schemas/Problem"}


def resolved(described: dict[str, Any]) -> dict[str, Any]:
    """What a reference to a component stands for."""
    while "$ref" in described:
        kind, name = described["$ref"].split("/")[2:]
        described = DOCUMENT["components"][kind][name]
    return described


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def bodies() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(where, media type object, all) of every request and answer that has a body."""
    for name, operation in operations():
        places = [("request", operation.get("requestBody", {}).get("content", {}))]
        places += [(status, resolved(answer).get("content", {})) for status, answer in operation["responses"].items()]
        for place, content in places:
            for media_type, described in content.items():
                yield f"{name} {place} {media_type}", described, content


def check(schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_openapi_json_says_what_the_code_says() -> None:
    written = json.loads((ROOT / "openapi.json").read_text("utf-8"))
    assert written == DOCUMENT, "openapi.json is stale: run `make openapi`"


@pytest.mark.slow
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
    for parameter in map(resolved, operation.get("parameters", [])):
        if parameter["in"] != "header":
            assert parameter.get("description"), parameter["name"]
    refusals = {status: resolved(answer) for status, answer in operation["responses"].items() if status >= "400"}
    assert {"403", "421", "503"} <= set(refusals)
    for answer in refusals.values():
        assert answer["content"]["application/problem+json"]["schema"] == PROBLEM
    assert refusals["503"]["headers"]["Retry-After"]


@pytest.mark.parametrize(("where", "described"), [pytest.param(w, d, id=w) for w, d, _ in bodies()])
def test_every_body_has_examples_and_they_fit_its_schema(where: str, described: dict[str, Any]) -> None:
    examples = [resolved(shown)["value"] for shown in described.get("examples", {}).values()]
    examples += [described["example"]] if "example" in described else []
    assert examples, f"{where} has no example"
    for example in examples:
        check(described["schema"], example)


def test_numbers_that_may_be_non_finite_are_a_number_or_one_of_three_strings() -> None:
    loss = resolved(SCHEMAS["Point"]["properties"]["loss"]["anyOf"][0])
    assert loss == {**loss, "oneOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}


def test_every_named_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    unused = [name for name in SCHEMAS if f'"#/components/schemas/{name}"' not in text]
    assert unused == []


def test_an_error_is_written_out_once_and_referred_to_everywhere() -> None:
    shared = DOCUMENT["components"]["responses"]
    used = set()
    for name, operation in operations():
        for status, answer in operation["responses"].items():
            assert ("$ref" in answer) == (status >= "400"), (name, status)
            used.add(answer.get("$ref", "").rpartition("/")[2])
    assert used - {""} == set(shared)


def test_a_client_learns_where_the_service_is_and_how_to_send_a_key() -> None:
    assert [server["url"] for server in DOCUMENT["servers"]] == ["/", "http://127.0.0.1:8000"]
    assert DOCUMENT["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert DOCUMENT["security"] == [{}, {"bearer": []}], "a key may be sent, and none is asked for"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_of_every_schema_is_described(name: str) -> None:
    bare = [field for field, schema in SCHEMAS[name].get("properties", {}).items() if not schema.get("description")]
    assert bare == []


def test_every_number_that_a_rule_gives_is_described() -> None:
    given: set[str] = set()
    for path in RULES.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        needs = {
            id(node.value) for node in nodes if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "needs"
        }
        for node in nodes:
            match node:
                case ast.Dict(keys=keys) if id(node) not in needs:  # that says what each rule needs to know
                    given |= {key.value for key in keys if isinstance(key, ast.Constant)}
                case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(key)))]):
                    given.add(key)
    assert given - {name for model in EVIDENCE.values() for name in model.model_fields} == set()


@pytest.mark.slow
@pytest.mark.parametrize("condition", RUNS)
def test_the_evidence_of_a_finding_has_the_names_of_its_condition_alone(condition: Condition) -> None:
    finding = finding_json(finding_of(kept()[RUNS[condition]], condition))
    check(SCHEMAS["Finding"], finding)
    assert finding["evidence"].keys() <= EVIDENCE[condition].model_fields.keys()
    without = {**finding, "evidence": dict.fromkeys(finding["evidence"])}
    with pytest.raises(ValidationError):
        check(SCHEMAS["Finding"], without)


def test_closed_tables_are_enums() -> None:
    assert SCHEMAS["Advice"]["properties"]["action"]["enum"] == list(ACTIONS)
    assert all(f"`{name}`: {meaning}" in SCHEMAS["Advice"]["properties"]["action"]["description"]
               for name, meaning in ACTIONS.items())  # fmt: skip
    series = SCHEMAS["Finding"]["properties"]["series"]["enum"]
    assert {detector.series for detector in DETECTORS} <= set(series)
    assert set(EVIDENCE) == set(Condition)


def test_a_change_has_no_defaults_that_a_client_could_send_by_mistake() -> None:
    assert not [name for name, field in SCHEMAS["TargetChange"]["properties"].items() if "default" in field]
    assert SCHEMAS["NewTarget"]["properties"]["min_severity"]["default"] == "warning"
