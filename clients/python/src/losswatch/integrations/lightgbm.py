"""LightGBM: ``lightgbm.train(…, valid_sets=[…], callbacks=[losswatch.lightgbm.LosswatchCallback()])``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional

from losswatch.integrations.boosting import as_point, loss_name
from losswatch.integrations.verdicts import Verdict
from losswatch.run import Run

if TYPE_CHECKING:
    lightgbm: Any
else:
    import lightgbm


class LosswatchCallback:
    """Reports the evaluation of each round; also for scikit-learn's interface (``fit(callbacks=[…])``)."""

    def __init__(
        self, name: Optional[str] = None, *, run: Optional[Run] = None, stop_on: Optional[str] = None, **options: Any
    ) -> None:
        """``stop_on="critical"`` ends the training while the run is critical, "stop" where going on is pointless.

        ``name`` and ``options`` are those of `losswatch.init`.
        """
        self.order = 25
        """After the callbacks that record, before those that stop early; LightGBM wants it in the instance."""
        self._verdict = Verdict(name, run, stop_on, options)

    def __call__(self, env: Any) -> None:
        """Reports a round; ends the training as early stopping does."""
        results: Dict[str, Dict[str, float]] = {}
        for entry in env.evaluation_result_list or ():
            results.setdefault(str(entry[0]), {})[str(entry[1])] = float(entry[2])
        if env.iteration == env.begin_iteration:
            self._verdict.begin(
                framework="lightgbm",
                optimizer="gradient_boosting",
                learning_rate=env.params.get("learning_rate", env.params.get("eta", 0.1)),
                total_steps=env.end_iteration - env.begin_iteration,
                loss_name=loss_name(next(iter(results.values()))) if results else None,
            )
        self._verdict.begin().log(env.iteration, **as_point(results))
        if self._verdict.stops():
            self._verdict.finish()
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)
        if env.iteration + 1 == env.end_iteration:
            self._verdict.finish()
