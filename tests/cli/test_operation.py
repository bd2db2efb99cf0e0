"""Operating a service: its log, its traces, its numbers, and how it stops."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from cli.test_serve import Start, address_of, start
from losswatch_server.api.http.request_id import request_id
from losswatch_server.api.http.tracing import Tracing
from losswatch_server.app import create_app
from losswatch_server.cli.logs import JsonLines
from losswatch_server.settings import Settings

__all__ = ["start"]
POINTS = {"points": [{"step": n, "loss": 1.0} for n in range(5)]}


@pytest.fixture
def app(tmp_path: Path) -> object:
    return create_app(Settings(data_dir=tmp_path / "data"))


def test_each_request_has_a_name_that_the_caller_may_choose(app: object) -> None:
    with TestClient(app, "http://localhost") as client:
        first, second = (client.get("/livez").headers["X-Request-Id"] for _ in range(2))
        assert first != second
        assert client.get("/v1/runs/none", headers={"X-Request-Id": "a.b-1"}).headers["X-Request-Id"] == "a.b-1"
        for odd in ("", "a b", "x" * 129, "a\u00e9"):
            answer = client.get("/livez", headers={"X-Request-Id": odd.encode("latin-1")})
            assert answer.headers["X-Request-Id"].split("-")[0] == first.split("-")[0]


def test_a_line_of_the_log_is_json_with_the_request_that_it_is_about() -> None:
    record = logging.LogRecord("losswatch.x", logging.WARNING, "", 0, "two\nlines of %s", ("é",), None)
    told = json.loads(JsonLines().format(record))
    assert told.keys() == {"at", "level", "logger", "message"}
    assert (told["level"], told["logger"], told["message"]) == ("warning", "losswatch.x", "two\nlines of é")
    assert time.time() - 60 < __import__("datetime").datetime.fromisoformat(told["at"]).timestamp() < time.time() + 60
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    token = request_id.set("r-1")
    try:
        line = JsonLines().format(record)
    finally:
        request_id.reset(token)
    assert "\n" not in line
    assert json.loads(line)["request_id"] == "r-1"
    assert json.loads(line)["error"].endswith("ValueError: why")


def test_a_request_is_a_span_of_its_callers_trace(app: object) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with TestClient(Tracing(app, provider.get_tracer("test")), "http://localhost") as client:
        client.post("/v1/runs/r/points", json=POINTS, headers={"traceparent": parent, "X-Request-Id": "mine"})
        client.get("/v1/runs/none")
    posted, missing = exporter.get_finished_spans()
    assert posted.name == "POST /v1/runs/{run}/points"
    assert f"{posted.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert posted.attributes["http.response.status_code"] == 200
    assert posted.attributes["losswatch.request_id"] == "mine"
    assert missing.attributes["http.response.status_code"] == 404
    assert missing.parent is None


METRICS = (
    "losswatch_http_requests_total", "losswatch_http_request_duration_seconds_bucket", "losswatch_points_total",
    "losswatch_verdict_seconds_bucket", "losswatch_commits_total", "losswatch_committed_writes_total",
    "losswatch_writes_waiting", "losswatch_outbox_lag_events", "losswatch_listeners", "losswatch_retention_runs_total",
    "losswatch_requests_shed_total", "losswatch_requests_in_progress", "losswatch_background_running",
    "losswatch_notification_tries_total", "losswatch_notification_targets", "losswatch_damaged_cells",
)  # fmt: skip


def test_all_that_is_worth_watching_is_measured(app: object) -> None:
    with TestClient(app, "http://localhost") as client:
        for n in range(3):
            client.post("/v1/runs/r/points", json={"points": [{"step": n, "loss": 1.0}]})
        text = client.get("/metrics").text
    for name in METRICS:
        assert f"\n{name}" in text or f"# TYPE {name} " in text, name
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    assert float(values["losswatch_verdict_seconds_count"]) == 3
    assert float(values["losswatch_committed_writes_total"]) >= float(values["losswatch_commits_total"]) >= 3


@pytest.mark.slow
def test_a_service_that_is_to_stop_says_so_first_and_answers_meanwhile(start: Start) -> None:
    process = start("--port", "0", "--drain", "3600", "--log-format", "json")
    url = address_of(process)
    assert httpx.get(f"{url}/readyz").status_code == 200
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/readyz").status_code != 503:
        assert time.monotonic() < deadline
    assert httpx.get(f"{url}/livez").status_code == 200
    assert httpx.post(f"{url}/v1/runs/r/points", json=POINTS).status_code == 200
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(json.loads(line) for line in errors.splitlines())


@pytest.mark.slow
def test_open_streams_do_not_keep_a_service_from_stopping(start: Start) -> None:
    process = start("--port", "0", "--graceful-timeout", "600")
    url = address_of(process)
    with httpx.Client(timeout=60) as client, client.stream("GET", f"{url}/v1/events") as stream:
        lines = stream.iter_lines()
        while not next(lines).startswith("event: hello"):
            pass
        process.send_signal(signal.SIGTERM)
        for _ in lines:
            pass
    process.communicate(timeout=60)
    assert process.returncode == 0
