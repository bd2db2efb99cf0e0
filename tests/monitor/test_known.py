"""What can be known of a run depends on how it was logged, and is said to be unknown where it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from losswatch_server.monitor.known import Need, begins_at_start
from losswatch_server.monitor.memory.quality import KEPT, Quality, quality_of
from losswatch_server.monitor.points import Context, Point
from monitor.curves import watch


@pytest.mark.parametrize(
    ("steps", "epochs", "at_start"),
    [
        (range(20), None, True),
        (range(1, 21), None, True),
        (range(0, 2000, 100), None, True),
        (range(100, 2000, 100), None, True),
        (range(500, 520), None, False),
        (range(5000, 9000, 100), None, False),
        (range(1875, 1875 * 9, 1875), None, True),
        (range(500, 520), [1] * 20, False),
        (range(10, 210, 10), [1] * 20, True),
        (range(130, 330, 10), [1] * 20, True),
        (range(20), range(30, 50), False),
        ([40000], None, False),
    ],
)
def test_the_beginning_of_a_run_is_told_from_an_excerpt(
    steps: range, epochs: Sequence[int] | None, at_start: bool
) -> None:
    stream = [Point(s, 1.0, epoch=None if epochs is None else float(epochs[i])) for i, s in enumerate(steps)]
    monitor = watch(stream)
    assert begins_at_start(monitor.memory) is at_start
    assert monitor.view.has(Need.START) is at_start


def test_the_budget_is_known_from_the_plan_until_it_is_passed() -> None:
    half = watch([Point(i, 1.0) for i in range(50)], Context(total_steps=100)).view.known
    assert half.budget == pytest.approx(0.5)
    assert watch([Point(i, 1.0) for i in range(120)], Context(total_steps=100)).view.known.budget is None
    assert watch([Point(i, 1.0) for i in range(50)]).view.known.budget is None


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("accuracy", "accuracy"), ("val_acc", "acc"), ("validation_accuracy", "accuracy"),
        ("eval/accuracy", "accuracy"), ("train_top1", "top1"), ("Acc", "acc"),
        ("sparse_categorical_accuracy", "accuracy"),
        ("acc_val", "acc"), ("sequence_accuracy", "accuracy"), ("Acc@1", "top1"), ("val_top-1 accuracy", "top1"),
        ("prec@1", "top1"), ("exact_match", "top1"), ("Acc@5", None), ("acc_10", None),
        ("eval_perplexity", "perplexity"), ("test_f1", "f1"), ("loss", None), ("factor", None), ("accumulated", None),
    ],
)  # fmt: skip
def test_a_metric_that_says_how_good_a_model_is_is_known_by_name(name: str, bare: str | None) -> None:
    assert quality_of(name) == bare


def test_a_metric_is_remembered_in_few_values_however_many_come() -> None:
    quality = Quality()
    for i in range(1000):
        quality.add({"acc": i / 1000, "seconds": 3.0, **{f"f1_{j}": 0.1 for j in range(9)}})
    assert quality.names[0] == "acc"
    assert quality.early[0] == [i / 1000 for i in range(KEPT)]
    assert quality.latest[0] == [i / 1000 for i in range(992, 1000)]
    assert quality.middle[0] == [i / 1000 for i in range(248, 256)]
