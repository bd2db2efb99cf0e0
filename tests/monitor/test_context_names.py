"""Names in a context that are probably slips: noted where the field meant is missing, and never otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losswatch_server.monitor.context_names import meant, misspelt, slips
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import diagnose


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("learnig_rate", "learning_rate"),
        ("leanring_rate", "learning_rate"),
        ("Learning-Rate", "learning_rate"),
        ("lr", "learning_rate"),
        ("optimiser", "optimizer"),
        ("batchsize", "batch_size"),
        ("loss_fn", "loss_name"),
        ("wieght_decay", "weight_decay"),
    ],
)
def test_a_slip_is_told_from_the_field_it_stands_for(name: str, field: str) -> None:
    assert meant(name) == field


@pytest.mark.parametrize(
    "name",
    [
        "dropout",
        "patch_size",
        "eval_batch_size",
        "num_layers",
        "warmup_ratio",
        "lr_scheduler",
        "seed",
        "betas",
        "epochs",
    ],
)
def test_a_hyper_parameter_of_its_own_is_no_slip(name: str) -> None:
    assert meant(name) is None


def test_the_report_notes_a_slip_and_keeps_it_unless_the_field_is_given() -> None:
    points = [Point(step=step, loss=1.0 / (step + 1)) for step in range(4)]
    slipped = Context(extra={"learnig_rate": 0.1})
    assert [note for note in diagnose(points, slipped).notes if "did you mean learning_rate?" in note]
    assert misspelt(Context(extra={"learnig_rate": 0.1}, learning_rate=0.1)) == ()


@given(st.text("abc_", max_size=6), st.text("abc_", max_size=6))
def test_the_distance_between_words_is_one(one: str, other: str) -> None:
    assert slips(one, other) == slips(other, one)
    assert (slips(one, other) == 0) == (one == other)
    assert abs(len(one) - len(other)) <= slips(one, other) <= max(len(one), len(other))
