"""A log that grows: however it comes, what is read in the end is what is read of the whole."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_samples import sample

from losswatch_logs import Growing, LogPoint, read

LINES = [
    "mlx_lora",
    "megatron",
    "xgboost",
    "hugging_face_console",
    "pytorch_imagenet",
    "keras_csvlogger",
    "spacy",
    "timm",
]


def told(points: dict[tuple[int, int], LogPoint]) -> list[tuple[Any, ...]]:
    return [(*place, point.loss, point.validation_loss) for place, point in sorted(points.items())]


def followed(text: str, cuts: list[int], **sizes: int) -> list[tuple[Any, ...]]:
    """The points of a text that comes in pieces, the last word on each place."""
    growing = Growing(**sizes)
    points: dict[tuple[int, int], LogPoint] = {}
    places = [0, *sorted(cuts), len(text)]
    for start, end in zip(places, places[1:], strict=False):
        growing.feed(text[start:end])
        grown = growing.read(ended=end == len(text))
        if grown is not None:
            if grown.revised:
                points.clear()
            points.update({(point.attempt, point.step): point for point in grown.points})
    return told(points)


@pytest.mark.parametrize("name", LINES)
@given(data=st.data())
@settings(max_examples=10)
def test_a_log_that_comes_in_pieces_is_read_as_the_whole(name: str, data: st.DataObject) -> None:
    text = sample(name)[1].decode()
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    whole = {(point.attempt, point.step): point for point in read(text).points}
    assert followed(text, cuts) == told(whole)


def long_log(form: str, rows: int) -> str:
    noise = random.Random(5)
    return "".join(
        form.format(e=n // 100 + 1, i=n % 100, n=n, l=3 * 0.999**n + noise.random() / 50) for n in range(rows)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        "step {n} loss {l:.5f} lr 0.1\n",
        "Epoch: [{e}][{i}/100]\tTime 0.4 (0.5)\tLoss {l:.5f} (1.0)\n",
        "epoch {e} batch {i} loss {l:.5f}\n",
        "loss: {l:.5f}\n",
        "\r  {n}/3000 [00:10<16:30, 1.0it/s, loss={l:.5f}]",
    ],
)
def test_of_a_long_log_only_a_window_is_kept_and_the_steps_go_on(form: str) -> None:
    text = long_log(form, 1500)
    whole = {(point.attempt, point.step): point for point in read(text).points}
    pieces = list(range(0, len(text), 3000))
    assert followed(text, pieces, whole=20_000, window=9_000) == told(whole)


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    growing = Growing(whole=20_000, window=9_000)
    text = long_log("step {n} loss {l:.5f}\n", 4000)
    for start in range(0, len(text), 3000):
        growing.feed(text[start : start + 3000])
        growing.read()
    held = sum(map(len, growing._head)) + sum(map(len, growing._lines))
    assert held < 40_000 < len(text)


def test_what_cannot_be_read_is_said_and_may_be_read_later() -> None:
    growing = Growing()
    growing.feed("a banner\n")
    assert growing.read() is None
    assert "No training log" in growing.why
    growing.feed("step 1 loss 0.5\nstep 2 loss 0.4\n")
    grown = growing.read()
    assert grown is not None
    assert [point.loss for point in grown.points] == [0.5, 0.4]
    assert growing.why == ""


def test_a_training_that_begins_after_a_long_preamble_keeps_its_first_point() -> None:
    text = "".join(f"file {number} of the test set was loaded\n" for number in range(2000))
    text += "".join(f"step {step} loss {2 * 0.9**step:.4f}\n" for step in range(20))
    pieces = list(range(0, len(text), 3000))
    assert [step for _, step, _, _ in followed(text, pieces, whole=20_000, window=9_000)] == list(range(20))
