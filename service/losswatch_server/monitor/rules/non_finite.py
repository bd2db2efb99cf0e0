"""non_finite: a training loss, a validation loss or a gradient norm that is NaN or infinite.

Exact, so its false-alarm rate on finite data is 0 by construction. The one trap is mixed precision: a loss scaler
skips steps whose scaled gradients overflow, with a finite loss; that is its normal work (Micikevicius et al. 2018)
and is reported as information until it happens often, or again and again in a row: each skip halves the scale.
A scale that has come down below 1 is no such work any more: gradients overflow that were not scaled up at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from losswatch_server.monitor.batch import METRICS
from losswatch_server.monitor.known import Needs
from losswatch_server.monitor.memory.coming import Coming
from losswatch_server.monitor.memory.stretch import Stretch
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.rules.base import QUIET, UNSURE, Alarm, Test, Verdict, View
from losswatch_server.monitor.rules.loss_scale import scale_at
from losswatch_server.monitor.vocabulary import Condition, Severity


def _kind(value: float | None) -> str:
    if value is None:
        return "unknown"
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def in_a_row(what: str, count: int, onset: int) -> Iterator[Test]:
    """The one test of these rules."""
    yield Test(f"non-finite {what} in a row", float(count), 1.0, True, "points", onset if count else None)


@dataclass(slots=True)
class LossState:
    """``onset`` is the first step of the present stretch, ``last_finite`` the last finite loss before it."""

    onset: int = -1
    consecutive: int = 0
    last_finite: float | None = None
    kind: str = ""


def _pass_finite(state: LossState, stretch: Stretch, series: Coming, place: int, opened: bool) -> int:
    """Finite values end the row of others."""
    latest = series.before(stretch.end) - 1
    if latest >= series.before(place):
        if opened:
            return place
        state.last_finite, state.consecutive = series.values[latest], 0
    return stretch.end


@dataclass(frozen=True, slots=True, kw_only=True)
class NonFiniteLoss:
    """The loss is NaN or infinite. Critical at once; a loss sent as an explicit null is a warning until it repeats."""

    condition: ClassVar[Condition] = Condition.NON_FINITE
    series: ClassVar[str] = "loss"
    every_point: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Needs]] = {"non_finite": ()}
    stays_after: int = 3
    """Consecutive non-finite points after which it is said to stay so: an isolated one can be a single bad batch."""

    def start(self) -> LossState:
        return LossState()

    def step(self, state: LossState, view: View) -> Verdict:
        point = view.point
        loss = point.loss
        null = point.loss_is_null and view.memory.loss.n > 0 and point.validation_loss is None and not point.metrics
        if loss is None and not null:
            return UNSURE
        if loss is not None and math.isfinite(loss):
            if point.rank:
                return UNSURE  # one healthy rank says nothing of the others
            state.last_finite = loss
            state.consecutive = 0
            if view.record is not None:
                view.holds("non_finite", in_a_row("losses", 0, point.step))
            return QUIET
        if state.consecutive == 0:
            state.onset = point.step
        state.consecutive += 1
        state.kind = _kind(loss)
        view.holds("non_finite", in_a_row("losses", state.consecutive, state.onset))
        repeated = state.consecutive >= self.stays_after
        unsure_kind = loss is None and state.consecutive < 2
        return Alarm(
            onset_step=state.onset,
            confidence=0.7 if unsure_kind else (0.999 if repeated else 0.95),
            severity=Severity.WARNING if unsure_kind else Severity.CRITICAL,
            evidence={
                "kind": state.kind,
                "consecutive": state.consecutive,
                "last_finite": state.last_finite,
                "rank": point.rank,
            },
        )

    def calm(self, state: LossState, view: View, point: Point) -> bool:
        state.last_finite, state.consecutive = point.loss, 0
        return True

    def pass_over(self, state: LossState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        return _pass_finite(state, stretch, stretch.loss, place, opened)


@dataclass(frozen=True, slots=True, kw_only=True)
class NonFiniteValidation:
    """The validation loss is NaN or infinite: a warning, as the training may be well."""

    condition: ClassVar[Condition] = Condition.NON_FINITE
    series: ClassVar[str] = "validation_loss"
    every_point: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Needs]] = {"non_finite": ()}

    def start(self) -> LossState:
        return LossState()

    def step(self, state: LossState, view: View) -> Verdict:
        value = view.point.validation_loss
        if value is None or view.point.rank:
            return UNSURE
        if math.isfinite(value):
            state.last_finite = value
            state.consecutive = 0
            if view.record is not None:
                view.holds("non_finite", in_a_row("validation losses", 0, view.point.step))
            return QUIET
        if state.consecutive == 0:
            state.onset = view.point.step
        state.consecutive += 1
        view.holds("non_finite", in_a_row("validation losses", state.consecutive, state.onset))
        return Alarm(
            onset_step=state.onset,
            confidence=0.95,
            severity=Severity.WARNING,
            evidence={
                "kind": _kind(value),
                "consecutive": state.consecutive,
                "last_finite": state.last_finite,
                "rank": 0,
            },
        )

    def pass_over(self, state: LossState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        return _pass_finite(state, stretch, stretch.validation, place, opened)


@dataclass(slots=True)
class NonFiniteGradientState:
    """``share`` is an exponentially weighted share of non-finite norms (half-life about 35 points)."""

    onset: int = -1
    consecutive: int = 0
    share: float = 0.0
    seen: int = 0
    highest_scale: float = 0.0
    collapsed_at: int = -1
    """The step from which the loss scale has been too low; -1 while it is not."""
    of_scale: bool = False
    """Whether the last alarm was one of the scale, so that a higher one ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NonFiniteGradient:
    """The gradient norm is NaN or infinite while the loss is finite, or the loss scale says that it was."""

    condition: ClassVar[Condition] = Condition.NON_FINITE
    series: ClassVar[str] = "grad_norm"
    every_point: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Needs]] = {"non_finite": (), "collapsed scale": ()}
    warning_consecutive: int = 3
    """A dynamic loss scale starts at 2**16 and halves at each overflow: several in a row happen at the start only."""
    warning_share: float = 0.05
    critical_consecutive: int = 10
    scaler_start: int = 16
    """Points at the start of a mixed-precision run in which the scale still finds its level."""
    least_scale: float = 1.0
    """Below it the loss is scaled down: 58 healthy runs with a dynamic scale, from 2**14 on, kept 128 or more."""
    scale_fall: float = 1024.0
    """Times that the scale was higher: ten overflows and more, where none of a fixed scale would be."""

    def start(self) -> NonFiniteGradientState:
        return NonFiniteGradientState()

    def step(self, state: NonFiniteGradientState, view: View) -> Verdict:
        point = view.point
        scale = None if point.rank else scale_at(point.metrics, view.context)
        if scale is not None:
            state.highest_scale = max(state.highest_scale, scale)
            if view.holds("collapsed scale", self._collapsed(state, scale)):
                return self._scale_alarm(state, view, scale)
            state.collapsed_at = -1
        norm = point.grad_norm
        if norm is None or (point.rank and math.isfinite(norm)):
            return QUIET if scale is not None and state.of_scale else UNSURE
        state.seen += 1
        bad = not math.isfinite(norm)
        state.share += (float(bad) - state.share) * 0.02
        if not bad:
            state.consecutive = 0
            if view.record is not None:
                view.holds("non_finite", in_a_row("gradient norms", 0, point.step))
            return QUIET
        if state.consecutive == 0:
            state.onset = point.step
        state.consecutive += 1
        state.of_scale = False
        view.holds("non_finite", in_a_row("gradient norms", state.consecutive, state.onset))
        run, share = state.consecutive, state.share
        settling = state.seen <= self.scaler_start and not math.isnan(norm)
        severity = Severity.INFO
        if (run >= self.warning_consecutive and not settling) or (state.seen > 100 and share > self.warning_share):
            severity = Severity.WARNING
        if run >= self.critical_consecutive and not settling:
            severity = Severity.CRITICAL
        return Alarm(
            onset_step=state.onset,
            confidence=0.9 if severity is not Severity.INFO else 0.6,
            severity=severity,
            evidence={"kind": _kind(norm), "consecutive": run, "recent_share": share, "rank": point.rank},
        )

    def _collapsed(self, state: NonFiniteGradientState, scale: float) -> Iterator[Test]:
        yield Test("loss scale", scale, self.least_scale, False)
        fell = state.highest_scale / scale
        yield Test("highest loss scale so far", fell, self.scale_fall, True, "of the present one")

    def _scale_alarm(self, state: NonFiniteGradientState, view: View, scale: float) -> Alarm:
        if state.collapsed_at < 0:
            state.collapsed_at = view.point.step
        state.of_scale = True
        return Alarm(
            onset_step=state.collapsed_at,
            confidence=0.9,
            severity=Severity.WARNING,
            evidence={
                "kind": "inf",
                "consecutive": state.consecutive,
                "rank": 0,
                "loss_scale": scale,
                "highest_loss_scale": state.highest_scale,
            },
        )

    def calm(self, state: NonFiniteGradientState, view: View, point: Point) -> bool:
        facts = view.context.facts
        if facts is not None and facts.loss_scale is not None:
            return False
        if point.grad_norm is not None:
            state.seen += 1
            state.consecutive = 0
            if state.share:
                state.share += (0.0 - state.share) * 0.02
        return True

    def pass_over(self, state: NonFiniteGradientState, view: View, stretch: Stretch, place: int, opened: bool) -> int:
        end = self._pass_scales(state, view, stretch, place, opened)
        norms = stretch.grad_norm
        count = norms.before(end) - norms.before(place)
        if count and opened:
            return place
        state.seen += count
        state.consecutive = 0 if count else state.consecutive
        if state.share:
            for _ in range(count):
                state.share += (0.0 - state.share) * 0.02
        return end

    def _pass_scales(
        self, state: NonFiniteGradientState, view: View, stretch: Stretch, place: int, opened: bool
    ) -> int:
        """The first place whose loss scale must be judged; that of the points before is taken."""
        if state.collapsed_at >= 0 or (opened and state.of_scale):
            return place
        facts = view.context.facts
        if not stretch.metrics and (facts is None or facts.loss_scale is None):
            return stretch.end
        for at in range(place, stretch.end):
            scale = scale_at(stretch.points.columns[METRICS][at], view.context)
            if scale is not None:
                if scale < self.least_scale:
                    return at
                state.highest_scale = max(state.highest_scale, scale)
        return stretch.end
