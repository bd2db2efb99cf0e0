"""What cannot be read is refused with its own reason, what is in doubt is said, and a person's word overrules."""

from __future__ import annotations

import json

import pytest

from losswatch_logs import Columns, ReadLog, UnreadableLogError, read, read_all
from losswatch_logs.result import MAX_COLUMNS

OVERFLOW = "".join(
    f"[2031-02-01 10:1{i}:07,110] [INFO] [loss_scaler.py:171:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. "
    f"Attempted loss scale: {65536 >> i}, reducing to {32768 >> i}\n"
    for i in range(9)
)
ACCURACY = "".join(
    f"INFO:root:Epoch[{i}] Batch [50]\tSpeed: 9050.10 samples/sec\tTrain-accuracy=0.{5 + i}\n"
    f"INFO:root:Epoch[{i}] Time cost=6.{i}\nINFO:root:Epoch[{i}] Validation-accuracy=0.{4 + i}\n"
    for i in range(4)
)
NOTES = "first try\n\nlr=0.01: the aux loss went to 2.2\n\n  aux loss: 1.2\n  xy loss: 0.6\n  smooth loss: 0.05\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (OVERFLOW, "overflow of half precision"),
        (ACCURACY, "reports an accuracy ('Train-accuracy', 'Validation-accuracy') and no loss"),
        (NOTES, "reads like notes"),
        ("step,speed,heat\n" + "".join(f"{i},{i * 2},{i * 3}\n" for i in range(9)), "There are: 'speed', 'heat'."),
        (
            "epoch,accuracy\n" + "".join(f"{i},0.{i}\n" for i in range(9)),
            "reports an accuracy ('accuracy') and no loss",
        ),
        ("it   speed   heat\n" + "".join(f"{i}  {i * 2}  {i * 3}\n" for i in range(9)), "There are: 'speed', 'heat'."),
        (json.dumps({"accuracy": [0.1, 0.2, 0.3], "speed": [1, 2, 3]}), "reports an accuracy ('accuracy') and no loss"),
        (json.dumps([{"speed": 1}, {"speed": 2}]), "There are: 'speed'."),
        ("step 1 lr 0.1\nstep 2 lr 0.2\nstep 3 lr 0.3\n", "No column is named like a loss. There are: 'lr'"),
        ("step,loss" + "".join(f"{i},{0.9 - i / 100:.2f}" for i in range(90)), "--data-binary"),
        ("the loss is large\n" * 9, "no line gives it a number"),
        (json.dumps({"cells": [], "nbformat": 4}), "a notebook whose cells have printed nothing"),
        (b"\x1f\x8bnothing of the kind", "cannot be unpacked"),
        (b"PK\x03\x04zip", "binary file"),
    ],
)
def test_each_kind_of_text_that_cannot_be_read_has_its_own_reason(text: str | bytes, reason: str) -> None:
    with pytest.raises(UnreadableLogError) as error:
        read(text)
    assert reason in error.value.detail


def losses(text: str, columns: Columns | None = None) -> list[float | None]:
    return [point.loss for point in read(text, columns=columns or Columns()).points]


@pytest.mark.parametrize(
    ("line", "loss"),
    [
        ("step {i} loss scale: 65536 loss: 0.{i}", "loss"),
        ("step {i} Best loss: 0.1 Min_val_loss: 0.2 lm loss: 0.{i}", "lm loss"),
        ("step {i} mtp_1 loss: 9.0 | lm loss: 0.{i}", "lm loss"),
        ("step {i} loss_cls: 9.0 loss_box: 8.0 total_loss: 0.{i}", "total_loss"),
        ("Epoch {i} Final Loss: 4.8 Test Loss: 4.9 Train Loss: 0.{i}", "Train Loss"),
        ("step {i} acc: 0.5 Train-cross-entropy=0.{i}", "Train-cross-entropy"),
        ("step {i} time cost: 3.2 batch_cost: 1.0 cost: 0.{i}", "cost"),
        ("step {i} aux_loss: 3.2 ce_loss: 0.{i}", "ce_loss"),
        ("step {i} avg loss: 3.2 loss: 0.{i}", "loss"),
        ("step {i} loss weight: 3.2 mse: 0.{i} mae: 0.3", "mse"),
        ("step {i} loss1 3.2 loss2 3.1 loss 0.{i}", "loss"),
        ("Epoch-{i} Loss-0.{i}", "Loss"),
    ],
)
def test_the_loss_is_chosen_by_what_its_name_says(line: str, loss: str) -> None:
    log = read("".join(line.format(i=i) + "\n" for i in range(1, 9)))
    assert log.read_as[0].startswith(f"'{loss}' as loss (8 values)")
    assert [point.loss for point in log.points] == [i / 10 for i in range(1, 9)]
    assert not any(doubt.serious for doubt in log.doubts)


