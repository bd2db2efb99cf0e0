"""XGBoost: ``xgboost.train(…, evals=[(d, "train")], callbacks=[losswatch.xgboost.LosswatchCallback()])``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from losswatch.integrations.boosting import as_point, latest, loss_name
from losswatch.integrations.verdicts import Verdict
from losswatch.run import Run

if TYPE_CHECKING:

    class TrainingCallback:
        """What XGBoost calls in each round."""

else:
    from xgboost.callback import TrainingCallback


class LosswatchCallback(TrainingCallback):
    """Reports the evaluation of each round; also for scikit-learn's interface (``XGBClassifier(callbacks=[…])``)."""

    def __init__(
        self, name: Optional[str] = None, *, run: Optional[Run] = None, stop_on: Optional[str] = None, **options: Any
    ) -> None:
        """``stop_on="critical"`` ends the training while the run is critical, "stop" where going on is pointless.

        ``name`` and ``options`` are those of `losswatch.init`.
        """
        super().__init__()
        self._verdict = Verdict(name, run, stop_on, options)
        self._told = False

    def before_training(self, model: Any) -> Any:
        """Begins the run."""
        self._verdict.begin(framework="xgboost", optimizer="gradient_boosting", **_settings(model))
        self._told = False
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        """Reports a round; True ends the training."""
        run = self._verdict.begin()
        results = latest(evals_log)
        if results and not self._told:
            self._told = True
            run.update_context(loss_name=loss_name(next(iter(results.values()))))
        run.log(epoch, **as_point(results))
        return self._verdict.stops()

    def after_training(self, model: Any) -> Any:
        """Ends the run."""
        self._verdict.finish()
        return model


def _settings(model: Any) -> Dict[str, Any]:
    """The learning rate, as the booster holds it; a cross-validation has several boosters."""
    try:
        config = json.loads(model.save_config())
        rate = config["learner"]["gradient_booster"]["tree_train_param"]["learning_rate"]
        return {"learning_rate": float(rate)}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
