"""overfitting of a run that sends no validation loss: its validation metric became worse while the training loss fell.

A share of right answers hides what a loss shows, that a model grows ever surer of its wrong ones, and on few held-out
samples it wanders: 1 in 90 healthy runs of the develop half would be called overfitting by the rules for a validation
loss. So one rule is left of them, *fell*, and asks for more: the metric is worse than its best by a good part of it,
for half of the log and of a known plan, in an orderly way, while the training loss fell by a good part. A perplexity is
the exponential of a validation loss; its logarithm is judged by all rules of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from losswatch_server.monitor.known import Need, Needs
from losswatch_server.monitor.memory.stretch import Stretch
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Test, Verdict, View
from losswatch_server.monitor.rules.evaluations import Evaluations, OverfittingState, Turn
from losswatch_server.monitor.rules.overfitting import Overfitting

OF_A_LOSS = ("few", "turned", "unbroken", "from the first", "by far")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverfittingMetric(Overfitting):
    """A validation metric is significantly and materially worse than its best, and the training loss below."""

    series: ClassVar[str] = "validation_metric"
    needs: ClassVar[Mapping[str, Needs]] = dict.fromkeys((*OF_A_LOSS, "fell"), (Need.MINIMISED, Need.VALIDATION_METRIC))
    metric_fall: float = 0.06
    """Of its best: with the validation loss left out, said of 9 of 13 runs of the develop half whose metric shows that
    they overfit, and of none of 905 healthy ones; with half of the fall of the training loss of two of them."""
    metric_rise: float = 0.3
    """The same of an error rate, of its lowest."""
    metric_few: float = 2.0
    """Times as much of fewer values than tell the noise."""
    metric_train_fall: float = 0.3
    """Of the training loss at the best value."""

    def step(self, state: OverfittingState, view: View) -> Verdict:
        if self.value(view) is None:
            return UNSURE
        if view.memory.validation.n:
            return QUIET  # the loss knows more
        return Overfitting.step(self, state, view)

    def value(self, view: View) -> float | None:
        metrics = view.point.metrics
        return view.memory.held_out.value_of(metrics) if metrics else None

    def evaluations(self, view: View) -> Evaluations:
        return view.memory.held_out

    def rules(
        self, state: OverfittingState, view: View, turn: Turn, *, few: bool
    ) -> Iterable[tuple[str, Iterator[Test] | None]]:
        if view.memory.held_out.is_of_a_loss:
            rules = Overfitting.rules(self, state, view, turn, few=few)
            return [(rule, tests) for rule, tests in rules if rule in OF_A_LOSS]
        return [("fell", self._fell(state, view, turn))]

    def _fell(self, state: OverfittingState, view: View, turn: Turn) -> Iterator[Test]:
        few = turn.n < self.few_points
        least = (self.metric_fall if state.minimum < 0 else self.metric_rise) * abs(state.minimum)
        yield Test(
            "loss of the metric since its best value",
            turn.rise,
            least * (self.metric_few if few else 1.0),
            True,
            "",
            state.lowest_step,
        )
        if not few:
            yield Test("the same in standard errors", turn.z, self.z_warning)
        yield Test(
            "fall of the training loss since",
            state.train_then - turn.train_now,
            self.metric_train_fall * abs(state.train_then),
        )
        # a model that never answered well has lost nothing
        yield Test("a share of right answers that is poor", float(view.quality.poor), 0.5, False)
        yield from self.half_done(view, turn)
        yield Test("chance of so orderly a loss without a trend (Kendall's test)", turn.trend, 0.05, False)

    def evidence(self, state: OverfittingState, view: View, turn: Turn) -> dict[str, Any]:
        held_out, told = view.memory.held_out, Overfitting.evidence(self, state, view, turn)
        return {
            **told,
            "metric": held_out.name,
            "best_validation": held_out.as_sent(told["best_validation"]),
            "validation_now": held_out.as_sent(told["validation_now"]),
        }

    def pass_over(self, state: OverfittingState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        """Asked at each value of the metric."""
        if not stretch.metrics:
            return stretch.end
        return next((at for at in range(place, stretch.end) if stretch.measures(at, view.memory.held_out)), stretch.end)
