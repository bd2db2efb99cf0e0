"""XGBoost, LightGBM, CatBoost and scikit-learn train on a few numbers; their own evaluation is what arrives."""

from __future__ import annotations

from typing import Any

import pytest

import losswatch
from frameworks import sent

numpy = pytest.importorskip("numpy")
pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

RNG = numpy.random.default_rng(1)
X = RNG.normal(size=(200, 4))
Y = (X[:, 0] + 0.3 * RNG.normal(size=200) > 0).astype(int)
ROUNDS = 8


def xgboost_round(callback: Any, rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    train, held_out = xgboost.DMatrix(X[:150], Y[:150]), xgboost.DMatrix(X[150:], Y[150:])
    results: Any = {}
    options = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "eta": 0.2, "nthread": 1}
    xgboost.train(
        options, train, rounds, evals=[(train, "train"), (held_out, "valid")], evals_result=results,
        callbacks=[callback], verbose_eval=False,
    )  # fmt: skip
    return results["train"]["logloss"], results["valid"]["logloss"]


def lightgbm_round(callback: Any, rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    train = lightgbm.Dataset(X[:150], Y[:150])
    held_out = lightgbm.Dataset(X[150:], Y[150:], reference=train)
    results: Any = {}
    options = {"objective": "binary", "metric": ["auc", "binary_logloss"], "learning_rate": 0.2, "verbose": -1,
               "num_threads": 1}  # fmt: skip
    lightgbm.train(
        options, train, rounds, valid_sets=[train, held_out], valid_names=["training", "valid"],
        callbacks=[callback, lightgbm.record_evaluation(results)],
    )  # fmt: skip
    return results["training"]["binary_logloss"], results["valid"]["binary_logloss"]


def catboost_round(callback: Any, rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    catboost = pytest.importorskip("catboost", reason="catboost is not installed")
    model = catboost.CatBoostClassifier(
        iterations=rounds, learning_rate=0.2, verbose=False, allow_writing_files=False, thread_count=1
    )
    model.fit(X[:150], Y[:150], eval_set=(X[150:], Y[150:]), callbacks=[callback], use_best_model=False)
    losswatch.finish()
    results = model.get_evals_result()
    return results["learn"]["Logloss"], results["validation"]["Logloss"]


TRAIN = {"xgboost": xgboost_round, "lightgbm": lightgbm_round, "catboost": catboost_round}


@pytest.mark.parametrize("name", TRAIN)
def test_every_round_is_there_as_the_library_evaluated_it(name: str, service: Any) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    callback = getattr(losswatch, name).LosswatchCallback("boost", quiet=True)
    trained, held_out = TRAIN[name](callback)
    points = sent.points(service)
    assert sorted(points) == list(range(ROUNDS))
    assert [points[step]["loss"] for step in range(ROUNDS)] == pytest.approx(trained, rel=1e-6)
    assert [points[step]["validation_loss"] for step in range(ROUNDS)] == pytest.approx(held_out, rel=1e-6)
    told = sent.context(service)
    assert told["framework"] == name
    assert "logloss" in told["loss_name"].lower()
    if name != "catboost":
        assert told["learning_rate"] == pytest.approx(0.2)
        assert "auc" in points[0]["metrics"]
    assert service.requests[-1].json == {"state": "finished"}


@pytest.mark.parametrize("name", TRAIN)
def test_a_verdict_ends_the_rounds(name: str, service: Any) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    sent.says_stop(service)
    run = losswatch.init("boost", quiet=True, flush_interval=0.005)
    callback = getattr(losswatch, name).LosswatchCallback(stop_on="stop")
    run.log(0, loss=1.0)
    assert run.flush(30)
    trained, _ = TRAIN[name](callback, rounds=50)
    assert len(trained) == 1


def test_a_perceptron_s_own_loss_is_reported(service: Any) -> None:
    network = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is not installed")
    estimator = network.MLPClassifier((4,), learning_rate_init=0.01, random_state=1)
    run = losswatch.sklearn.watch(estimator, "sk", quiet=True)
    trained = []
    for _ in range(5):
        estimator.partial_fit(X, Y, classes=[0, 1])
        trained.append(estimator.loss_)
    run.finish()
    assert sent.losses(service) == trained
    told = sent.context(service)
    assert (told["framework"], told["optimizer"], told["learning_rate"]) == ("sklearn", "adam", 0.01)


@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_a_linear_classifier_s_loss_is_that_of_the_batch(service: Any, loss: str) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    metrics = pytest.importorskip("sklearn.metrics")
    estimator = linear.SGDClassifier(loss=loss, random_state=1)
    run = losswatch.sklearn.watch(estimator, "sk", quiet=True)
    expected = []
    for part in range(0, 200, 50):
        estimator.partial_fit(X[part:][:50], Y[part:][:50], classes=[0, 1])
        if loss == "hinge":
            expected.append(metrics.hinge_loss(Y[part:][:50], estimator.decision_function(X[part:][:50])))
        else:
            expected.append(metrics.log_loss(Y[part:][:50], estimator.predict_proba(X[part:][:50])))
    run.finish()
    assert sent.losses(service) == pytest.approx(expected)
    assert "accuracy" in sent.points(service)[0]["metrics"]


def test_a_linear_regression_s_loss_is_its_squared_error(service: Any) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    estimator = linear.SGDRegressor(random_state=1)
    run = losswatch.sklearn.watch(estimator, "sk", quiet=True)
    estimator.partial_fit(X, X[:, 0])
    run.finish()
    assert sent.losses(service) == pytest.approx([float(numpy.mean((estimator.predict(X) - X[:, 0]) ** 2))])
