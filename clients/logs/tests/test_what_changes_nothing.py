"""What loggers, launchers, terminals and pastes put around a log changes nothing of what is read."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

import pytest
from log_samples import sample

from losswatch_logs import ReadLog, read_all

LINES = [
    "mlx_lora",
    "detectron2_console",
    "xgboost",
    "catboost",
    "hugging_face_console",
    "pytorch_imagenet",
    "tutorial_two_counters",
    "fastai",
    "spacy",
    "megatron",
    "word_language_model",
    "headings_tell_the_set",
    "keras_csvlogger",
    "wandb_history_jsonl",
    "dcgan",
    "lightgbm_command_line",
]
BAR = "Loading:  40%|████      | 4/10 [00:01<00:02,  2.51it/s]"


def each_line(change: Callable[[int, str], str]) -> Callable[[str], str]:
    return lambda text: "\n".join(change(place, line) for place, line in enumerate(text.split("\n")))


def prefixed(form: str) -> Callable[[str], str]:
    """A prefix before every line that is not blank; ``{m}`` and ``{s}`` run like a clock."""
    return each_line(lambda place, line: form.format(m=place // 60 % 60, s=place % 60) + line if line.strip() else line)


CHANGES: dict[str, Callable[[str], str | bytes]] = {
    "time stamps": prefixed("2031-02-01 10:{m:02d}:{s:02d},123 "),
    "clock times in brackets": prefixed("[10:{m:02d}:{s:02d}] "),
    "a logger": prefixed("2031-02-01 10:{m:02d}:{s:02d},123 - trainer - INFO - "),
    "a level": prefixed("INFO:root:"),
    "a source line": prefixed("I0425 10:{m:02d}:{s:02d}.611122  9167 solver.cpp:65] "),
    "a container's name": prefixed("trainer-1  | "),
    "a rank": prefixed("[rank0]: "),
    "a process": prefixed("(RayTrainWorker pid=1234, ip=10.0.0.1) "),
    "srun's label": prefixed("0: "),
    "colours": each_line(lambda _, line: f"\x1b[32m{line}\x1b[0m"),
    "blank lines": each_line(lambda _, line: f"\n{line}\n"),
    "progress bars": each_line(lambda place, line: f"{BAR}\n{line}" if place > 2 and place % 3 == 0 else line),
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "a byte order mark": lambda text: "\ufeff" + text,
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "zeros in front": lambda text: b"\0" * 700 + text.encode(),
    "a fence": lambda text: f"```\n{text}\n```\n",
    "the marks of a quoted mail": each_line(lambda _, line: f"> {line}"),
}


def told(text: str | bytes) -> list[tuple[Any, ...]]:
    (log,) = read_all(text)
    return account(log)


def account(log: ReadLog) -> list[tuple[Any, ...]]:
    return [
        (p.attempt, p.step, repr(p.loss), repr(p.validation_loss), p.learning_rate, p.grad_norm) for p in log.points
    ]


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", LINES)
def test_what_stands_around_a_log_changes_nothing(name: str, change: str) -> None:
    text = sample(name)[1].decode()
    assert told(CHANGES[change](text)) == told(text)


@pytest.mark.slow
def test_lines_of_other_ranks_change_nothing() -> None:
    text = sample("mlx_lora")[1].decode().splitlines()
    ranks = "\n".join(
        f"[rank{rank}]: {re.sub('loss [0-9.]+', f'loss {9 + rank}', line) if rank else line}"
        for line in text
        for rank in range(4)
    )
    assert told(ranks) == told("\n".join(text))
