"""A preflight of a Keras model takes what it was compiled with, names what stands in the way, and leaves no trace."""

from __future__ import annotations

import math
from typing import Any

import pytest

import losswatch
from frameworks.test_keras import keras  # noqa: F401 - a fixture

numpy = pytest.importorskip("numpy")
pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

RNG = numpy.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype("float32")
Y = X[:, :3].argmax(1)


def model(keras: Any, *layers: Any, loss: Any = "sparse_categorical_crossentropy", optimizer: Any = None) -> Any:  # noqa: F811
    made = keras.Sequential([keras.layers.Input((8,)), *layers])
    made.compile(optimizer or keras.optimizers.Adam(0.01), loss=loss)
    return made


def check(made: Any, batch: Any = (X, Y)) -> Any:
    return losswatch.preflight(made, batch=batch, quiet=True, seconds=200)


def sound(keras: Any) -> Any:  # noqa: F811
    dense = keras.layers.Dense
    return model(keras, dense(32, activation="relu"), keras.layers.Dropout(0.1), dense(3, activation="softmax"))


def test_a_sound_training_passes_and_nothing_of_it_is_changed(keras: Any) -> None:  # noqa: F811
    made = sound(keras)
    made.fit(X, Y, epochs=1, verbose=0)
    before = made.get_weights(), [variable.numpy().copy() for variable in made.optimizer.variables]
    report = check(made)
    assert (report.status, report.skipped) == ("healthy", ()), str(report)
    assert report.facts["overfits_one_batch"] is True
    assert report.facts["output_activation"] == "softmax"
    assert report.facts["optimizer_parameters"] == report.facts["trainable_parameters"] == 8 * 32 + 32 + 32 * 3 + 3
    assert report.facts["initial_loss"] == pytest.approx(math.log(3), rel=0.5)
    assert 1e-4 < report.suggested_learning_rate <= report.largest_stable_learning_rate <= 10
    after = made.get_weights(), [variable.numpy() for variable in made.optimizer.variables]
    for one, other in zip(before, after, strict=True):
        assert all(numpy.array_equal(a, b) for a, b in zip(one, other, strict=True))


def faulty(name: str, keras: Any) -> tuple[Any, Any]:  # noqa: F811
    dense = keras.layers.Dense
    hidden = dense(32, activation="relu")
    if name == "softmax twice":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return model(keras, hidden, dense(3, activation="softmax"), loss=loss), (X, Y)
    if name == "no softmax":
        return model(keras, hidden, dense(3)), (X, Y)
    if name == "linear":
        return model(keras, dense(32), dense(3, activation="softmax")), (X, Y)
    if name == "unscaled":
        return model(keras, hidden, dense(3, activation="softmax")), (X * 300, Y)
    if name == "not finite":
        x = X.copy()
        x[3, 2] = math.nan
        return model(keras, hidden, dense(3, activation="softmax")), (x, Y)
    if name == "frozen":
        made = model(keras, hidden, dense(3, activation="softmax"))
        made.trainable = False
        return made, (X, Y)
    return model(keras, dense(1), loss="mse", optimizer=keras.optimizers.SGD(1.0)), (X * 3, X[:, :1])


@pytest.mark.parametrize(
    ("name", "found", "cause"),
    [
        ("softmax twice", "end", "wrong_loss_function"),
        ("no softmax", "end", "wrong_loss_function"),
        ("linear", "activations", "missing_nonlinearity"),
        ("unscaled", "inputs", "inputs_not_scaled"),
        ("not finite", "inputs", "non_finite_data"),
        ("frozen", "gradients", "parameters_not_updated"),
        ("rate", "rate", "learning_rate_too_high"),
    ],
)
def test_a_fault_is_the_first_that_is_named(keras: Any, name: str, found: str, cause: str) -> None:  # noqa: F811
    report = check(*faulty(name, keras))
    assert (report.findings[0].check, report.findings[0].cause) == (found, cause), str(report)


def test_loss_and_optimizer_may_be_given_instead(keras: Any) -> None:  # noqa: F811
    made = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="compile it"):
        check(made)
    report = losswatch.preflight(made, "mse", (X, X[:, :1]), keras.optimizers.SGD(0.01), quiet=True, seconds=200)
    assert report.skipped == ()
    assert report.facts["loss_expects"] == "values"
