"""OTLP metrics over HTTP: what the real exporter sends, and what it is answered."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from compat.conftest import Service

NEVER = 1e9


@pytest.fixture
def provider(service: Service) -> Callable[..., MeterProvider]:
    def made(**attributes: Any) -> MeterProvider:
        exporter = OTLPMetricExporter(endpoint=f"{service.url}/v1/metrics", compression=Compression.Gzip)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=NEVER)
        named = {name.replace("__", "."): value for name, value in attributes.items()}
        return MeterProvider(metric_readers=[reader], resource=Resource.create(named))

    return made


def gauge(name: str, *points: dict[str, Any], **resource: str) -> dict[str, Any]:
    attributes = [
        {"key": key.replace("__", "."), "value": {"stringValue": value}}
        for key, value in (resource or {"losswatch__run": "json"}).items()
    ]
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes},
                "scopeMetrics": [{"metrics": [{"name": name, "gauge": {"dataPoints": list(points)}}]}],
            }
        ]
    }


def posted(service: Service, body: Any, **headers: str) -> httpx.Response:
    return service.http.post(f"{service.url}/v1/metrics", json=body, headers=headers)


def test_the_real_exporter_is_understood_with_a_step_at_each_value(service: Service, provider: Any) -> None:
    meters = provider(service__name="otel-steps", learning_rate=0.1, optimizer="sgd", host__name="secret")
    meter = meters.get_meter("training")
    loss, other = meter.create_gauge("train.loss"), meter.create_gauge("loss")
    done = meter.create_counter("samples")
    for step in range(40):
        loss.set(1.0 / (step + 1), {"training.step": step})
        if step % 10 == 0:
            other.set(2.0, {"training.step": step, "split": "val"})
            assert meters.force_flush()  # sends every value that it has ever had anew
    done.add(7, {"training.step": 39})
    meters.shutdown()
    points = service.points("otel-steps")
    assert [(point["step"], point["loss"]) for point in points] == [(n, 1.0 / (n + 1)) for n in range(40)]
    assert [point["step"] for point in points if "validation_loss" in point] == [0, 10, 20, 30]
    assert points[-1]["metrics"] == {"samples": 7.0}
    found = service.get("/otel-steps")
    assert found["attempt"] == 1
    assert (found["context"]["learning_rate"], found["context"]["optimizer"]) == (0.1, "sgd")
    assert "secret" not in str(found)


def test_a_gauge_that_is_called_step_says_where_all_the_others_are(service: Service, provider: Any) -> None:
    meters = provider(losswatch__run="otel-gauge")
    meter = meters.get_meter("training")
    step, loss, norm = (meter.create_gauge(name) for name in ("global_step", "loss", "grad_norm"))
    for number in range(0, 100, 25):
        step.set(number)
        loss.set(3.0 - 0.01 * number)
        norm.set(1.5)
        assert meters.force_flush()
    meters.shutdown()
    assert service.points("otel-gauge") == [
        {"step": number, "loss": 3.0 - 0.01 * number, "grad_norm": 1.5} for number in range(0, 100, 25)
    ]


def test_values_without_any_step_are_numbered_by_their_times(service: Service) -> None:
    values = [{"asDouble": 5.0 - n, "timeUnixNano": str(10**18 + n * 10**9)} for n in range(4)]
    for body in (gauge("loss", *values[2:], *values[:2]), gauge("loss", *values)):
        assert posted(service, body).json() == {}
    assert service.points("json") == [{"step": n, "loss": 5.0 - n} for n in range(4)]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_json_has_numbers_that_are_not_finite(service: Service, text: str) -> None:
    step = [{"key": "step", "value": {"intValue": "7"}}]
    body = json.dumps(gauge("loss", {"asDouble": 0.25, "attributes": step}, run_id=f"run{text}"))
    for written in (f'"{text}"', text):
        answer = service.http.post(
            f"{service.url}/v1/metrics",
            content=body.replace("0.25", written),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 200
    assert service.points(f"run{text}") == [{"step": 7, "loss": text}]


def test_histograms_and_what_no_run_is_named_for_are_rejected_and_counted(service: Service) -> None:
    body = gauge("loss", {"asDouble": 1.0}, losswatch__run="partial")
    body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].append(
        {"name": "latency", "histogram": {"dataPoints": [{"count": "3"}, {"count": "4"}]}}
    )
    answer = posted(service, body)
    partial = answer.json()["partialSuccess"]
    assert (answer.status_code, partial["rejectedDataPoints"]) == (200, "2")
    assert "latency" in partial["errorMessage"]
    assert len(service.points("partial")) == 1
    nameless = gauge("loss", {"asDouble": 1.0}, service__name="unknown_service:python")
    assert "losswatch.run" in posted(service, nameless).json()["partialSuccess"]["errorMessage"]


def test_the_answer_comes_in_the_language_of_the_request(service: Service) -> None:
    request = ExportMetricsServiceRequest()
    of = request.resource_metrics.add().scope_metrics.add().metrics.add(name="loss")
    of.gauge.data_points.add(as_double=1.0)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    packed = gzip.compress(request.SerializeToString())
    answer = service.http.post(f"{service.url}/v1/metrics", content=packed, headers=headers)
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert ExportMetricsServiceResponse.FromString(answer.content).partial_success.rejected_data_points == 1
    refused = service.http.post(
        f"{service.url}/v1/metrics", content=b"\xff\xff", headers={"Content-Type": "application/x-protobuf"}
    )
    assert refused.status_code == 400
    assert b"not an ExportMetricsServiceRequest" in refused.content
    assert posted(service, {"resourceMetrics": 3}).json()["message"].startswith("The body is no Export")
    other = service.http.post(f"{service.url}/v1/metrics", content=b"x", headers={"Content-Type": "text/plain"})
    assert other.status_code == 415


def test_a_bomb_is_not_unpacked(service: Service) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    answer = service.http.post(f"{service.url}/v1/metrics", content=bomb, headers=headers)
    assert answer.status_code == 413
    assert b"4 MiB" in answer.content


def test_a_value_that_was_not_recorded_is_none(service: Service) -> None:
    kept = {"asDouble": 2.0, "timeUnixNano": "2000000000"}
    body = gauge("loss", {"flags": 1, "timeUnixNano": "1000000000"}, kept, losswatch__run="holes")
    assert posted(service, body).status_code == 200
    assert service.points("holes") == [{"step": 0, "loss": 2.0}]
