"""Trainings that report to MLflow, or by Keras' RemoteMonitor, report to a real service as they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from deploy.process import line_with_address
from frameworks.test_trainers import trainer_of

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
SERVER = ROOT / ".venv" / "bin" / "losswatch-server"
"""The frameworks have an environment of their own, without the service."""
PAGE = ROOT / "service" / "losswatch_server" / "docs" / "what-you-already-have.md"
KERAS_BLOCKS = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


class RealService:
    """A running service, read through its own interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/v1/runs{path}") as answer:
            return json.load(answer)

    def points(self, run: str) -> list[dict[str, Any]]:
        return self.get(f"/{run}/points")["points"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    if not SERVER.exists():
        pytest.skip(f"{SERVER} is not there (make .venv/.installed)")
    data = tmp_path_factory.mktemp("service") / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOSSWATCH_", "PYTHON"))}
    command = [str(SERVER), "serve", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield RealService(line_with_address(process))
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture
def mlflow(real: RealService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", real.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    module.set_tracking_uri(real.url)
    module.set_experiment("Default")
    yield module
    module.end_run()


def test_the_hugging_face_trainer_reports_to_mlflow(real: RealService, mlflow: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    trainer = trainer_of(transformers, tmp_path, report_to="mlflow", run_name="hf-mlflow")
    trainer.train()
    mlflow.end_run()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    points = real.points("hf-mlflow")
    assert [(p["step"], p["loss"], p["grad_norm"]) for p in points if "loss" in p] == [
        (entry["step"], entry["loss"], entry["grad_norm"]) for entry in logged
    ]
    assert [p["step"] for p in points if "validation_loss" in p] == [8, 16]
    run = real.get("/hf-mlflow")
    assert (run["attempt"], run["state"]) == (1, "finished")
    context = run["context"]
    assert (context["learning_rate"], context["batch_size"], context["grad_clip"]) == (0.01, 8, 0.1)
    assert context["optimizer"].startswith("adamw")


def test_lightnings_mlflow_logger_reports(real: RealService, mlflow: Any, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    torch = pytest.importorskip("torch")

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"lr": 0.05})
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self.layer(batch).square().mean()
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    loader = torch.utils.data.DataLoader(torch.ones(32, 2), batch_size=4)
    logger = lightning.pytorch.loggers.MLFlowLogger(experiment_name="lit", run_name="lit-mlflow", tracking_uri=real.url)
    trainer = lightning.Trainer(
        max_epochs=3, logger=logger, accelerator="cpu", log_every_n_steps=1, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Model(), loader)
    run = real.get("/lit-mlflow")
    assert (run["attempt"], run["state"], run["context"]["learning_rate"]) == (1, "finished", 0.05)
    points = real.points("lit-mlflow")
    assert [p["step"] for p in points if "loss" in p] == list(range(24))
    assert sum("train_loss_epoch" in p.get("metrics", {}) for p in points) == 3


def test_autologging_of_boosted_trees_reports(real: RealService, mlflow: Any) -> None:
    xgboost = pytest.importorskip("xgboost")
    numpy = pytest.importorskip("numpy")
    x = numpy.random.default_rng(0).normal(size=(100, 3))
    data = xgboost.DMatrix(x, label=x.sum(axis=1) > 0)
    mlflow.xgboost.autolog(log_models=False)
    try:
        with mlflow.start_run(run_name="xgb-mlflow"):
            xgboost.train(
                {"objective": "binary:logistic", "eta": 0.3}, data, 12, evals=[(data, "train"), (data, "eval")],
                verbose_eval=False,
            )  # fmt: skip
    finally:
        mlflow.xgboost.autolog(disable=True)
    points = real.points("xgb-mlflow")
    assert [p["step"] for p in points] == list(range(12))
    assert all({"loss", "validation_loss"} <= set(p) for p in points)
    assert real.get("/xgb-mlflow")["context"]["learning_rate"] == 0.3


def test_autologging_of_scikit_learn_keeps_its_model_where_it_runs(
    real: RealService, mlflow: Any, tmp_path: Path
) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    numpy = pytest.importorskip("numpy")
    x = numpy.random.default_rng(0).normal(size=(60, 3))
    mlflow.sklearn.autolog()
    try:
        with mlflow.start_run(run_name="skl-mlflow"):
            linear.LogisticRegression(C=0.5).fit(x, x[:, 0] > 0)
    finally:
        mlflow.sklearn.autolog(disable=True)
    run = real.get("/skl-mlflow")
    assert (run["state"], run["context"]["C"]) == ("finished", 0.5)
    assert any(tmp_path.rglob("MLmodel"))


def test_keras_callback_of_mlflow_reports(real: RealService, mlflow: Any) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    numpy = pytest.importorskip("numpy")
    x = numpy.ones((32, 2))
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    with mlflow.start_run(run_name="keras-mlflow"):
        model.fit(x, x[:, 0], epochs=4, verbose=0, validation_split=0.5, callbacks=[mlflow.keras.MlflowCallback()])
    points = real.points("keras-mlflow")
    assert [p["step"] for p in points if "loss" in p] == [0, 1, 2, 3]
    assert sum("validation_loss" in p for p in points) == 4


def test_remote_monitor_reports_each_epoch_also_what_is_not_a_number(real: RealService) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("requests")
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e30), "mse")
    monitor = keras.callbacks.RemoteMonitor(root=f"{real.url}/v1/compat/keras/remote")
    x = numpy.full((8, 2), 1e6)
    model.fit(x, x[:, 0], epochs=5, verbose=0, callbacks=[monitor])
    assert [p["step"] for p in real.points("remote")] == [0, 1, 2, 3, 4]
    assert real.get("/remote/report")["findings"][0]["condition"] == "non_finite"


@pytest.mark.parametrize("block", KERAS_BLOCKS, ids=["keras"])
def test_the_block_of_the_page_runs_as_it_stands(block: str, real: RealService, tmp_path: Path) -> None:
    for name in ("keras", "requests"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    text = block.replace("http://127.0.0.1:8000", real.url)
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert real.get("/my-run")["points"] == 20
