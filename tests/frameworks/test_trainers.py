"""Hugging Face's Trainer, TRL, Lightning and Accelerate train something tiny; what they say they did arrives."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import losswatch  # noqa: E402
from frameworks import sent  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

# --- Hugging Face -----------------------------------------------------------------------------------------------------


@pytest.fixture
def transformers() -> Any:
    module = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    module.set_seed(1)
    return module


def language_model(transformers: Any) -> Any:
    config = transformers.GPT2Config(
        vocab_size=32, n_positions=16, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config)


def trainer_of(transformers: Any, folder: Path, **given: Any) -> Any:
    rows = [{"input_ids": torch.arange(i, i + 8) % 32, "labels": torch.arange(i, i + 8) % 32} for i in range(64)]
    callbacks = given.pop("callbacks", None)
    arguments = transformers.TrainingArguments(
        **{
            "output_dir": str(folder), "num_train_epochs": 2, "per_device_train_batch_size": 8, "logging_steps": 1,
            "learning_rate": 1e-2, "report_to": "none", "use_cpu": True, "save_strategy": "no",
            "eval_strategy": "epoch", "max_grad_norm": 0.1, "disable_tqdm": True, **given,
        }
    )  # fmt: skip
    return transformers.Trainer(
        model=language_model(transformers), args=arguments, train_dataset=rows, eval_dataset=rows[:16],
        callbacks=callbacks,
    )  # fmt: skip


@pytest.mark.parametrize("accumulation", [1, 2])
def test_every_step_of_a_trainer_is_there_as_the_trainer_logs_it(
    transformers: Any, service: Any, tmp_path: Path, accumulation: int
) -> None:
    trainer = trainer_of(transformers, tmp_path, gradient_accumulation_steps=accumulation)
    losswatch.transformers.watch(trainer, "hf", quiet=True)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    held_out = {entry["step"] - 1: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    points = sent.points(service)
    assert sorted(points) == [entry["step"] - 1 for entry in logged] == list(range(16 // accumulation))
    assert [points[e["step"] - 1]["loss"] for e in logged] == pytest.approx([e["loss"] for e in logged], rel=1e-4)
    norms = [entry["grad_norm"] for entry in logged]
    assert [points[e["step"] - 1]["grad_norm"] for e in logged] == pytest.approx(norms, rel=1e-4)
    assert {step: p["validation_loss"] for step, p in points.items() if "validation_loss" in p} == held_out
    told = sent.context(service)
    assert (told["framework"], told["optimizer"], told["total_steps"]) == ("transformers", "adamw", 16 // accumulation)
    assert (told["grad_clip"], told["grad_norm_is"], told["facts"]["dataset_size"]) == (0.1, "before_clip", 64)
    assert (told["facts"]["loss_expects"], told["facts"]["shuffled"]) == ("logits", True)
    assert service.requests[-1].json == {"state": "finished"}


def test_the_callback_alone_reports_what_the_trainer_logs_and_no_nan_is_hidden(
    transformers: Any, service: Any, tmp_path: Path
) -> None:
    callback = losswatch.transformers.LosswatchCallback("hf", quiet=True)
    trainer = trainer_of(transformers, tmp_path, callbacks=[callback], eval_strategy="no")
    for parameter in trainer.model.parameters():
        torch.nn.init.constant_(parameter, math.nan)
    trainer.train()
    points = sent.points(service)
    assert sorted(points) == list(range(16))
    assert all(point["loss"] == "NaN" for point in points.values())
    assert trainer.args.logging_nan_inf_filter is False


def test_a_verdict_stops_the_trainer_with_the_advice_said(
    transformers: Any, service: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent.says_stop(service)
    trainer = trainer_of(transformers, tmp_path, eval_strategy="no")
    losswatch.transformers.watch(trainer, "hf", stop_on="stop", flush_interval=0.005)
    trainer.train()
    assert trainer.state.global_step < 16
    assert any("stopped. The loss is diverging. Lower the learning rate." in r.getMessage() for r in caplog.records)


def test_trl_s_trainer_is_watched_the_same_way(transformers: Any, service: Any, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="trl is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    rows = datasets.Dataset.from_list([{"input_ids": [(i + j) % 32 for j in range(8)]} for i in range(32)])
    tokenizers = pytest.importorskip("tokenizers")
    words = {f"w{i}": i for i in range(32)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="w1", pad_token="w2", unk_token="w0"
    )
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path), max_steps=6, per_device_train_batch_size=4, logging_steps=1, learning_rate=1e-2,
        report_to="none", use_cpu=True, save_strategy="no", max_length=8, disable_tqdm=True, bf16=False,
        gradient_checkpointing=False,
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        model=language_model(transformers), args=arguments, train_dataset=rows, processing_class=tokenizer
    )
    losswatch.transformers.watch(trainer, "trl", quiet=True)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    points = sent.points(service)
    assert sorted(points) == list(range(6))
    assert [points[e["step"] - 1]["loss"] for e in logged] == pytest.approx([e["loss"] for e in logged], rel=1e-3)
    assert all("grad_norm" in point for point in points.values())


# --- Lightning --------------------------------------------------------------------------------------------------------


@pytest.fixture
def lightning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("lightning", reason="lightning is not installed")
    module.seed_everything(1)
    return module


def module_of(lightning: Any, learning_rate: float = 0.05) -> Any:
    class Line(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
            self.trained: list[float] = []
            self.norms: list[float] = []
            self.save_hyperparameters({"width": 8})

        def training_step(self, batch: Any, _: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
            self.trained.append(loss.item())
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))
            self.log("val_r2", 0.5)

        def on_before_optimizer_step(self, _: Any) -> None:
            self.norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in self.parameters()])))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=learning_rate)

    return Line()


def fit(lightning: Any, module: Any, **options: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 4, generator=generator)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8, shuffle=True
    )
    trainer = lightning.Trainer(
        **{
            "max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu", "enable_checkpointing": False,
            "enable_progress_bar": False, "enable_model_summary": False, "logger": False, **options,
        }
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    return trainer


@pytest.mark.parametrize("accumulation", [1, 2])
def test_every_step_of_lightning_is_there_as_the_module_computed_it(
    lightning: Any, service: Any, accumulation: int
) -> None:
    module = module_of(lightning)
    callback = losswatch.lightning.LosswatchCallback("pl", quiet=True)
    fit(lightning, module, callbacks=[callback], accumulate_grad_batches=accumulation, gradient_clip_val=0.01)
    points = sent.points(service)
    trained = [sum(module.trained[i : i + accumulation]) / accumulation for i in range(0, 16, accumulation)]
    steps = 16 // accumulation
    assert sorted(points) == list(range(steps))
    assert [points[step]["loss"] for step in range(steps)] == pytest.approx(trained, rel=1e-5)
    assert [points[step]["grad_norm"] for step in range(steps)] == pytest.approx(module.norms, rel=1e-5)
    assert [step for step in range(steps) if "validation_loss" in points[step]] == [steps // 2 - 1, steps - 1]
    assert points[steps - 1]["metrics"]["val_r2"] == 0.5
    told = sent.context(service)
    assert (told["framework"], told["optimizer"], told["steps_per_epoch"]) == ("lightning", "sgd", steps // 2)
    assert told["facts"]["hidden_activations"] == ["relu"]
    assert told["facts"]["shuffled"] is True
    assert service.requests[-1].json == {"state": "finished"}


def test_a_verdict_stops_lightning(lightning: Any, service: Any) -> None:
    sent.says_stop(service)
    module = module_of(lightning)
    callback = losswatch.lightning.LosswatchCallback("pl", quiet=True, stop_on="critical", flush_interval=0.005)
    fit(lightning, module, callbacks=[callback], max_epochs=50)
    assert len(module.trained) < 400


def test_an_exception_in_lightning_ends_the_run_as_failed(lightning: Any, service: Any) -> None:
    module = module_of(lightning)

    def broken(batch: Any) -> Any:
        raise RuntimeError("shapes do not match")

    module.validation_step = broken
    with pytest.raises(RuntimeError):
        fit(
            lightning,
            module,
            num_sanity_val_steps=0,
            callbacks=[losswatch.lightning.LosswatchCallback("pl", quiet=True)],
        )
    assert service.requests[-1].json == {"state": "failed", "error": "RuntimeError: shapes do not match"}


def test_the_logger_takes_what_a_module_logs(lightning: Any, service: Any) -> None:
    module = module_of(lightning)
    fit(lightning, module, logger=losswatch.lightning.LosswatchLogger("logged", quiet=True))
    points = sent.points(service)
    assert [points[step]["loss"] for step in range(16)] == pytest.approx(module.trained, rel=1e-5)
    assert [step for step in range(16) if "validation_loss" in points[step]] == [7, 15]
    assert sent.context(service)["width"] == 8
    assert service.requests[-1].path == "/v1/runs/logged/finish"


# --- Accelerate -------------------------------------------------------------------------------------------------------


def test_accelerate_s_tracker_takes_what_is_logged(transformers: Any, service: Any) -> None:
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    accelerator = accelerate.Accelerator(log_with=losswatch.accelerate.LosswatchTracker("acc", quiet=True), cpu=True)
    accelerator.init_trackers("project", config={"learning_rate": 0.1, "width": 8})
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer = accelerator.prepare(model, optimizer)
    x = torch.randn(16, 4)
    trained = []
    for step in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        trained.append(loss.item())
        accelerator.log({"train/loss": loss, "grad_norm": norm, "lr": 0.1, "accuracy": 0.5, "note": "x"}, step=step)
    accelerator.log({"eval_loss": 0.25}, step=4)
    accelerator.end_training()
    points = sent.points(service)
    assert [points[step]["loss"] for step in range(5)] == trained
    assert points[4]["validation_loss"] == 0.25
    assert points[0]["metrics"] == {"accuracy": 0.5}
    assert {"grad_norm", "learning_rate"} <= set(points[0])
    assert sent.context(service)["width"] == 8
    assert service.requests[-1].json == {"state": "finished"}
