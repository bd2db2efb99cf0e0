"""CatBoost: ``CatBoostRegressor(…).fit(…, callbacks=[losswatch.catboost.LosswatchCallback()])``."""

from __future__ import annotations

from typing import Any, Optional

from losswatch.integrations.boosting import as_point, latest, loss_name
from losswatch.integrations.verdicts import Verdict
from losswatch.run import Run


class LosswatchCallback:
    """Reports the evaluation of each round.

    CatBoost does not say when it ends: the run does with `losswatch.finish`, or with the script.
    """

    def __init__(
        self, name: Optional[str] = None, *, run: Optional[Run] = None, stop_on: Optional[str] = None, **options: Any
    ) -> None:
        """``stop_on="critical"`` ends the training while the run is critical, "stop" where going on is pointless.

        ``name`` and ``options`` are those of `losswatch.init`; CatBoost does not show the ``learning_rate``: give it.
        """
        self._verdict = Verdict(name, run, stop_on, options)
        self._told = False

    def after_iteration(self, info: Any) -> bool:
        """Reports a round; False ends the training."""
        run = self._verdict.begin(framework="catboost", optimizer="gradient_boosting")
        results = latest(info.metrics)
        if results and not self._told:
            self._told = True
            run.update_context(loss_name=loss_name(next(iter(results.values()))))
        run.log(info.iteration - 1, **as_point(results))
        if self._verdict.stops():
            self._verdict.finish()
            return False
        return True
