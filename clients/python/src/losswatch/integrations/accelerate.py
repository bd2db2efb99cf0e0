"""Accelerate: ``Accelerator(log_with=losswatch.accelerate.LosswatchTracker("my-run"))``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional

from losswatch.integrations.verdicts import Verdict
from losswatch.metric_names import as_point
from losswatch.run import Run

if TYPE_CHECKING:

    class GeneralTracker:
        """What Accelerate sends its numbers to."""

else:
    from accelerate.tracking import GeneralTracker


class LosswatchTracker(GeneralTracker):
    """Takes what ``accelerator.log`` gets. All ranks report: of others than 0 only what is not finite is sent."""

    name = "losswatch"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, run_name: Optional[str] = None, *, run: Optional[Run] = None, **options: Any) -> None:
        """``run_name`` and ``options`` are those of `losswatch.init`; else it reports into ``run``."""
        super().__init__()
        self._verdict = Verdict(run_name, run, None, options)

    @property
    def tracker(self) -> Run:
        """The run."""
        return self._verdict.begin(framework="torch")

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """The hyper-parameters, as context."""
        self.tracker.update_context(**{str(name): value for name, value in values.items()})

    def log(self, values: Mapping[str, Any], step: Optional[int] = None, **named: Any) -> None:
        """The numbers of a step."""
        point = as_point(values)
        if point:
            self.tracker.log(step, **point)

    def finish(self) -> None:
        """Ends the run."""
        self._verdict.finish()
