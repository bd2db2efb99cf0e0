"""What holds for every text: one kind of error, ascending steps, exact numbers, linear time."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_samples import NAMES, sample

from losswatch_logs import ReadLog, UnreadableLogError, read, read_all

FRAGMENTS = st.sampled_from(
    [
        "loss",
        "val_loss",
        "step",
        "epoch",
        "Epoch 1/3",
        "Epoch(val) [1][2/3]",
        "lr",
        ": ",
        "=",
        ", ",
        ";",
        "|",
        " | ",
        "\t",
        "\n",
        "\r",
        "\x08",
        "\x1b[1m",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "1",
        "2/",
        "0.5",
        "nan",
        "-inf",
        "1.#IND",
        "1e400",
        "9" * 20,
        "1_0",
        "None",
        "null",
        "true",
        "/",
        " - ",
        "%",
        "(",
        ")",
        "norm",
        "∞",
        "²",
        "\x00",
        "# ",
        "100/100 [===] - 1s - loss: 0.5",
        "{'loss': 0.5}",
        '{"loss": null}',
    ]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(FRAGMENTS, max_size=60).map("".join))
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["NaN", "x", "1e5"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["loss", "step", "0", "val", "log_history", "points"]), inner)
    ),
    max_leaves=20,
)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


def checked(text: str | bytes) -> ReadLog | None:
    try:
        logs = read_all(text)
    except UnreadableLogError:
        return None
    for each in logs:
        check(each)
    return logs[0]


def check(log: ReadLog) -> None:
    for before, after in pairwise(log.points):
        assert after.attempt in (before.attempt, before.attempt + 1)
        assert after.attempt > before.attempt or after.step > before.step
    assert log.points
    assert all(0 <= p.step <= 2**53 for p in log.points)
    assert all(len(p.metrics) <= 64 for p in log.points)
    assert len(log.skipped) <= 100


@given(TEXTS)
def test_any_text_is_read_or_refused_as_unreadable(text: str) -> None:
    checked(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_unreadable(data: bytes) -> None:
    checked(data)


def mixed(draw: st.DrawFn) -> str:
    """Lines of all formats, in runs of a few, repeated, cut and glued."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 6))):
        source = sample(draw(st.sampled_from(NAMES)))[1].decode().split("\n")
        start = draw(st.integers(0, max(0, len(source) - 1)))
        part = source[start : start + draw(st.integers(1, 12))]
        lines += part * draw(st.integers(1, 3))
    text = draw(st.sampled_from(["\n", "\r\n", "\r", " ", ""])).join(lines) if draw(st.booleans()) else "\n".join(lines)
    start = draw(st.integers(0, len(text)))
    return text[start:] + text[:start] if draw(st.booleans()) else text[start:]


@given(st.composite(mixed)())
def test_any_mixture_of_formats_is_read_or_refused_as_unreadable(text: str) -> None:
    checked(text)


@given(JSON)
def test_any_json_is_read_or_refused_as_unreadable(document: object) -> None:
    checked(json.dumps(document))
    checked(json.dumps(document) + "\n" + json.dumps(document))


RENDERINGS = {
    "csv": lambda losses: "step,loss\n" + "".join(f"{i},{loss!r}\n" for i, loss in enumerate(losses)),
    "name value": lambda losses: "".join(f"step {i} | loss {loss!r} | norm 1.0\n" for i, loss in enumerate(losses)),
    "key=value": lambda losses: "".join(f"step={i}, loss={loss!r}\n" for i, loss in enumerate(losses)),
    "json lines": lambda losses: "".join(json.dumps({"step": i, "loss": loss}) + "\n" for i, loss in enumerate(losses)),
    "python dictionaries": lambda losses: "".join(f"{ {'loss': loss, 'step': i} }\n" for i, loss in enumerate(losses)),
    "keras": lambda losses: "".join(f"Epoch {i}/99\n1/1 - 0s - loss: {loss!r}\n" for i, loss in enumerate(losses)),
}


@pytest.mark.slow
@pytest.mark.parametrize("rendering", RENDERINGS)
@given(losses=st.lists(NUMBERS, min_size=1, max_size=12))
def test_reading_a_rendered_log_gives_back_what_was_rendered(rendering: str, losses: list[float]) -> None:
    log = read(RENDERINGS[rendering](losses))
    assert [point.step for point in log.points] == list(range(len(losses)))
    assert [repr(point.loss) for point in log.points] == [repr(loss) for loss in losses]


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        "1",
        " ",
        "'",
        "\x1b[0",
        "nan ",
        "[",
        "{",
        "a=",
        "|",
        "loss,",
        "loss 1.",
        "\r1",
        "Epoch 1/1 ",
        "{'loss': ",
        "1.1e1",
        "| ",
        "loss (",
        "loss at ",
        "tensor(",
        "a b ",
        "10:10:10 - ",
        "epoch1",
        "[1/2]",
        "train val ",
        "-",
        "=",
    ],
)
def test_a_hostile_long_line_costs_linear_time(unit: str) -> None:
    def cost(size: int) -> float:
        text = "step 1 loss 0.5\n" + unit * (size // len(unit)) + "x\nstep 2 loss 0.4\n"
        start = time.process_time()
        checked(text)
        return time.process_time() - start

    assert (
        cost(1_600_000) < 40 * cost(100_000) + 1.0
    )  # sixteen times the text; a quadratic reader takes 256 times as long


@pytest.mark.slow
def test_twenty_megabytes_are_read_whole() -> None:
    text = "".join(f"{step},{1 / (step + 1)!r},0.001\n" for step in range(640_000))
    assert len(text) > 20_000_000
    assert len(read("step,loss,lr\n" + text).points) == 640_000  # in 11 s, measured on a busy two-core machine
