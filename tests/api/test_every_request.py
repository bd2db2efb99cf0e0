"""Requests that nobody thought of: schemathesis makes them from the description, a real server answers them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from losswatch_server.app import create_app
from losswatch_server.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@schemathesis.serializer("application/x-ndjson")
def _as_lines(_: Any, value: Any) -> bytes:
    """What is to be sent as lines of JSON, as it stands where it is text."""
    lines = value if isinstance(value, list) else [value]
    return b"\n".join(
        line.encode("utf-8", "surrogatepass") if isinstance(line, str) else json.dumps(line).encode() for line in lines
    )


SOAKS = settings().max_examples > 1000
"""Many new requests (make soak) instead of the same few."""

description = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


@pytest.mark.slow
@description.exclude(path_regex="/events$").parametrize()  # tests/api/test_events.py reads these: they do not end
@settings(
    max_examples=200 if SOAKS else 8,
    deadline=None,
    derandomize=not SOAKS,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_every_request_is_answered_as_described(case: schemathesis.Case, quiet_address: tuple[str, int]) -> None:
    host, port = quiet_address
    case.call_and_validate(base_url=f"http://{host}:{port}", checks=CHECKS)
