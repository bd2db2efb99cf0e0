"""A run as W&B's scripts hold it, over one of Losswatch."""

from __future__ import annotations

import fnmatch
import os
from typing import Any, Dict, List, Mapping, Optional, Tuple

from losswatch import session
from losswatch.metric_names import Naming, as_point, field, read_rules, rules_of
from losswatch.notices import logger
from losswatch.parameter_names import as_context
from losswatch.run import Run
from losswatch.transport import page_link
from losswatch.wandb_compat.attributes import Attributes, Unkept

RULES = "LOSSWATCH_METRIC_NAMES"
_TRAINING = ("loss", "grad_norm")


class BridgedRun:
    """Reports to ``watched``, which is also what `losswatch.current` gives; None where nothing is reported.

    Steps count as with W&B: one more with each `log`, but for ``commit=False``, or as ``step`` says. A step may also
    come among the numbers: as the metric that `define_metric` names, or under a name of the table, such as
    ``global_step``. What is logged for an earlier step is added to it, but for a loss, which would say that the
    training began anew: W&B ignores it, and so does this.
    """

    def __init__(
        self,
        name: Optional[str],
        project: Optional[str],
        given: Mapping[str, Any],
        context: Mapping[str, Any],
        *,
        is_disabled: bool = False,
    ) -> None:
        self.watched: Optional[Run] = None if is_disabled else session.init(name, **_named(context))
        self.project = project
        self.config = Attributes(self._configured, given)
        self.summary = Attributes(self._summed_up)
        self._naming = Naming(_rules(self.watched))
        self._step_metrics: List[Tuple[str, str]] = []
        self._trained: Dict[str, int] = {}
        """By field that begins an attempt, the last step for which it was logged."""
        self._summary: Dict[str, Any] = {}
        self._last = 0
        self._warned = False
        self.step = 0
        """The step of the next `log`."""

    @property
    def name(self) -> str:
        """The run's name."""
        return "disabled" if self.watched is None else self.watched.name

    @property
    def id(self) -> str:
        """The run's name: what tells it from others."""
        return self.name

    @property
    def url(self) -> str:
        """Where its report is."""
        watched = self.watched
        return "" if watched is None else page_link(watched.url, watched.project, watched.name)

    def log(self, data: Mapping[str, Any], step: Any = None, commit: Optional[bool] = None, **ignored: Any) -> None:
        """The numbers of a step; whatever else is in ``data`` is not kept. Never raises."""
        try:
            self._log(_spread(data), step, commit)
        except Exception as error:  # noqa: BLE001 - as Run.log
            logger.warning("losswatch: %s: a point is lost: %r", self.name, error)

    def _log(self, values: Dict[str, Any], step: Any, commit: Optional[bool]) -> None:
        at = self.step if step is None else int(step)
        found = self._step_in(values)
        if found is not None:
            at = found
        point = as_point(values, self._naming)
        if step is None and found is None:
            at = max([at, *(self._trained.get(known, -1) + 1 for known in _TRAINING if known in point)])
        for known in _TRAINING:
            if known in point and at <= self._trained.get(known, -1):
                del point[known]
                self._warn(known, at)
            elif known in point:
                self._trained[known] = at
        if point and self.watched is not None:
            self.watched.log(at, **point)
            self._last = max(self._last, at)
        self.summary._values.update(values)
        self.step = at if commit is False or (commit is None and step is not None) else at + 1

    def _step_in(self, values: Dict[str, Any]) -> Optional[int]:
        """The step that is among the numbers, taken out of them: the metric named for it, or one of the table."""
        named = [by for pattern, by in self._step_metrics if any(fnmatch.fnmatchcase(name, pattern) for name in values)]
        for name in (*named, *(name for name in values if field(name, self._naming.rules) == "step")):
            try:
                at = int(values[name])
            except (KeyError, TypeError, ValueError, OverflowError):
                continue
            if at >= 0:
                del values[name]
                return at
        return None

    def _warn(self, known: str, at: int) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "losswatch: %s: a %s for step %d, which has one or is passed, is left out; steps must go up",
                self.name, known, at,
            )  # fmt: skip

    def define_metric(self, name: str, step_metric: Any = None, **ignored: Any) -> Unkept:
        """``step_metric`` is the step of all metrics that ``name`` (with ``*`` for anything) means.

        Some metrics by epoch and others by step have one axis here: those are at the step that was reached.
        """
        if isinstance(step_metric, str) and (name == "*" or field(step_metric) != "epoch"):
            self._step_metrics.append((str(name), step_metric))
        return Unkept()

    def finish(self, exit_code: Optional[int] = None, **ignored: Any) -> None:
        """Ends the run: failed with an exit code other than 0."""
        self._send_summary()
        if self.watched is not None:
            self.watched.finish("failed" if exit_code else "finished")

    def __enter__(self) -> BridgedRun:
        return self

    def __exit__(self, *given: Any) -> None:
        self._send_summary()
        if self.watched is not None:
            self.watched.__exit__(*given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unkept()

    def _configured(self, given: Dict[str, Any]) -> None:
        if self.watched is not None and given:
            self.watched.update_context(**_named(as_context(given)))

    def _summed_up(self, given: Dict[str, Any]) -> None:
        numbers = _spread(given)
        self._summary.update({f"summary.{name}": value for name, value in numbers.items()})

    def _send_summary(self) -> None:
        """What was set in the summary, as metrics of the last step."""
        if self.watched is not None and self._summary:
            self.watched.log(self._last, metrics=dict(self._summary))
            self._summary.clear()


def _spread(data: Mapping[str, Any], before: str = "") -> Dict[str, Any]:
    """The numbers of ``data``, those of a mapping inside under names such as ``val.loss``; no pictures, no tables."""
    values: Dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            values.update(_spread(value, f"{before}{name}."))
        elif not isinstance(value, (Unkept, str, bytes, list, tuple, set)) and value is not None:
            values[f"{before}{name}"] = int(value) if isinstance(value, bool) else value
    return values


def _named(context: Mapping[str, Any]) -> Dict[str, Any]:
    """A context as keywords of `Run`, whose own options are no hyper-parameters."""
    from losswatch.context import OPTIONS

    return {f"param.{name}" if name in (*OPTIONS, "name") else name: value for name, value in context.items()}


def _rules(watched: Optional[Run]) -> Dict[str, str]:
    try:
        return rules_of(read_rules(os.environ.get(RULES, "")), (watched and watched.project) or "default")
    except ValueError as error:
        logger.warning("losswatch: %s is left out: %s", RULES, error)
        return {}
