"""Logs that Keras 3.15, transformers 5.23 and Lightning 2.6 wrote (samples/), and older Keras consoles by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from losswatch_logs import ReadLog, read

SAMPLES = Path(__file__).parent / "samples"


def sample(name: str) -> ReadLog:
    return read((SAMPLES / name).read_bytes(), name=name)


def test_a_keras_3_progress_bar_gives_the_state_it_ends_in() -> None:
    bars, lines = sample("keras_3_bars_validation.txt"), sample("keras_3_verbose_2.txt")
    assert [(p.step, p.loss, p.validation_loss) for p in bars.points] == [
        (p.step, p.loss, p.validation_loss) for p in lines.points
    ]
    assert [(p.step, p.loss, p.validation_loss) for p in bars.points[:2]] == [(1, 20.6085, 0.677), (2, 4.2565, 0.1308)]
    assert bars.context == {"framework": "keras", "step_unit": "epoch", "total_steps": 6}


def test_a_keras_console_and_its_csv_tell_of_the_same_divergence() -> None:
    console, table = sample("keras_3_not_finite.txt"), sample("keras_csvlogger_not_finite.csv")
    assert [math.isfinite(p.loss or 0) for p in console.points] == [math.isfinite(p.loss or 0) for p in table.points]
    assert math.isnan(console.points[-1].loss or 0)
    assert len(console.points) == 80


def test_history_columns_and_csv_logger_agree() -> None:
    history, table = sample("keras_history.json"), sample("keras_csvlogger_validation.csv")
    assert [p.loss for p in history.points] == pytest.approx([p.loss for p in table.points], rel=1e-12)
    assert history.context["step_unit"] == table.context["step_unit"] == "epoch"


def test_trainer_state_and_console_agree_but_for_the_printed_digits() -> None:
    state, console = sample("trainer_state.json"), sample("transformers_console.txt")
    assert [p.loss for p in console.points] == pytest.approx([p.loss for p in state.points], rel=1e-3)
    assert [p.step for p in state.points] == list(range(2, 25, 2))
    assert [p.step for p in state.points if p.validation_loss is not None] == [8, 16, 24]
    assert state.context == {
        "framework": "transformers",
        "total_steps": 24,
        "steps_per_epoch": 8,
        "steps_per_point": 2,
        "batch_size": 8,
    }
    assert len(sample("transformers_console_with_progress_bar.txt").points) == len(console.points)


def test_the_sparse_rows_of_lightning_merge_by_step() -> None:
    log = sample("lightning_metrics.csv")
    assert [p.step for p in log.points] == list(range(1, 24, 2))
    assert [p.step for p in log.points if p.validation_loss is not None] == [7, 15, 23]
    assert all(p.grad_norm is not None and p.loss is not None for p in log.points)
    assert "'grad_2.0_norm_total' as gradient norm (12 values)" in log.read_as


@pytest.mark.parametrize(
    "text",
    [
        "Epoch 0\n61878/61878 [==] - 5s - loss: 1.1788     \nEpoch 1\n61878/61878 [==] - 5s - loss: 1.0403     \n",
        "Train on 9 samples\nEpoch 1/2\n - 2s - loss: 1.1788\nEpoch 2/2\n - 0s - loss: 1.0403\n",
        "Epoch 1/2\n32/32 - 1s - loss: 1.1788 - 210ms/epoch\nEpoch 2/2\n32/32 - 1s - loss: 1.0403 - 9ms/epoch\n",
        "Epoch 1/2\n1/2 [==>...] - ETA: 1s - loss: 3.0\r2/2 [====] - 2s 9ms/step - loss: 1.1788\n"
        "Epoch 00001: val_loss improved from inf to 0.5, saving model to x.h5\n"
        "Epoch 2/2\n2/2 [====] - 2s 9ms/step - loss: 1.0403\n2/2 [====] - 0s 1ms/step - loss: 0.7\n",
        "Epoch 1/3\n2/2 [====] - loss: 1.1788\nEpoch 2/3\n2/2 [====] - loss: 1.0403\n"
        "Epoch 3/3\n1/2 [=>..] - ETA: 0s - loss: 9.0\n",
        "Epoch 1/2\n      1/Unknown - 2s 2s/step - loss: 5.0\n      7/Unknown - 3s 2s/step - loss: 1.1788\n"
        "Epoch 2/2\n7/7 [====] - 3s 2s/step - loss: 1.0403\n",
    ],
)
def test_keras_consoles_of_all_ages_give_one_point_per_epoch(text: str) -> None:
    log = read(text)
    assert log.format == "keras-console"
    assert [point.loss for point in log.points] == [1.1788, 1.0403]


def test_a_keras_log_that_breaks_off_with_nan_keeps_the_nan() -> None:
    log = read("Epoch 1/9\n5/5 [====] - 1s - loss: 0.5\nEpoch 2/9\n3/5 [==>.] - ETA: 1s - loss: nan\n")
    assert [point.step for point in log.points] == [1, 2]
    assert math.isnan(log.points[1].loss or 0)


def test_a_single_keras_epoch_is_read_batch_by_batch() -> None:
    states = "\r".join(f"{batch}/9 [==>...] - ETA: 1s - loss: {1 / batch:.4f}" for batch in range(1, 10))
    log = read(f"Epoch 1/1\n{states}\n")
    assert [point.step for point in log.points] == list(range(1, 10))
    assert "step_unit" not in log.context


def test_lines_left_out_of_a_pasted_log_leave_the_epochs_in_place() -> None:
    log = read("Epoch 1/500\n1/1 [=] - 0s - loss: 1.2\n...\nEpoch 499/500\n1/1 [=] - 0s - loss: 9.9e-06\n")
    assert [(p.step, p.loss) for p in log.points] == [(1, 1.2), (499, 9.9e-06)]


def test_samples_are_small_and_name_no_machine() -> None:
    for path in SAMPLES.iterdir():
        text = path.read_text()
        assert len(text) < 15_000
        assert "/tmp" not in text
        assert "/root" not in text
    assert json.loads((SAMPLES / "trainer_state.json").read_text())["global_step"] == 24
