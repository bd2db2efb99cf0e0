"""An unmodified MLflow client logs to Losswatch: what arrives is judged, and nothing that it does fails a training."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest
from mlflow.entities import Dataset, DatasetInput, LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from compat.conftest import Service


@pytest.fixture(autouse=True)
def tracked(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(service.url)
    yield
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def client(service: Service) -> MlflowClient:
    return MlflowClient(service.url)


def posted(service: Service, path: str, body: dict[str, Any]) -> httpx.Response:
    return service.http.post(f"{service.url}/api/2.0/mlflow/{path}", json=body)


def test_a_training_with_mlflow_is_watched(service: Service) -> None:
    mlflow.set_experiment("team/cifär")
    with mlflow.start_run(run_name="nan.run") as run:
        mlflow.log_params({"lr": 0.01, "optimizer": "sgd", "batch_size": 32, "max_steps": 500, "width": 64})
        mlflow.set_tag("who", "me")
        for step in range(30):
            mlflow.log_metric("train_loss", 1.0 / (step + 1) if step < 20 else math.nan, step=step)
            mlflow.log_metrics({"val_loss": 2.0, "grad_norm": 1.0, "accuracy": 0.5}, step=step)
    name = run.info.run_id
    report = service.get(f"/{name}/report")
    assert (report["state"], report["status"], report["action"]) == ("finished", "critical", "stop")
    assert report["findings"][0]["condition"] == "non_finite"
    context = service.get(f"/{name}")["context"]
    assert context["group"] == "team/cifär"
    assert context["tags"]["who"] == "me"
    assert {name: context[name] for name in ("learning_rate", "optimizer", "batch_size", "total_steps", "width")} == {
        "learning_rate": 0.01, "optimizer": "sgd", "batch_size": 32, "total_steps": 500, "width": 64,
    }  # fmt: skip
    assert service.points(name)[3] == {
        "step": 3, "loss": 0.25, "validation_loss": 2.0, "grad_norm": 1.0, "metrics": {"accuracy": 0.5},
    }  # fmt: skip
    assert len(service.points(name)) == 30


def test_what_was_logged_is_read_back_under_its_own_names(client: MlflowClient) -> None:
    experiment = mlflow.set_experiment("read back")
    with mlflow.start_run(run_name="back", tags={"kind": "x"}) as run:
        mlflow.log_param("lr", "0.5")
        for step, value in enumerate((3.0, math.inf, -math.inf, math.nan)):
            mlflow.log_metric("train_loss", value, step=step)
        mlflow.log_metric("acc", 0.25, step=3)
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["lr"] == "0.5"
    assert found.data.tags["kind"] == "x"
    assert math.isnan(found.data.metrics["train_loss"])
    assert found.data.metrics["acc"] == 0.25
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [one.value for one in history[:3]] == [3.0, math.inf, -math.inf]
    assert [one.step for one in history] == [0, 1, 2, 3]
    runs = mlflow.search_runs([experiment.experiment_id], "tags.kind = 'x'", output_format="list")
    assert [one.info.run_id for one in runs] == [run.info.run_id]
    assert mlflow.search_runs([experiment.experiment_id], "params.lr = '9'", output_format="list") == []
    assert "read back" in [one.name for one in mlflow.search_experiments()]
    with pytest.raises(MlflowException, match="not supported"):
        mlflow.search_runs([experiment.experiment_id], "metrics.acc > 0.1", output_format="list")


@pytest.mark.parametrize(("status", "state"), [("FAILED", "failed"), ("KILLED", "cancelled"), ("FINISHED", "finished")])
def test_the_end_of_a_run_is_its_end(service: Service, status: str, state: str) -> None:
    run = mlflow.start_run(run_name=f"end-{status}")
    mlflow.log_metric("loss", 1.0, step=0)
    mlflow.end_run(status)
    assert service.get(f"/{run.info.run_id}")["state"] == state


def test_each_run_is_one_of_its_own_and_a_resumed_one_a_new_attempt(service: Service) -> None:
    names = []
    for _ in range(2):
        with mlflow.start_run(run_name="same") as run:
            names.append(run.info.run_id)
            for step in range(6):
                mlflow.log_metric("loss", 1.0 - 0.1 * step, step=step)
    assert names == ["same", "same-2"]
    with mlflow.start_run(run_id="same"):
        for step in range(3, 5):
            mlflow.log_metric("loss", 0.5, step=step)
    found = service.get("/same")
    assert (found["attempt"], found["step"], found["state"]) == (2, 4, "finished")
    assert service.get("/same-2")["attempt"] == 1


def test_metrics_without_steps_are_numbered_in_the_order_of_their_times(service: Service) -> None:
    with mlflow.start_run(run_name="stepless") as run:
        for number in range(12):
            mlflow.log_metric("loss", 1.0 + number)
            mlflow.log_metric("accuracy", 0.01 * number)
            if number == 7:
                mlflow.log_metric("val_loss", 9.0)
                mlflow.log_metric("val_loss", 8.0)
    points = service.points(run.info.run_id)
    assert [(point["step"], point["loss"]) for point in points] == [(n, 1.0 + n) for n in range(12)]
    assert [point["metrics"]["accuracy"] for point in points] == [0.01 * n for n in range(12)]
    assert service.get(f"/{run.info.run_id}")["attempt"] == 1


def test_steps_that_begin_again_with_every_epoch_go_on(service: Service) -> None:
    with mlflow.start_run(run_name="epochs") as run:
        for epoch in range(3):
            for batch in range(5):
                mlflow.log_metric("loss", 10.0 - epoch - 0.1 * batch, step=batch)
    points = service.points(run.info.run_id)
    assert [point["step"] for point in points] == list(range(15))
    assert points[7]["loss"] == pytest.approx(10.0 - 1 - 0.2)
    assert service.get(f"/{run.info.run_id}")["attempt"] == 1


@pytest.mark.parametrize("steps", [lambda n: n, lambda n: 0], ids=["steps", "no steps"])
def test_a_request_that_is_sent_again_changes_nothing(service: Service, client: MlflowClient, steps: Any) -> None:
    run = client.create_run("0", run_name="again").info.run_id
    at = int(time.time() * 1000)
    batches = [
        [
            {"key": key, "value": 5.0 - 0.01 * n, "timestamp": at + n, "step": steps(n)}
            for n in range(start, start + 20)
            for key in ("loss", "acc")
        ]
        for start in (0, 20, 40)
    ]
    for batch in (batches[0], batches[0], batches[1], batches[0], batches[2], batches[1], batches[2]):
        assert posted(service, "runs/log-batch", {"run_id": run, "metrics": batch}).status_code == 200
    points = service.points(run)
    assert [(point["step"], point["loss"]) for point in points] == [(n, 5.0 - 0.01 * n) for n in range(60)]
    assert all(point["metrics"] == {"acc": point["loss"]} for point in points)
    assert service.get(f"/{run}")["attempt"] == 1


def test_an_asynchronous_client_whose_steps_overtake_each_other_loses_none(
    service: Service, client: MlflowClient
) -> None:
    """As the Hugging Face Trainer logs: ten threads send, and the order of arrival is theirs."""
    run = client.create_run("0", run_name="async").info.run_id
    order = sorted(range(90), key=lambda step: step + random.Random(step).uniform(0, 6))
    assert order != sorted(order)
    for step in order:
        metrics = [
            {"key": key, "value": 5.0 - 0.02 * step, "timestamp": 10**12 + step // 3, "step": step}
            for key in ("loss", "grad_norm", "accuracy")
        ]
        parts = [metrics] if step % 3 else [metrics[:1], metrics[1:]]
        for part in parts:
            assert posted(service, "runs/log-batch", {"run_id": run, "metrics": part}).status_code == 200
    points = service.points(run)
    assert [(point["step"], point["loss"], point["grad_norm"]) for point in points] == [
        (step, 5.0 - 0.02 * step, 5.0 - 0.02 * step) for step in range(90)
    ]
    found = service.get(f"/{run}")
    assert (found["attempt"], found["status"], "metrics_numbered" in found["context"]) == (1, "healthy", False)
    assert service.get(f"/{run}/report")["notes"] == []


def test_a_metric_that_counts_otherwise_does_not_disturb_the_training(service: Service, client: MlflowClient) -> None:
    run = client.create_run("0", run_name="two-axes").info.run_id
    client.log_metric(run, "loss", 1.0, step=0)
    for step in range(1, 40):
        client.log_metric(run, "tokens", float(step), step=step * 1000)
        client.log_batch(run, [Metric("system/cpu", 50.0, int(time.time() * 1000), step * 10**6)])
        client.log_metric(run, "loss", 1.0 / step if step < 20 else math.nan, step=step)
    found = service.get(f"/{run}")
    assert (found["attempt"], found["status"], found["action"], found["step"]) == (1, "critical", "stop", 39)
    points = [(point["step"], point["loss"], point.get("metrics")) for point in service.points(run)]
    assert points == [
        (step, 1.0 / max(step, 1) if step < 20 else "NaN", {"tokens": step + 1.0} if step < 39 else None)
        for step in range(40)
    ]
    assert service.get(f"/{run}/report")["notes"] == []


def test_the_mean_of_a_whole_training_does_not_contradict_its_last_loss(service: Service) -> None:
    """As the Hugging Face Trainer ends: train_loss at the step of the last loss."""
    with mlflow.start_run(run_name="hugging") as run:
        for step in range(10, 60, 10):
            mlflow.log_metrics({"loss": 60.0 - step, "learning_rate": 0.1, "epoch": step / 50}, step=step)
        mlflow.log_metrics({"eval_loss": 1.5}, step=50)
        mlflow.log_metrics({"train_loss": 30.0, "train_runtime": 1.0}, step=50)
    assert service.points(run.info.run_id)[-1] == {
        "step": 50, "loss": 10.0, "validation_loss": 1.5, "learning_rate": 0.1, "epoch": 1.0,
        "metrics": {"train_loss": 30.0, "train_runtime": 1.0},
    }  # fmt: skip
    assert service.get(f"/{run.info.run_id}")["attempt"] == 1


def test_three_thousand_metrics_of_one_step_are_all_kept(service: Service, client: MlflowClient) -> None:
    run = client.create_run("0", run_name="wide").info.run_id
    for start in range(0, 3000, 1000):
        client.log_batch(run, [Metric(f"m{n}", float(n), 1, 0) for n in range(start, start + 1000)])
    (point,) = service.points(run)
    assert point["metrics"] == {f"m{n}": float(n) for n in range(3000)}


def test_a_thousand_parameters_are_kept_and_more_fail_nothing(service: Service, client: MlflowClient) -> None:
    run = client.create_run("0", run_name="many").info.run_id
    for start in range(0, 1200, 100):
        client.log_batch(run, params=[Param(f"p{n}", "x" * 2000) for n in range(start, start + 100)])
    client.log_batch(run, params=[Param("learning_rate", "0.25")], tags=[RunTag(f"t{n}", "v") for n in range(90)])
    context = service.get(f"/{run}")["context"]
    assert context["learning_rate"] == 0.25
    assert len([name for name in context if name.startswith("p")]) > 900
    assert len(context["tags"]) == 64


def test_artifacts_models_and_data_sets_fail_nothing_and_stay_where_the_training_runs(
    client: MlflowClient, tmp_path: Path
) -> None:
    with mlflow.start_run(run_name="files") as run:
        mlflow.log_text("kept", "notes/a.txt")
        mlflow.log_dict({"a": 1}, "b.json")
        id_ = run.info.run_id
        model = client.create_logged_model("0", "net", id_, tags={"a": "b"}, params={"width": "3"}, model_type="cnn")
        client.log_model_artifacts(model.model_id, str(next(tmp_path.rglob("notes"))))
        client.set_logged_model_tags(model.model_id, {"c": "d"})
        ready = client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(id_, [LoggedModelOutput(model.model_id, 1)])
        client.log_inputs(id_, [DatasetInput(Dataset("cifar", "1", "local", "x"))])
        mlflow.log_metric("loss", 1.0, step=1, model_id=model.model_id)
    assert {path.read_text() for path in tmp_path.rglob("a.txt")} == {"kept"}
    assert len(list(tmp_path.rglob("a.txt"))) == 2
    assert (ready.model_id, ready.status, ready.artifact_location) == (model.model_id, "READY", model.artifact_location)
    assert client.get_logged_model(model.model_id).artifact_location == model.artifact_location
    assert [one.path for one in client.list_artifacts(id_)] == ["b.json", "notes"]


def test_a_run_that_was_deleted_does_not_come_back(service: Service, client: MlflowClient) -> None:
    run = client.create_run("0", run_name="gone").info.run_id
    client.log_metric(run, "loss", 1.0, step=0)
    assert service.http.delete(f"{service.url}/v1/runs/{run}").status_code == 204
    with pytest.raises(MlflowException, match="no run with the id") as error:
        client.log_metric(run, "loss", 1.0, step=1)
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert service.http.get(f"{service.url}/v1/runs/{run}").status_code == 404


def test_a_project_can_be_named_in_the_tracking_uri_and_has_rules_of_its_own(service: Service) -> None:
    mlflow.set_tracking_uri(f"{service.url}/mlflow/other")
    with mlflow.start_run(run_name="there") as run:
        mlflow.log_metrics({"acc": 2.0, "val_loss": 3.0}, step=1)
    assert service.points(run.info.run_id, "other") == [{"step": 1, "loss": 2.0, "validation_loss": 3.0}]
    mlflow.set_tracking_uri(service.url)
    with mlflow.start_run(run_name="here") as run:
        mlflow.log_metrics({"objective": 2.0, "acc": 3.0}, step=1)
    assert service.points(run.info.run_id) == [{"step": 1, "loss": 2.0, "metrics": {"acc": 3.0}}]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "runs/log-metric", b"{", 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "runs/log-metric", b"[]", 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "runs/log-metric", b'{"run_id": "no"}', 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "runs/log-batch", b'{"run_id": "\\u0000"}', 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "runs/create", b'{"experiment_id": "zz"}', 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "experiments/get?experiment_id=7", b"", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "registered-models/create", b"{}", 404, "ENDPOINT_NOT_FOUND"),
        ("DELETE", "runs/get", b"", 404, "ENDPOINT_NOT_FOUND"),
        ("POST", "runs/log-metric", b"x" * (17 << 20), 413, "BAD_REQUEST"),
    ],
)  # fmt: skip
def test_errors_are_in_mlflows_words(
    service: Service, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    answer = service.http.request(method, f"{service.url}/api/2.0/mlflow/{path}", content=body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.json()["message"]


def test_another_host_is_refused_in_mlflows_words(service: Service) -> None:
    answer = service.http.post(f"{service.url}/api/2.0/mlflow/runs/create", json={}, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json()["error_code"] == "BAD_REQUEST"


def test_a_page_of_another_site_logs_nothing(service: Service) -> None:
    answer = service.http.post(
        f"{service.url}/api/2.0/mlflow/runs/create", json={}, headers={"Origin": "https://evil.example"}
    )
    assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")


@pytest.mark.slow
def test_a_service_that_starts_again_goes_on_numbering(tmp_path: Path) -> None:
    from api.conftest import serving
    from losswatch_server.app import create_app
    from losswatch_server.settings import Settings

    run = ""
    for number in range(2):
        with serving(create_app(Settings(data_dir=tmp_path / "kept"))) as (host, port):
            here = Service(f"http://{host}:{port}")
            client = MlflowClient(here.url)
            run = run or client.create_run("0", run_name="going-on").info.run_id
            for value in range(4):
                client.log_metric(run, "my/Train Loss", 100.0 - 10 * number - value)
                client.log_metric(run, "loss", 7.0 + value + 10 * number)
            points = here.points(run)
            here.http.close()
    assert [point["step"] for point in points] == list(range(8))
    assert [point["loss"] for point in points] == [7.0 + n % 4 + 10 * (n // 4) for n in range(8)]
