"""Which names of metrics and hyper-parameters mean what."""

from __future__ import annotations

import pytest

from losswatch.metric_names import TABLE, Naming, as_point, field, folded, read_rules, rules_of
from losswatch.names import says_how_good
from losswatch.parameter_names import as_context
from losswatch.points import encode


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", "loss"),
        ("train_loss", "loss"),
        ("train/loss", "loss"),
        ("Train Loss", "loss"),
        ("training.loss", "loss"),
        ("val_loss", "validation_loss"),
        ("eval/loss", "validation_loss"),
        ("learning_rate", "learning_rate"),
        ("lr", "learning_rate"),
        ("lr-AdamW", "learning_rate"),
        ("grad_norm", "grad_norm"),
        ("grad_2.0_norm_total", "grad_norm"),
        ("epoch", "epoch"),
        ("trainer/global_step", "step"),
        ("train-logloss", "loss"),
        ("valid_0-l2", "validation_loss"),
        ("validation_0-rmse", "loss"),
        ("validation_1-rmse", "validation_loss"),
        ("accuracy", ""),
        ("val_mse", ""),
        ("val_accuracy", ""),
        ("train-auc", ""),
        ("loss_weight", ""),
        ("", ""),
    ],
)
def test_a_name_stands_for_its_field(name, expected):
    assert field(name) == expected


def test_no_name_stands_for_two_fields_and_all_are_written_as_they_are_compared():
    names = [name for several in TABLE.values() for name in several]
    assert len(names) == len(set(names))
    assert [folded(name) for name in names] == names


def test_a_field_belongs_to_one_name_of_a_run():
    naming = Naming()
    assert naming.fields(["train_loss", "loss", "acc"]) == {"loss": "loss"}
    assert naming.fields(["train_loss", "val_loss"]) == {"val_loss": "validation_loss"}
    assert naming.taken == {"loss": "loss", "validation_loss": "val_loss"}
    assert Naming(taken={"loss": "train_loss"}).fields(["loss"]) == {}


def test_rules_add_to_the_table_and_take_from_it_for_all_projects_or_one():
    rules = read_rules("objective=loss, team-a:dev/CE=validation_loss,\nlr=metric, ")
    assert rules == {"": {"objective": "loss", "lr": "metric"}, "team-a": {"dev_ce": "validation_loss"}}
    assert field("Objective", rules_of(rules, "x")) == "loss"
    assert field("dev.ce", rules_of(rules, "x")) == ""
    assert field("dev.ce", rules_of(rules, "team-a")) == "validation_loss"
    assert field("lr", rules_of(rules, "x")) == ""
    assert Naming(rules_of(rules, "x")).fields(["loss", "objective"]) == {"objective": "loss"}


@pytest.mark.parametrize("text", ["loss", "=loss", "a=b", "a:=loss", "x==", "!=loss"])
def test_what_is_no_rule_is_said(text):
    with pytest.raises(ValueError, match=r"rule|field"):
        read_rules(text)


def test_values_become_a_point_and_what_is_no_number_is_left_out():
    values = {"train_loss": 1.0, "loss": 2.0, "lr": 0.1, "step": 3, "acc": 0.5, "text": "x", "flag": True, "none": None}
    assert as_point(values) == {
        "loss": 2.0, "learning_rate": 0.1, "metrics": {"train_loss": 1.0, "step": 3, "acc": 0.5},
    }  # fmt: skip
    assert as_point({"text": "x"}) == {}


def test_parameters_become_a_context():
    logged = {"lr": "1e-3", "optim": "adamw_torch", "max_steps": "-1", "per_device_train_batch_size": "8"}
    assert as_context(logged) == {
        "lr": "1e-3", "learning_rate": 0.001, "optim": "adamw_torch", "optimizer": "adamw_torch", "max_steps": "-1",
        "per_device_train_batch_size": "8", "batch_size": 8,
    }  # fmt: skip
    assert as_context({"fp16": "False", "bf16": "True"})["precision"] == "bf16"
    assert as_context({"learning_rate": "auto", "tags": "x", "momentum": "None"}) == {
        "param.learning_rate": "auto", "param.tags": "x", "param.momentum": "None",
    }  # fmt: skip
    assert as_context({"learning_rate": 0.5, "lr": 0.1}) == {"learning_rate": 0.5, "lr": 0.1}


@pytest.mark.parametrize("name", ["accuracy", "val_acc", "eval/f1", "Train Accuracy", "sparse_categorical_accuracy"])
def test_accuracy_and_its_like_are_no_complaint(name: str) -> None:
    assert encode(0, {name: 0.5}).complaints == []


def test_what_the_service_takes_as_evidence_the_client_knows() -> None:
    quality = pytest.importorskip("losswatch_server.monitor.memory.quality")
    prefixes = ("", "val_", "validation_", "eval/", "train_", "test ", "sparse_categorical_")
    names = [prefix + name for name in (*quality.HIGHER, *quality.LOWER, "tokens", "lr") for prefix in prefixes]
    assert {name for name in names if says_how_good(name)} == {name for name in names if quality.quality_of(name)}