TWO = "".join(f"step {i} loss_a: 0.{i} loss_b: 0.{9 - i}\n" for i in range(1, 9))


def test_two_losses_of_equal_right_are_doubted_and_the_remedy_works() -> None:
    (doubt,) = read(TWO).doubts
    assert doubt.serious
    assert "'loss_a' was read as the loss; 'loss_b' could be it as well" in doubt.detail
    assert doubt.remedy == "loss_column=loss_b"
    named = read(TWO, columns=Columns(loss="loss_b"))
    assert (named.doubts, [point.loss for point in named.points][:2]) == ([], [0.8, 0.7])


def test_every_column_can_be_named() -> None:
    text = "tick count,fit,held,push,loss\n" + "".join(f"{10 * i},{i / 10},{i / 5},{i / 2},1.5\n" for i in range(1, 5))
    log = read(text, columns=Columns(loss="fit", step="Tick_Count", validation="held", gradient_norm="push"))
    assert [(p.step, p.loss, p.validation_loss, p.grad_norm) for p in log.points] == [
        (10 * i, i / 10, i / 5, i / 2) for i in range(1, 5)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "step,speed,heat\n" + "".join(f"{i},{i * 2},{i / 8}\n" for i in range(9)),
        "it   speed   heat\n" + "".join(f"{i}  {i * 2}  {i / 8}\n" for i in range(9)),
        "".join(f"turn {i} of it: heat={i / 8}\n" for i in range(9)),
        json.dumps({"heat": [i / 8 for i in range(9)]}),
        json.dumps([{"heat": i / 8} for i in range(9)]),
    ],
    ids=["csv", "screen", "console", "json columns", "json rows"],
)
def test_a_named_column_is_read_whatever_it_is_called(text: str) -> None:
    assert losses(text, Columns(loss="heat")) == [i / 8 for i in range(9)]


def test_a_column_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(
        UnreadableLogError, match=r"loss_column names 'total', .* there are: 'step', 'loss_a', 'loss_b'"
    ):
        read(TWO, columns=Columns(loss="total"))


def test_a_counter_that_never_changes_is_no_step() -> None:
    log = read("".join(f"Epoch 1 | Step 0/6501 | loss 0.{i}\n" for i in range(1, 9)))
    assert [point.step for point in log.points] == list(range(1, 9))
    assert any("'Step' never changes" in doubt.detail for doubt in log.doubts)


def test_processes_that_print_the_same_step_are_told() -> None:
    log = read("".join(f"step {i} loss 0.{i}{rank}\n" for i in range(1, 9) for rank in range(4)))
    assert [(p.step, p.loss) for p in log.points] == [(i, i / 10) for i in range(1, 9)]
    assert any(doubt.serious and "each step comes 4 times" in doubt.detail for doubt in log.doubts)


def test_the_means_of_whole_epochs_do_not_mix_with_the_batches() -> None:
    text = "".join(
        "".join(f"Epoch {e} [{b}/50] loss {e / 10 + b / 1000:.3f}\n" for b in (10, 20, 30, 40, 50))
        + f"Epoch {e} loss 9.9\n"
        for e in (1, 2)
    )
    log = read(text)
    assert [p.step for p in log.points] == [10 * i for i in range(1, 11)]
    assert 9.9 not in losses(text)
    assert not any(doubt.serious for doubt in log.doubts)


def two_runs(first: str, second: str) -> str:
    curve = "".join(f"{{'loss': {2 - i / 10}, 'learning_rate': 1e-05, 'epoch': 0.{i}}}\n" for i in range(1, 5))
    return f"{first}\n{curve}{second}\n{curve}"


def names(logs: list[ReadLog]) -> list[str | None]:
    return [log.run for log in logs]


def test_two_runs_under_two_headings_are_two() -> None:
    with_bf16, with_fp16 = read_all(two_runs("with bf16:", "with fp16:"))
    assert names([with_bf16, with_fp16]) == ["with bf16", "with fp16"]
    assert [point.step for point in with_fp16.points] == [1, 2, 3, 4]
    assert (with_bf16.context["precision"], with_fp16.context["precision"]) == ("bf16", "fp16")


def test_a_second_training_without_a_heading_of_its_own_kind_is_an_attempt() -> None:
    (log,) = read_all(two_runs("loading the model", "now the second task"))
    assert [(p.attempt, p.step) for p in log.points] == [(1, i) for i in range(1, 5)] + [(2, i) for i in range(1, 5)]


