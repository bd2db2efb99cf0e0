"""A log whose words tell of a loss that is not finite is never read as one of finite losses alone."""

from __future__ import annotations

import math

import pytest

from losswatch_logs import read

FALLING = "".join(f"step {step} loss {1 - step / 50:.2f}\n" for step in range(20))


@pytest.mark.parametrize(
    "words",
    [
        "ERROR:tensorflow:Model diverged with loss = NaN.",
        "FloatingPointError: Loss became infinite or NaN at iteration=20!",
        "Loss is nan, stopping training",
        "loss exploded to nan",
        "ERROR: Loss is NaN",
        "RuntimeError: Function 'PowBackward0' returned nan values in its 0th output.",
        "WARNING: NaN or Inf found in input tensor.",
        "Found a non-finite loss, aborting",
        "NaN loss encountered. Stopping.",
    ],
)
def test_the_last_words_of_a_training_are_its_last_point(words: str) -> None:
    log = read(f"{FALLING}{words}\nTraceback (most recent call last):\n")
    last = log.points[-1]
    assert last.step == 20
    assert math.isnan(last.loss or 0.0)


@pytest.mark.parametrize(
    "words",
    [
        "val_loss improved from inf to 0.53, saving model",
        "Validation loss decreased (inf --> 0.41).  Saving model ...",
        "best loss: inf",
        "terminate_on_nan: True, skip_nan: False, detect_anomaly(check_nan=True)",
        "number of nan iterations: 0",
        "the loss is information about the model",
        "nan_to_num is applied to the targets",
    ],
)
def test_words_that_mention_nan_otherwise_change_nothing(words: str) -> None:
    log = read(f"{FALLING}{words}\n")
    assert len(log.points) == 20
    assert not any(doubt.serious for doubt in log.doubts)


def test_words_in_the_middle_are_a_doubt() -> None:
    log = read(f"{FALLING[: len(FALLING) // 2]}Loss is nan, restoring the last checkpoint\n{FALLING}")
    assert any("not finite" in doubt.detail and doubt.serious for doubt in log.doubts) or any(
        point.loss is not None and math.isnan(point.loss) for point in log.points
    )


def test_an_adversary_that_is_lost_is_the_one_that_is_read() -> None:
    text = "".join(f"{step} [D loss: 0.69] [G loss: {'nan' if step > 5 else 0.8}]\n" for step in range(20))
    assert math.isnan(read(text).points[-1].loss or 0.0)


def test_a_term_that_is_lost_is_a_doubt() -> None:
    text = "".join(
        f"step {step} total_loss 0.{90 - step} aux_loss {'nan' if step > 5 else 0.8}\n" for step in range(20)
    )
    log = read(text)
    assert [doubt.remedy for doubt in log.doubts if doubt.serious] == ["loss_column=aux_loss"]
