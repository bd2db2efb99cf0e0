"""scikit-learn's ``partial_fit`` loops: ``run = losswatch.sklearn.watch(estimator)`` before the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional

from losswatch import session
from losswatch.notices import logger
from losswatch.run import Run

if TYPE_CHECKING:
    metrics: Any
else:
    from sklearn import metrics

_SETTINGS = {"learning_rate_init": "learning_rate", "eta0": "learning_rate", "alpha": "weight_decay",
             "batch_size": "batch_size", "momentum": "momentum", "solver": "optimizer"}  # fmt: skip


def watch(estimator: Any, name: Optional[str] = None, *, run: Optional[Run] = None, **options: Any) -> Run:
    """Reports the loss of each call of ``estimator.partial_fit``: a step each.

    It is the estimator's own ``loss_`` (multi-layer perceptrons), else that of the batch after the call: the mean
    negative log-likelihood of classifiers with probabilities, the hinge loss of others, the mean squared error of
    regressors. The last three cost a prediction of the batch. ``name`` and ``options`` are those of `losswatch.init`.
    """
    watched = run or session.current() or session.init(name, **options)
    watched.update_context(framework="sklearn", **_settings(estimator))
    original = estimator.partial_fit

    def partial_fit(X: Any, y: Any = None, *given: Any, **named: Any) -> Any:  # noqa: N803 - the interface's own name
        result = original(X, y, *given, **named)
        try:
            measured = _measure(estimator, X, y)
            if measured:
                watched.log(**measured)
        except Exception as error:  # noqa: BLE001 - what is measured here must not end a training
            logger.warning("losswatch: %s: something is not measured: %r", watched.name, error)
        return result

    estimator.partial_fit = partial_fit
    return watched


def _settings(estimator: Any) -> Dict[str, Any]:
    known = estimator.get_params(deep=False)
    given = [(field, known.get(name)) for name, field in _SETTINGS.items()]
    kept = {field: value for field, value in given if value not in (None, "auto", 0.0)}
    return {**({"optimizer": "sgd"} if type(estimator).__name__.startswith("SGD") else {}), **kept}


def _measure(estimator: Any, batch: Any, targets: Any) -> Dict[str, Any]:
    if hasattr(estimator, "loss_"):
        return {"loss": float(estimator.loss_)}
    if targets is None:
        return {}
    predicted = estimator.predict(batch)
    if not hasattr(estimator, "classes_"):
        return {"loss": float(metrics.mean_squared_error(targets, predicted))}
    if hasattr(estimator, "predict_proba"):
        loss = metrics.log_loss(targets, estimator.predict_proba(batch), labels=estimator.classes_)
    else:
        loss = metrics.hinge_loss(targets, estimator.decision_function(batch), labels=estimator.classes_)
    return {"loss": float(loss), "accuracy": float(metrics.accuracy_score(targets, predicted))}
