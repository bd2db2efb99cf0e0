"""What several operations have in common, put among the components of the description once and referred to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from losswatch_server.api.http.problems import MEDIA_TYPE


def share(document: dict[str, Any]) -> None:
    """Move problem answers, and the parameters and examples that repeat, to the components."""
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    components = document["components"]
    components["responses"] = _sorted(_refusals(operations))
    components["parameters"] = _sorted(_parameters(operations))
    components["examples"] = _sorted(_examples(operations))


def _refusals(operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Each by the kinds of problems that it may be."""
    shared: dict[str, Any] = {}
    for operation in operations:
        for status, described in operation["responses"].items():
            if MEDIA_TYPE in described.get("content", {}):
                kinds = described["content"][MEDIA_TYPE]["examples"]
                name = "Or".join(_camel(kind) for kind in kinds)
                assert shared.setdefault(name, described) == described
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _parameters(operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Each by its name, and where it stands if two of that name differ."""
    times = Counter(_text(given) for operation in operations for given in operation.get("parameters", ()))
    shared: dict[str, Any] = {}
    for operation in operations:
        for place, given in enumerate(operation.get("parameters", ())):
            if times[_text(given)] > 1:
                name = _free_name(shared, _camel(given["name"]), given)
                operation["parameters"][place] = {"$ref": f"#/components/parameters/{name}"}
    return shared


def _examples(operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Each by the schema that it is an example of."""
    times = Counter(_text(content["example"]) for content in _answers(operations))
    shared: dict[str, Any] = {}
    for content in _answers(operations):
        schema = content["schema"].get("$ref")
        if schema is not None and times[_text(content["example"])] > 1:
            name = _free_name(shared, schema.rpartition("/")[2], {"value": content.pop("example")})
            content["examples"] = {"example": {"$ref": f"#/components/examples/{name}"}}
    return shared


def _answers(operations: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for operation in operations:
        for described in operation["responses"].values():
            yield from (content for content in described.get("content", {}).values() if "example" in content)


def _free_name(shared: dict[str, Any], name: str, described: Any) -> str:
    """``name``, or with a number behind it where another has it already."""
    number, chosen = 1, name
    while shared.setdefault(chosen, described) != described:
        number += 1
        chosen = f"{name}{number}"
    return chosen


def _camel(name: str) -> str:
    return "".join(map(str.capitalize, name.replace("_", "-").split("-")))


def _text(described: Any) -> str:
    return json.dumps(described, sort_keys=True)


def _sorted(named: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(named.items()))
