"""With API keys on, each tool sends its key by the settings that it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest
from mlflow.exceptions import MlflowException
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from api.conftest import serving
from issued_keys import issue
from losswatch_server.app import create_app
from losswatch_server.keys import Scope
from losswatch_server.settings import Settings


@pytest.fixture(scope="module")
def locked(database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """A service with keys of project team: its address, a key that logs, a key that reads."""
    data = tmp_path_factory.mktemp("locked")
    keys = issue(database or data, {"log": ("team", [Scope.INGEST]), "read": ("team", [Scope.READ])})
    with serving(create_app(Settings(data_dir=data, database=database))) as (host, port):
        yield f"http://{host}:{port}", keys["log"], keys["read"]


@pytest.mark.parametrize("way", ["token", "password"])
def test_mlflow_logs_with_a_token_or_a_password(
    locked: tuple[str, str, str], way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, log, read = locked
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(url)
    with pytest.raises(MlflowException, match="API key") as refused:
        mlflow.start_run(run_name=way)
    assert refused.value.error_code == "UNAUTHENTICATED"
    if way == "token":
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", log)
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anybody")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", log)
    mlflow.set_experiment("locked")
    with mlflow.start_run(run_name=way):
        mlflow.log_metric("loss", 1.0, step=1)
    mlflow.set_tracking_uri(None)
    found = httpx.get(f"{url}/v1/runs/{way}", headers={"Authorization": f"Bearer {read}"}).json()
    assert (found["project"], found["points"], found["state"]) == ("team", 1, "finished")


def test_an_exporter_sends_its_key_as_a_header(locked: tuple[str, str, str]) -> None:
    url, log, read = locked
    exporter = OTLPMetricExporter(endpoint=f"{url}/v1/metrics", headers={"Authorization": f"Bearer {log}"})
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)
    meters = MeterProvider(metric_readers=[reader], resource=Resource.create({"losswatch.run": "otel"}))
    meters.get_meter("x").create_gauge("loss").set(1.0, {"step": 3})
    meters.shutdown()
    found = httpx.get(f"{url}/v1/runs/otel", headers={"Authorization": f"Bearer {read}"}).json()
    assert (found["project"], found["step"]) == ("team", 3)


def test_remote_monitor_sends_its_key_as_a_header(locked: tuple[str, str, str]) -> None:
    url, log, _ = locked
    body = {"data": '{"epoch": 0, "loss": 1.0}'}
    address = f"{url}/v1/compat/keras/k/publish/epoch/end/"
    assert httpx.post(address, data=body).status_code == 401
    assert httpx.post(address, data=body, headers={"Authorization": f"Bearer {log}"}).status_code == 200
