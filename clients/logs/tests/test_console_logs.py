"""Console lines of the common training scripts, as their users paste them."""

from __future__ import annotations

import math

import pytest

from losswatch_logs import UnreadableLogError, read

# name: (text, points as (step, loss, gradient norm, learning rate, validation loss), a part of the context)
LOGS: dict[str, tuple[str, list[tuple[object, ...]], dict[str, object]]] = {
    "nanoGPT": (
        "step 0: train loss 4.2874, val loss 4.2823\niter 0: loss 4.2654, time 2000.12ms, mfu -100.00%\n"
        "iter 10: loss 3.2461, time 20.10ms, mfu 1.20%\n",
        [(0, 4.2654, None, None, 4.2823), (10, 3.2461, None, None, None)],
        {},
    ),
    "llm.c": (
        "step    1/10 | loss 11.0 (+nanz)| norm 15.3 (+nanz)| lr 7.00e-07 | 1234.5 ms | 1234 tok/s\n"
        "step    2/10 | loss 10.9 (+nanz)| norm 15.1 (+nanz)| lr 1.00e-06 | 1234.5 ms | 1234 tok/s\nval loss 10.8\n",
        [(1, 11.0, 15.3, 7e-07, None), (2, 10.9, 15.1, 1e-06, 10.8)],
        {"total_steps": 10},
    ),
    "llm.c main.log": (
        "s:0 tel:11.0\ns:1 trl:10.9\ns:2 trl:10.5\n",
        [(0, None, None, None, 11.0), (1, 10.9, None, None, None), (2, 10.5, None, None, None)],
        {},
    ),
    "modded-nanogpt": (
        "nvidia-smi: 8 cards\nstep:0/1750 val_loss:10.8258 train_time:0ms step_avg:nanms\n"
        "step:1/1750 train_loss:10.8150 train_time:100ms step_avg:nanms\n",
        [(0, None, None, None, 10.8258), (1, 10.815, None, None, None)],
        {"total_steps": 1750},
    ),
    "build-nanogpt": (
        "0 val 10.95\n0 hella 0.24\n0 train 10.955\n1 train 9.8\n",
        [(0, 10.955, None, None, 10.95), (1, 9.8, None, None, None)],
        {},
    ),
    "PyTorch MNIST example": (
        "Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300039\nTrain Epoch: 1 [640/60000 (1%)]\tLoss: 2.213470\n\n"
        "Test set: Average loss: 0.0513, Accuracy: 9833/10000 (98%)\n\n"
        "Train Epoch: 2 [0/60000 (0%)]\tLoss: 0.200000\n",
        [(0, 2.300039, None, None, None), (1, 2.21347, None, None, 0.0513), (94, 0.2, None, None, None)],
        {},
    ),
    "PyTorch ImageNet example": (
        "Epoch: [0][   1/5005]\tTime  0.440 ( 0.440)\tLoss 6.9471e+00 (6.9471e+00)\tAcc@1   0.00 (  0.00)\n"
        "Epoch: [1][  11/5005]\tTime  0.440 ( 0.440)\tLoss 6.8000e+00 (6.9471e+00)\tAcc@1   0.00 (  0.00)\n",
        [(1, 6.9471, None, None, None), (5016, 6.8, None, None, None)],
        {"steps_per_epoch": 5005},
    ),
    "PyTorch CIFAR tutorial": (
        "[1,  2000] loss: 2.173\n[1,  4000] loss: 1.850\n[2,  2000] loss: 1.500\n",
        [(2000, 2.173, None, None, None), (4000, 1.85, None, None, None), (6000, 1.5, None, None, None)],
        {},
    ),
    "step within the epoch": (
        "Epoch [1/5], Step [300/600], Loss: 0.3\nEpoch [1/5], Step [600/600], Loss: 0.2\n"
        "Epoch [2/5], Step [300/600], Loss: 0.1\n",
        [(300, 0.3, None, None, None), (600, 0.2, None, None, None), (900, 0.1, None, None, None)],
        {"steps_per_epoch": 600},
    ),
    "PyTorch transfer learning tutorial": (
        "Epoch 0/24\n----------\ntrain Loss: 0.6 Acc: 0.7\nval Loss: 0.3 Acc: 0.9\n\n"
        "Epoch 1/24\n----------\ntrain Loss: 0.5 Acc: 0.8\nval Loss: 0.25 Acc: 0.92\n",
        [(0, 0.6, None, None, 0.3), (1, 0.5, None, None, 0.25)],
        {"step_unit": "epoch"},
    ),
    "Megatron": (
        " iteration        1/  500000 | consumed samples:  256 | elapsed time per iteration (ms): 1234.5 |"
        " learning rate: 1.500E-07 | lm loss: 1.04E+01 | loss scale: 4294967296.0 | grad norm: 12.3 |\n"
        " iteration        2/  500000 | consumed samples:  512 | learning rate: 3.000E-07 | lm loss: 1.03E+01 |"
        " grad norm: nan |\n",
        [(1, 10.4, 12.3, 1.5e-07, None), (2, 10.3, math.nan, 3e-07, None)],
        {"total_steps": 500000},
    ),
    "detectron2": (
        "[11/24 10:30:22 d2.utils.events]:  eta: 0:10:10  iter: 19  total_loss: 1.2  loss_cls: 0.5  lr: 0.001\n"
        "[11/24 10:30:32 d2.utils.events]:  eta: 0:09:10  iter: 39  total_loss: 1.1  loss_cls: 0.4  lr: 0.001\n",
        [(19, 1.2, None, 0.001, None), (39, 1.1, None, 0.001, None)],
        {},
    ),
    "mmengine": (
        "10/30 22:18:02 - mmengine - INFO - Epoch(train) [2][200/735]  lr: 1.9870e-04  eta: 2:46:39  time: 2.8906"
        "  memory: 10762  loss: 2.7522  grad_norm: 3.0608\n"
        "10/30 22:18:30 - mmengine - INFO - Epoch(train) [2][210/735]  lr: 1.9857e-04  eta: 2:46:12  time: 2.8865"
        "  memory: 10762  loss: 2.6150  grad_norm: nan\n",
        [(935, 2.7522, 3.0608, 1.987e-04, None), (945, 2.615, math.nan, 1.9857e-04, None)],
        {"steps_per_epoch": 735},
    ),
    "fairseq": (
        "2020-01-01 10:00:00 | INFO | train | epoch 001 | loss 9.1 | ppl 400 | gnorm 3.1 | lr 1e-05 | num_updates 100\n"
        "2020-01-01 10:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 8.5 | ppl 300\n"
        "2020-01-01 10:00:00 | INFO | train | epoch 002 | loss 8.1 | gnorm 2.1 | lr 1e-05 | num_updates 200\n",
        [(100, 9.1, 3.1, 1e-05, 8.5), (200, 8.1, 2.1, 1e-05, None)],
        {},
    ),
    "torchtitan": (
        "[titan] 2024-11-24 10:10:10,123 - root - INFO - step:  1  loss:  8.1  grad_norm:  1.2  tps: 1,000\n"
        "[titan] 2024-11-24 10:10:11,123 - root - INFO - step:  2  loss:  8.0  grad_norm:  1.1  tps: 1,000\n",
        [(1, 8.1, 1.2, None, None), (2, 8.0, 1.1, None, None)],
        {},
    ),
    "progress bar": (
        "Epoch 0:  50%|██▌  | 16/32 [00:00<00:00, 200.5it/s, v_num=0, train_loss=0.6]\r"
        "Epoch 0: 100%|█████| 32/32 [00:00<00:00, 200.5it/s, v_num=0, train_loss=0.5]\n"
        "Epoch 1: 100%|█████| 32/32 [00:00<00:00, 200.5it/s, v_num=0, train_loss=0.4]\n",
        [(16, 0.6, None, None, None), (32, 0.5, None, None, None), (64, 0.4, None, None, None)],
        {"steps_per_epoch": 32},
    ),
    "XGBoost": (
        "[0]\ttrain-rmse:0.5\teval-rmse:0.6\n[1]\ttrain-rmse:0.4\teval-rmse:0.5\n",
        [(0, 0.5, None, None, 0.6), (1, 0.4, None, None, 0.5)],
        {},
    ),
    "R luz": (
        "Epoch 1/10\nTrain metrics: Loss: 0.5 - Acc: 0.9\nValid metrics: Loss: 0.4 - Acc: 0.91\n"
        "Epoch 2/10\nTrain metrics: Loss: 0.4 - Acc: 0.9\nValid metrics: Loss: 0.3 - Acc: 0.91\n",
        [(1, 0.5, None, None, 0.4), (2, 0.4, None, None, 0.3)],
        {"step_unit": "epoch"},
    ),
    "torchvision's last words": (
        "step 1 loss 0.5\nstep 2 loss 0.4\nLoss is nan, stopping training\n",
        [(1, 0.5, None, None, None), (2, 0.4, None, None, None), (3, math.nan, None, None, None)],
        {},
    ),
    "Windows": (
        "epoch 1 loss 1.5\nepoch 2 loss 1.#INF\nepoch 3 loss -1.#IND00\nepoch 4 loss -nan(ind)\n",
        [(1, 1.5, None, None, None), (2, math.inf, None, None, None)]
        + [(step, math.nan, None, None, None) for step in (3, 4)],
        {"step_unit": "epoch"},
    ),
    "no step at all": (
        "12:00:01 loss: 0.5\n12:00:02 loss: 0.4\n",
        [(1, 0.5, None, None, None), (2, 0.4, None, None, None)],
        {},
    ),
}


