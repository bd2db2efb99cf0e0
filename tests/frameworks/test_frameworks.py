"""The frameworks themselves train something tiny; what they log is read back and compared with what they say they did.

Run by ``make test-frameworks``; where a framework is not installed its tests are skipped by name.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.filterwarnings("ignore"),  # the frameworks' own deprecations are not ours to mend
]

from losswatch_logs import read  # noqa: E402


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    pytest.importorskip("torch", reason="torch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("keras", reason="keras is not installed")
    module.utils.set_random_seed(1)
    return module


def fit(
    keras: Any, learning_rate: float, epochs: int, verbose: int, csv: Path | None = None
) -> tuple[str, dict[str, list[float]]]:
    """One dense unit on y = x / 2 with x = 1..20: its stable limit is a learning rate of 0.0069."""
    numpy = pytest.importorskip("numpy")
    x = numpy.arange(1, 21, dtype="float32").reshape(-1, 1)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(learning_rate), loss="mse")
    callbacks = [keras.callbacks.CSVLogger(str(csv))] if csv else []
    console = io.StringIO()
    with contextlib.redirect_stdout(console):
        history = model.fit(
            x,
            x / 2,
            epochs=epochs,
            verbose=verbose,
            batch_size=20,
            callbacks=callbacks,
            validation_data=(x[:5], x[:5] / 2),
        )
    return console.getvalue(), history.history


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_keras_console_gives_the_history_to_its_printed_digits(keras: Any, verbose: int) -> None:
    console, history = fit(keras, 0.001, 8, verbose)
    points = read(console).points
    assert [point.step for point in points] == list(range(1, 9))
    assert [point.loss for point in points] == pytest.approx(history["loss"], abs=1e-4, rel=1e-3)
    assert [point.validation_loss for point in points] == pytest.approx(history["val_loss"], abs=1e-4, rel=1e-3)


def test_keras_csv_logger_and_history_give_the_exact_losses(keras: Any, tmp_path: Path) -> None:
    _, history = fit(keras, 0.001, 8, 0, tmp_path / "log.csv")
    assert [point.loss for point in read((tmp_path / "log.csv").read_bytes()).points] == history["loss"]
    assert [point.loss for point in read(json.dumps(history)).points] == history["loss"]


def test_a_keras_run_that_blows_up_is_read_to_its_infinities(keras: Any, tmp_path: Path) -> None:
    console, history = fit(keras, 1.0, 40, 2, tmp_path / "log.csv")
    assert not math.isfinite(history["loss"][-1])
    for points in (read(console).points, read((tmp_path / "log.csv").read_bytes()).points):
        assert [math.isfinite(p.loss or 0) for p in points] == [math.isfinite(loss) for loss in history["loss"]]


def test_transformers_console_and_trainer_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    transformers.set_seed(1)
    config = transformers.GPT2Config(
        vocab_size=32, n_positions=16, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    rows = [{"input_ids": torch.arange(i, i + 8) % 32, "labels": torch.arange(i, i + 8) % 32} for i in range(64)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=3, per_device_train_batch_size=8, logging_steps=2,
        eval_strategy="epoch", learning_rate=1e-2, report_to="none", use_cpu=True, save_strategy="no",
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=transformers.GPT2LMHeadModel(config), args=arguments, train_dataset=rows, eval_dataset=rows[:16]
    )
    console = io.StringIO()
    with contextlib.redirect_stdout(console):
        trainer.train()
    trainer.state.save_to_json(str(tmp_path / "trainer_state.json"))
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    state = read((tmp_path / "trainer_state.json").read_bytes())
    assert [(p.step, p.loss) for p in state.points] == [(entry["step"], entry["loss"]) for entry in logged]
    assert all(p.grad_norm is not None and p.learning_rate is not None for p in state.points)
    assert (state.context["total_steps"], state.context["steps_per_epoch"]) == (24, 8)
    assert [p.loss for p in read(console.getvalue()).points] == pytest.approx([e["loss"] for e in logged], rel=1e-3)


def test_lightning_metrics_merge_by_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    lightning = pytest.importorskip("lightning", reason="lightning is not installed")
    from lightning.pytorch.loggers import CSVLogger
    from lightning.pytorch.utilities import grad_norm

    lightning.seed_everything(1)
    trained: list[float] = []

    class Line(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
            trained.append(loss.item())
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))

        def on_before_optimizer_step(self, _: Any) -> None:
            self.log_dict(grad_norm(self.net, 2))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    x = torch.randn(64, 4)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8)
    logger = CSVLogger(str(tmp_path))
    lightning.Trainer(
        max_epochs=3, logger=logger, log_every_n_steps=1, accelerator="cpu", enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(Line(), loader, loader)  # fmt: skip
    log = read((Path(logger.log_dir) / "metrics.csv").read_bytes())
    assert [p.step for p in log.points] == list(range(24))
    assert [p.loss for p in log.points] == pytest.approx(trained, rel=1e-6)
    assert [p.step for p in log.points if p.validation_loss is not None] == [7, 15, 23]
    assert all(p.grad_norm is not None for p in log.points)
