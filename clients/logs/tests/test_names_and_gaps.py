"""Names that look like another thing, numbers that are not the loss, and files with gaps: all made up here."""

from __future__ import annotations

import json
from typing import Dict, List

import pytest

from losswatch_logs import UnreadableLogError, read


def _lines(form: str, count: int = 30) -> str:
    return "".join(form.format(n=n, loss=round(2.0 / (n + 1), 4)) + "\n" for n in range(count))


@pytest.mark.parametrize(
    "name", ["cross_entropy_loss", "CrossEntropyLoss", "train/CrossEntropyLoss", "binary_cross_entropy_loss"]
)
def test_a_cross_entropy_is_no_entropy_of_a_policy(name: str) -> None:
    log = read(_lines("step {n} " + name + "={loss}"))
    assert "objective" not in log.context
    assert log.context["loss_name"] == "cross_entropy"


def test_the_entropy_of_a_policy_still_is() -> None:
    log = read("step,policy_loss,entropy_loss\n" + "".join(f"{n},0.{n},-1.{n}\n" for n in range(1, 9)))
    assert log.context["objective"] == "none"


def test_an_episode_with_its_exploration_is_reinforcement_learning() -> None:
    for name in ("Epsilon", "eps", "ε"):
        log = read(_lines("Episode {n}/100, " + name + ": 0.9, Loss: {loss}"))
        assert log.context["objective"] == "none"
    assert "objective" not in read(_lines("Episode {n}/100, Loss: {loss}")).context


def test_the_weight_of_a_term_is_not_the_loss() -> None:
    log = read(_lines("(Iter {n}) d_real: 0.5{n}, d_fake: 0.4{n}, g_adv: 0.9{n}, g_l1: {loss} l1_w: 100.00"))
    assert {point.loss for point in log.points} != {100.0}


def test_the_column_that_is_the_sum_of_the_others_is_the_loss() -> None:
    text = "".join(
        f"epoch: {n} avg_loss_tgt: {5 / (n + 1) + 0.75:.3f} origin_loss_tgt: {5 / (n + 1):.3f} "
        "cluster_loss_tgt: 0.500 trans_loss_tgt: 0.250\n"
        for n in range(12)
    )
    log = read(text)
    assert [point.loss for point in log.points[:2]] == [5.75, 3.25]
    assert not log.doubts


def test_counts_of_samples_in_columns_named_after_the_sets_are_no_losses() -> None:
    with pytest.raises(UnreadableLogError):
        read("class,train,val\n" + "".join(f"{n},{900 - 7 * n},{90 - n}\n" for n in range(12)))
    rows = "".join(f"{n},{2 / (n + 1):.3f},{2.2 / (n + 1):.3f}\n" for n in range(12))
    assert read("epoch,train,val\n" + rows).points[0].validation_loss == 2.2


def test_a_number_without_a_name_behind_counters_is_read_with_a_doubt() -> None:
    log = read("".join(f"epoch {e}, batch {b}: {4 / (1 + 9 * e + b):.4f}\n" for e in range(3) for b in range(9)))
    assert [(point.step, point.loss) for point in log.points[:2]] == [(0, 4.0), (1, 2.0)]
    assert log.points[-1].step == 26
    assert log.doubts


def test_a_named_loss_comes_before_a_number_without_a_name() -> None:
    log = read(_lines("epoch {n}: 17.5\nepoch {n} loss: {loss}"))
    assert log.points[0].loss == 2.0


def test_a_second_counter_may_stand_between_the_name_and_the_value() -> None:
    text = "".join(
        f"Loss at epoch {e} and iteration {i} is {3 / (1 + 2 * e + i / 500):.5f}\n" for e in range(5) for i in (0, 500)
    )
    log = read(text)
    assert [point.loss for point in log.points[:3]] == [3.0, 1.5, 1.0]
    assert [point.step for point in log.points] == sorted({point.step for point in log.points})


def test_the_momentum_of_a_normalisation_is_not_the_optimizers() -> None:
    model = "(1): BatchNorm2d(64, eps=0.001, momentum=0.03, affine=True)\n"
    assert "momentum" not in read(model + _lines("step {n} loss {loss}")).context
    both = model + "SGD (lr=0.1, momentum=0.8)\n" + _lines("step {n} loss {loss}")
    assert read(both).context["momentum"] == 0.8


def test_channels_of_the_output_are_no_classes() -> None:
    assert "num_classes" not in read("output_nc: 3\n" + _lines("step {n} loss {loss}")).context
    assert read("nc: 3\n" + _lines("step {n} loss {loss}")).context["num_classes"] == 3


def test_a_log_with_zeros_within_is_a_log() -> None:
    text = _lines("step {n} loss {loss}").encode()
    whole = [(point.step, point.loss) for point in read(text).points]
    at = text.index(b"step 9 ")
    for gap in (b"\0" * 7000 + text, text[:at] + b"\0" * 6000 + text[at:]):
        assert [(point.step, point.loss) for point in read(gap).points] == whole


def test_a_file_of_many_zeros_and_no_lines_is_binary() -> None:
    with pytest.raises(UnreadableLogError, match="binary"):
        read(bytes(n % 7 if n % 3 else 0 for n in range(6000)))


def test_catboosts_own_file_is_read_with_the_names_of_its_metrics() -> None:
    document = {
        "meta": {
            "learn_metrics": [{"best_value": "Min", "name": "RMSE"}],
            "test_metrics": [{"best_value": "Min", "name": "RMSE"}],
            "test_sets": ["test"],
            "iteration_count": 40,
        },
        "iterations": [{"learn": [9.0 / (n + 1)], "test": [9.5 / (n + 1)], "iteration": n} for n in range(8)],
    }
    log = read(json.dumps(document))
    assert [(p.step, p.loss, p.validation_loss) for p in log.points[:2]] == [(0, 9.0, 9.5), (1, 4.5, 4.75)]
    assert log.context["total_steps"] == 40
    assert log.context["framework"] == "catboost"


@pytest.mark.parametrize(
    "text",
    [
        "<b>epoch</b>,<b>loss</b>\n1,0.5\n2,0.25\n",
        "**epoch**,**loss**\n1,0.5\n2,0.25\n",
        "`epoch`,`loss`\n1,**0.5**\n2,0.25\n",
        "| **Epoch** | **Loss** |\n|---|---|\n| 1 | 0.5 |\n| 2 | **0.25** |\n",
        "<th>loss</th>\n0.5\n0.25\n",
    ],
)
def test_markup_around_names_and_values_changes_nothing(text: str) -> None:
    assert [(point.step, point.loss) for point in read(text).points] == [(1, 0.5), (2, 0.25)]


NAMED: Dict[str, List[str]] = {
    "epoch {n} los {loss}": ["'los'", "Is 'los' the loss?"],
    "cycle={n} avg(utility)={loss}": ["avg(utility)"],
    "image {n} Mean_IoX is {loss}": ["There are: 'Mean_IoX'."],
}


@pytest.mark.parametrize("form", NAMED)
def test_a_refusal_lists_the_names_that_are_there(form: str) -> None:
    with pytest.raises(UnreadableLogError) as refused:
        read(_lines(form))
    for words in NAMED[form]:
        assert words in refused.value.detail