def same(left: object, right: object) -> bool:
    return left == right or (left != left and right != right)


@pytest.mark.parametrize("name", LOGS)
def test_a_console_log_gives_the_numbers_it_prints(name: str) -> None:
    text, expected, context = LOGS[name]
    log = read(text)
    got = [(p.step, p.loss, p.grad_norm, p.learning_rate, p.validation_loss) for p in log.points]
    assert len(got) == len(expected), got
    for left, right in zip(got, expected, strict=True):
        assert all(same(a, b) for a, b in zip(left, right, strict=True)), (got, expected)
    assert context.items() <= log.context.items()
    assert {point.attempt for point in log.points} == {1}


def test_the_answer_says_what_was_read_as_what_and_what_was_skipped() -> None:
    log = read("hello\nstep 1/9 | train loss 0.5 | norm 2 | acc: 0.1\nstep 2/9 | train loss 0.4 | norm 1 | acc: 0.2\n")
    assert log.read_as == [
        "'train loss' as loss (2 values)",
        "'norm' as gradient norm (2 values)",
        "'acc' as metrics, kept but not judged",
        "'step' as the step",
    ]
    assert log.skipped == [(1, "hello", "no loss or gradient norm in it")]
    assert (log.skipped_lines, log.total_lines) == (1, 3)


def test_prose_is_no_log_and_the_error_says_what_would_be_readable() -> None:
    with pytest.raises(UnreadableLogError) as error:
        read("Loss of data is bad. 5 people lost 3 things.", name="letter.txt")
    assert "'letter.txt'" in error.value.detail
    assert "CSV or TSV with a header line" in error.value.detail


def test_a_resume_begins_an_attempt_and_keeps_the_order_of_the_log() -> None:
    first = [f"step {step} loss {1 / step}" for step in range(1, 21)]
    resumed = [f"step {step} loss {2 / step}" for step in range(11, 16)]
    log = read("\n".join(first + resumed))
    assert [(p.step, p.attempt) for p in log.points[18:22]] == [(19, 1), (20, 1), (11, 2), (12, 2)]
    assert any("the steps go back once" in sentence for sentence in log.read_as)


def test_a_line_printed_twice_counts_once() -> None:
    log = read("".join(f"step {step} loss {1 / step}\n" * 2 for step in range(1, 10)))
    assert [point.step for point in log.points] == list(range(1, 10))
    assert "9 rows that repeat the step before them were left out" in log.read_as
