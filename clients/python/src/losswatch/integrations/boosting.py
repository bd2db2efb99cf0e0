"""What XGBoost, LightGBM and CatBoost say of a round, as the fields of a point. Pure."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Tuple

_TRAINING = ("train", "training", "learn", "validation_0", "dtrain")
"""What the data set that is trained on is called; else it is the first one."""
_NO_LOSS = ("auc", "map", "ndcg", "accuracy", "f1", "precision", "recall", "r2", "error", "merror", "pre")


def as_point(results: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """``{"train": {"logloss": 0.3, "auc": 0.9}, "valid": {…}}`` as loss, validation loss and metrics.

    The first metric that is a loss counts, where none is one the first. A training with a single data set that is
    called as one to validate on has no training loss.
    """
    names = list(results)
    training = next((name for name in names if _is_training(name)), names[0] if len(names) > 1 else None)
    point: Dict[str, Any] = {}
    metrics: Dict[str, Any] = {}
    for name in names:
        role = "loss" if name == training else "validation_loss"
        chosen = loss_name(results[name])
        for metric, value in results[name].items():
            if metric == chosen and role not in point:
                point[role] = value
            else:
                metrics[metric if name == training else f"{name}_{metric}"] = value
    return {**point, "metrics": metrics} if metrics else point


def loss_name(metrics: Iterable[str]) -> str:
    """Which of the metrics is the loss."""
    names = list(metrics)
    losses = [name for name in names if name.lower().partition("@")[0].partition(":")[0] not in _NO_LOSS]
    return (losses or names or [""])[0]


def latest(history: Mapping[str, Mapping[str, Any]]) -> Dict[str, Dict[str, float]]:
    """The last value of each list, of cross-validation (mean, deviation) the mean."""
    return {
        name: {metric: _last(values) for metric, values in metrics.items() if values}
        for name, metrics in history.items()
    }


def _is_training(name: str) -> bool:
    return name.lower() in _TRAINING or name.lower().startswith("train")


def _last(values: Any) -> float:
    value: Any = values[-1]
    mean: Tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
    return float(mean[0])