@pytest.mark.parametrize(
    "text",
    [
        "run,step,loss\n" + "".join(f"{run},{i},{0.5 - i / 10}\n" for run in ("a", "b") for i in range(4)),
        "Step,a - train/loss,a - train/loss__MIN,b - train/loss,b - train/loss__MIN\n"
        + "".join(f"{i},{0.5 - i / 10},0,{0.5 - i / 10},0\n" for i in range(4)),
        json.dumps({run: {"loss": [0.5 - i / 10 for i in range(4)]} for run in ("a", "b")}),
        "".join(
            f"=== run {run} ===\n" + "".join(f"step {i} loss {0.5 - i / 10}\n" for i in range(4)) for run in (1, 2)
        ),
    ],
    ids=["a column", "wide columns", "json", "headings"],
)
def test_runs_of_one_table_are_told_apart(text: str) -> None:
    logs = read_all(text)
    assert len(logs) == 2
    assert all([point.loss for point in log.points] == [0.5 - i / 10 for i in range(4)] for log in logs)
    assert "the text holds 2 runs" in read(text).doubts[-1].detail


def test_what_the_log_knows_of_the_job_is_in_the_context() -> None:
    head = "Namespace(batch_size=32, optim='adamw', lr=0.001, weight_decay=0.01, fp16=True)\nfound 10 classes\n"
    log = read(head + "".join(f"step {i} loss 0.{i}\n" for i in range(1, 5)))
    assert {
        "batch_size": 32,
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "weight_decay": 0.01,
        "precision": "fp16",
        "num_classes": 10,
    }.items() <= log.context.items()


def test_a_loss_scale_that_falls_tells_of_half_precision() -> None:
    log = read("".join(f"step {i} loss 0.5 loss scale: {65536 >> i} grad norm: nan\n" for i in range(6)))
    assert log.context["precision"] == "fp16"
    assert log.context["facts"] == {"loss_scale": 2048}
    assert log.context["tags"]["loss_scale"] == "it fell from 65536 to 2048"


def test_a_notebook_is_read_by_what_its_cells_printed() -> None:
    cells = [
        {
            "cell_type": "code",
            "source": ["fit()"],
            "outputs": [{"output_type": "stream", "text": ["step 1 loss 0.5\n"]}],
        },
        {"cell_type": "code", "source": ["x"], "outputs": [{"data": {"text/plain": ["step 2 loss 0.4"]}}]},
    ]
    assert losses(json.dumps({"cells": cells, "nbformat": 4})) == [0.5, 0.4]
    table = "<table><tr><th>Step</th><th>Training Loss</th></tr>" + "".join(
        f"<tr><td>{i}</td><td>0.{i}</td></tr>" for i in range(1, 5)
    )
    shown = [
        {"cell_type": "code", "outputs": [{"data": {"text/html": [table + "</table>"], "text/plain": ["<IPython>"]}}]}
    ]
    assert losses(json.dumps({"cells": shown, "nbformat": 4})) == [0.1, 0.2, 0.3, 0.4]


def test_lines_with_losses_that_were_not_read_are_a_doubt() -> None:
    table = "epoch train_loss valid_loss\n" + "".join(f"{i} 0.{i} 0.{i}\n" for i in range(1, 6))
    other = "".join(f"@@ loss 0.{i} @@ somewhere else\n" for i in range(9))
    assert not read(table).doubts
    (doubt,) = read(table + other).doubts
    assert doubt.serious
    assert "9 lines in which a loss seems to have a value were not read" in doubt.detail


COLUMNS = "iter,train_loss,val_loss,lr,grad_norm,epoch,note,memory\n" + "".join(
    f"{n * 10},{2 / n},{3 / n},0.001,{n},{n // 5},text,{8000 + n}\n" for n in range(1, 21)
)
ROLES = ("loss", "validation", "gradient_norm", "learning_rate", "step", "epoch")


def test_every_column_of_numbers_is_listed_with_what_it_was_read_as() -> None:
    assert {column.name: column.read_as for column in read(COLUMNS).columns} == {
        "iter": "step", "train_loss": "loss", "val_loss": "validation", "lr": "learning_rate",
        "grad_norm": "gradient_norm", "epoch": "epoch", "memory": "metric",
    }  # fmt: skip
    memory = read(COLUMNS).columns[-1]
    assert (memory.values, memory.first, memory.last) == (20, 8001, 8020)


@pytest.mark.parametrize("name", ["iter", "train_loss", "val_loss", "lr", "grad_norm", "epoch", "memory"])
@pytest.mark.parametrize("role", ROLES)
def test_any_column_has_the_role_that_a_person_gives_it_and_no_other(name: str, role: str) -> None:
    (log,) = read_all(COLUMNS.encode(), columns=Columns(**{role: name}))
    assert {column.name: column.read_as for column in log.columns}[name] == role
    assert len(log.points) > 1


def test_of_more_columns_than_are_listed_those_that_were_read_are() -> None:
    names = [f"m{n}" for n in range(300)]
    rows = "\n".join(",".join([str(step), *["1.5"] * 300, str(1 / step)]) for step in range(1, 9))
    columns = read(",".join(["step", *names, "loss"]) + "\n" + rows).columns
    assert [column.read_as for column in columns[:3]] == ["step", "loss", "metric"]
    assert len(columns) <= MAX_COLUMNS
