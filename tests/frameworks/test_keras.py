"""Keras 3 on the torch backend: batches have their own losses again, and the gradient norm is that before clipping."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import losswatch
from frameworks import sent

numpy = pytest.importorskip("numpy")
pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("keras", reason="keras is not installed")
    module.utils.set_random_seed(1)
    return module


def regression(keras: Any, learning_rate: float = 0.001, **compiled: Any) -> Any:
    model = keras.Sequential(
        [keras.layers.Input((1,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(learning_rate, **compiled), loss="mse", metrics=["mae"])
    return model


X = numpy.arange(1, 21, dtype="float32").reshape(-1, 1)


def fit(model: Any, callback: Any, epochs: int = 3, batch_size: int = 8, **given: Any) -> Any:
    return model.fit(
        X, X / 2, epochs=epochs, batch_size=batch_size, verbose=0, shuffle=False, callbacks=[callback],
        validation_data=(X[:5], X[:5] / 2), **given,
    )  # fmt: skip


def test_every_batch_has_its_own_loss_and_its_norm_before_clipping(keras: Any, service: Any) -> None:
    import torch

    model = regression(keras, global_clipnorm=0.01)
    expected: list[tuple[float, float]] = []
    apply = model.optimizer.apply

    class Beside(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            rows = X[batch * 8 : batch * 8 + 8]
            model.zero_grad()
            loss = torch.mean((model(rows) - torch.as_tensor(rows / 2)) ** 2)
            loss.backward()
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            expected.append((loss.item(), float(torch.nn.utils.get_total_norm(grads))))
            model.zero_grad()

    model.fit(
        X, X / 2, epochs=2, batch_size=8, verbose=0, shuffle=False,
        callbacks=[Beside(), losswatch.keras.LosswatchCallback("k", quiet=True)], validation_data=(X[:5], X[:5] / 2),
    )  # fmt: skip
    points = sent.points(service)
    assert sorted(points) == list(range(6))
    assert [points[step]["loss"] for step in range(6)] == pytest.approx([loss for loss, _ in expected], rel=1e-4)
    assert [points[step]["grad_norm"] for step in range(6)] == pytest.approx([norm for _, norm in expected], rel=1e-4)
    assert [step for step in range(6) if "validation_loss" in points[step]] == [2, 5]
    assert {"mae", "val_mae"} <= set(points[5]["metrics"])
    told = sent.context(service)
    assert (told["framework"], told["optimizer"], told["loss_name"]) == ("keras", "sgd", "mse")
    assert (told["steps_per_epoch"], told["total_steps"], told["grad_clip"]) == (3, 6, 0.01)
    assert told["learning_rate"] == pytest.approx(0.001)
    assert model.optimizer.apply == apply
    assert service.requests[-1].json == {"state": "finished"}


def test_epochs_are_reported_as_keras_has_them(keras: Any, service: Any) -> None:
    history = fit(regression(keras), losswatch.keras.LosswatchCallback("k", every="epoch", quiet=True)).history
    points = sent.points(service)
    assert [points[epoch]["loss"] for epoch in range(3)] == pytest.approx(history["loss"])
    assert [points[epoch]["validation_loss"] for epoch in range(3)] == pytest.approx(history["val_loss"])
    assert sent.context(service)["step_unit"] == "epoch"


def test_a_second_fit_goes_on_counting(keras: Any, service: Any) -> None:
    model = regression(keras)
    losswatch.init("mine", quiet=True)
    callback = losswatch.keras.LosswatchCallback()
    fit(model, callback, epochs=1)
    fit(model, callback, epochs=1)
    losswatch.finish()
    assert sorted(sent.points(service)) == list(range(6))
    assert {request.path for request in service.requests} == {"/v1/runs/mine/points", "/v1/runs/mine/finish"}


def test_a_verdict_stops_fit(keras: Any, service: Any) -> None:
    sent.says_stop(service)
    model = regression(keras)
    callback = losswatch.keras.LosswatchCallback("k", stop_on="stop", quiet=True, flush_interval=0.005)
    assert len(fit(model, callback, epochs=30).history["loss"]) < 30


def test_facts_of_a_compiled_model(keras: Any, service: Any) -> None:
    fit(regression(keras), losswatch.keras.LosswatchCallback("k", quiet=True))
    facts = sent.facts(service)
    assert (facts["parameters"], facts["trainable_parameters"], facts["normalization"]) == (13, 13, [])
    assert (facts["hidden_activations"], facts["output_activation"]) == (["relu"], "linear")
    assert facts["loss_expects"] == "values"
    assert facts["input_max_abs"] == 8.0
    assert facts["input_mean"] == 4.5
    assert 0 <= facts["dead_unit_share"] <= 1


def test_facts_false_tells_nothing_of_model_and_data(keras: Any, service: Any) -> None:
    fit(regression(keras), losswatch.keras.LosswatchCallback("k", quiet=True, facts=False))
    assert sent.facts(service) == {}


@pytest.mark.parametrize(
    ("end", "loss", "output", "expects"),
    [
        ("softmax", "categorical_crossentropy", "softmax", "probabilities"),
        ("linear", "sparse_categorical_crossentropy", "linear", "probabilities"),
        ("softmax", "FromLogits", "softmax", "logits"),
        ("sigmoid", "binary_crossentropy", "sigmoid", "probabilities"),
        ("Softmax", "categorical_crossentropy", "softmax", "probabilities"),
    ],
)
def test_what_a_model_ends_in_and_what_its_loss_expects(
    keras: Any, end: str, loss: str, output: str, expects: str
) -> None:
    from losswatch.facts.keras import of_model

    last = [keras.layers.Dense(3, activation=None if end == "Softmax" else end)]
    layers = [keras.layers.Input((2,)), keras.layers.Dense(4), keras.layers.LeakyReLU(), *last]
    model = keras.Sequential([*layers, *([keras.layers.Softmax()] if end == "Softmax" else [])])
    function = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if loss == "FromLogits" else loss
    model.compile("adam", loss=function)
    facts = of_model(model)
    assert (facts["output_activation"], facts["loss_expects"]) == (output, expects)
    assert facts["hidden_activations"] == ["leaky_relu"]


@pytest.mark.parametrize(
    ("targets", "kind"),
    [(numpy.arange(24) % 2, "classes"), (numpy.arange(24) % 5, None), (numpy.arange(24) % 2 / 1.0, None)],
)
def test_targets_of_0_and_1_are_classes_and_other_whole_numbers_may_be_anything(
    keras: Any, service: Any, targets: Any, kind: Any
) -> None:
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "mse")
    callback = losswatch.keras.LosswatchCallback("k", quiet=True)
    model.fit(numpy.arange(24.0)[:, None] / 24, targets, batch_size=8, verbose=0, callbacks=[callback])
    assert sent.facts(service).get("target_kind") == kind
    assert "compute_loss" not in model.__dict__
