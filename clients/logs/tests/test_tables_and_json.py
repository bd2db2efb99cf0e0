"""CSV and its kin, JSON documents and JSON lines, and bare numbers."""

from __future__ import annotations

import json
import math

import pytest

from losswatch_logs import UnreadableLogError, read


@pytest.mark.parametrize(
    "text",
    [
        "step,loss,lr\n1,0.5,0.01\n2,0.25,0.01\n",
        "Step\tTrain_Loss\tLR\r\n1\t0.5\t0.01\r\n2\t0.25\t0.01\r\n",
        "STEP;Loss;learning_rate\n1;0,5;0,01\n2;2,5e-1;0,01\n",
        "# global_step loss lr\n1 0.5 0.01\n2 0.25 0.01\n",
        "  step loss lr\n1 1 0.5 0.01\n2 2 0.25 0.01\n",
        '"iteration","run-7 - loss","lr"\n"1","0.5","0.01"\n"2","0.25","0.01"\n',
        "a banner of the cluster\n\niter,training_loss,lr\n1,0.5,0.01\n2,0.25,0.01\n",
        '{"step": 1, "loss": 0.5, "lr": 0.01}\n{"step": 2, "loss": 0.25, "lr": 0.01}\n',
        '[{"step": 1, "loss": 0.5, "lr": 0.01}, {"step": 2, "loss": "0.25", "lr": 0.01}]',
        '{"points": [{"step": 1, "loss": 0.5, "lr": 0.01}, {"step": 2, "loss": 0.25, "lr": 0.01}]}',
        '{"1": {"loss": 0.5, "lr": 0.01}, "2": {"loss": 0.25, "lr": 0.01}}',
        '{"history": {"loss": [0.5, 0.25], "lr": [0.01, 0.01]}}',
        '{"loss": {"0": 0.5, "1": 0.25}, "lr": {"0": 0.01, "1": 0.01}}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_same_table_reads_the_same_in_every_spelling(text: str, encoding: str) -> None:
    points = read(text.encode(encoding)).points
    assert [(p.step, p.loss, p.learning_rate) for p in points] == [(1, 0.5, 0.01), (2, 0.25, 0.01)]


@pytest.mark.parametrize(
    "text",
    ["0.5\n0.25\nNaN\n", "0.5, 0.25, nan", "[0.5, 0.25, NaN]", "1,0.5\n2,0.25\n3,-1.#IND\n", "loss\n0.5\n0.25\nnan\n"],
)
def test_a_bare_list_of_numbers_is_taken_as_losses(text: str) -> None:
    points = read(text).points
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.loss for point in points[:2]] == [0.5, 0.25]
    assert math.isnan(points[2].loss or 0.0)


def test_tensorboard_downloads_have_the_step_in_the_middle() -> None:
    for text in (
        "Wall time,Step,Value\n1700000000.5,0,0.5\n1700000001.5,10,0.4\n",
        "[[1.7e9, 0, 0.5], [1.7e9, 10, 0.4]]",
    ):
        assert [(p.step, p.loss) for p in read(text).points] == [(0, 0.5), (10, 0.4)]


def test_a_null_loss_is_told_from_an_absent_one() -> None:
    points = read('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": null}\n{"step": 3, "grad_norm": 2.0}\n').points
    assert [(p.loss, p.loss_is_null) for p in points] == [(0.5, False), (None, True), (None, False)]


def test_the_parts_of_a_yolo_loss_are_summed_and_the_answer_says_so() -> None:
    log = read(
        "      epoch,   train/box_loss,   train/cls_loss,   val/box_loss,   val/cls_loss,  lr/pg0\n"
        "          1,             1.50,             2.25,           1.00,           2.00,   0.001\n"
        "          2,             1.25,             2.00,           1.50,           2.25,   0.002\n"
    )
    assert [(p.step, p.loss, p.validation_loss, p.learning_rate) for p in log.points] == [
        (1, 3.75, 3.0, 0.001),
        (2, 3.25, 3.75, 0.002),
    ]
    assert "the sum of 'train/box_loss', 'train/cls_loss' as loss (2 values)" in log.read_as
    assert log.context["step_unit"] == "epoch"


def test_validation_rows_of_mmengine_join_the_point_before_them() -> None:
    log = read(
        '{"lr": 0.001, "loss": 1.5, "grad_norm": 3.0, "epoch": 1, "iter": 50, "step": 50}\n'
        '{"lr": 0.001, "loss": 1.4, "grad_norm": NaN, "epoch": 1, "iter": 100, "step": 100}\n'
        '{"coco/bbox_mAP": 0.3, "step": 1}\n'
        '{"lr": 0.001, "loss": 1.3, "epoch": 2, "iter": 150, "step": 150}\n'
    )
    assert [(p.step, p.loss, p.attempt) for p in log.points] == [(50, 1.5, 1), (100, 1.4, 1), (150, 1.3, 1)]
    assert log.points[1].metrics["coco/bbox_mAP"] == 0.3


def test_rows_marked_as_validation_carry_a_validation_loss() -> None:
    log = read('{"mode": "train", "epoch": 1, "loss": 2.0}\n{"mode": "val", "epoch": 1, "loss": 1.9}\n')
    assert [(p.loss, p.validation_loss) for p in log.points] == [(2.0, 1.9)]


def test_a_counter_that_begins_anew_in_each_epoch_adds_up_with_the_epoch() -> None:
    rows = [f"{epoch},{batch},{1 / (epoch * 10 + batch)}" for epoch in (1, 2, 3) for batch in range(1, 9)]
    log = read("epoch,iter,loss\n" + "\n".join(rows))
    assert [point.step for point in log.points] == list(range(1, 25))
    assert "(epoch - 1) x 8 + 'iter' as the step (its largest value, for want of a total)" in log.read_as


def test_two_runs_in_one_file_are_two_attempts() -> None:
    run = "step,loss\n" + "".join(f"{step},{1 / (step + 1)}\n" for step in range(12))
    log = read(run + run)
    assert [(p.step, p.attempt) for p in log.points[10:14]] == [(10, 1), (11, 1), (0, 2), (1, 2)]


def test_thousands_of_columns_leave_the_loss_and_sixty_four_metrics() -> None:
    names = [f"c{place}" for place in range(5000)]
    log = read(",".join([*names, "loss"]) + "\n" + ",".join(["0.5"] * 5000 + ["0.25"]) + "\n")
    assert log.points[0].loss == 0.25
    assert len(log.points[0].metrics) == 64


@pytest.mark.parametrize("cell", ["NA", "", "null", "n/a", "-"])
def test_a_cell_without_a_value_is_not_measured(cell: str) -> None:
    points = read(f"epoch,loss,val_loss\n0,0.5,{cell}\n1,0.4,0.6\n").points
    assert [point.validation_loss for point in points] == [None, 0.6]


@pytest.mark.parametrize(
    "printed", ["0.1", "1e-320", "1.7976931348623157e308", "0.30000000000000004", "13164500484096.0000"]
)
def test_numbers_are_the_float64_that_is_printed(printed: str) -> None:
    for text in (f"step,loss\n1,{printed}\n", f"step 1 loss {printed}\n", json.dumps({"loss": [float(printed)]})):
        assert read(text).points[0].loss == float(printed)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("{}", "nothing in it is named like a loss"),
        ('{"accuracy": [1, 2]}', "reports an accuracy ('accuracy') and no loss"),
        (b"PK\x03\x04zip", "binary file"),
        ("a,b\n1,2\n", "header line"),
        pytest.param("1\n" * 1_000_001, "more than 1,000,000 points", marks=pytest.mark.slow, id="too many points"),
    ],
)
def test_what_is_no_log_is_refused_with_a_sentence(text: str | bytes, part: str) -> None:
    with pytest.raises(UnreadableLogError) as error:
        read(text)
    assert part in error.value.detail
