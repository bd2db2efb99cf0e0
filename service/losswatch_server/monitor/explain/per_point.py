"""Gauges of the rules that are asked at every point: non-finite values, divergence, spikes, exploding gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from losswatch_server.monitor.explain.gauge import Gauge, Reading, detector, step_back
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.memory.track import BLOCK
from losswatch_server.monitor.rules.base import View
from losswatch_server.monitor.rules.diverging import Diverging
from losswatch_server.monitor.rules.exploding_gradient import START_POINTS, ExplodingGradient
from losswatch_server.monitor.rules.loss_spike import WINDOW, LossSpike
from losswatch_server.monitor.rules.non_finite import NonFiniteGradient, NonFiniteLoss
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test, median
from losswatch_server.monitor.vocabulary import Condition


def _non_finite(finding: Finding) -> Gauge:
    return _non_finite_loss() if finding.series == "loss" else _non_finite_gradient()


def _non_finite_loss() -> Gauge:
    place, rule = detector(NonFiniteLoss)

    def read(state: Any, view: View) -> Reading:
        return Reading(state.consecutive, 1.0, state.onset if state.consecutive else view.point.step)

    return Gauge(
        place=place,
        statistic="non-finite losses in a row",
        unit="points",
        above=True,
        rule=(
            "A loss that is NaN or infinite is critical at once, one sent as null a warning until it repeats; after "
            f"{rule.stays_after} in a row it is said to stay so."
        ),
        read=read,
    )


def _non_finite_gradient() -> Gauge:
    place, rule = detector(NonFiniteGradient)

    def read(state: Any, view: View) -> Reading:
        return Reading(state.consecutive, 1.0, state.onset if state.consecutive else view.point.step)

    return Gauge(
        place=place,
        statistic="non-finite gradient norms in a row",
        unit="points",
        above=True,
        rule=(
            f"A gradient norm that is NaN or infinite is information; {rule.warning_consecutive} in a row, or more "
            f"than {rule.warning_share:.0%} of the recent ones, are a warning, and {rule.critical_consecutive} in a "
            "row critical."
        ),
        read=read,
    )


MONOTONE_P = 0.0015
"""The significance that the monotone rule of ``Diverging`` asks of Kendall's test."""


def _diverging(finding: Finding) -> Gauge:
    _, rule = detector(Diverging)
    by = {"monotone": _monotone, "ladder": _ladder, "lost": _lost}
    return by.get(str(finding.evidence.get("rule")), _growth)(rule)


def _growth(rule: Diverging) -> Gauge:
    def read(state: Any, view: View) -> Reading | None:
        track = view.memory.loss
        if track.n < rule.needed:
            return None
        recent = track.recent
        before = recent[:-4] + track.head[: max(0, track.n - 4)]
        record = max(before)
        start = abs(record) if track.lowest > 0 else max(abs(recent[-5]), record - min(before))
        rise = recent[-1] - max(recent[-5], record)
        share = rise / start if start > 0 else math.inf if rise > 0 else 0.0
        return Reading(share, rule.total_rise, track.recent_steps[-5])

    return Gauge(
        place=detector(Diverging)[0],
        statistic="rise above the highest earlier loss",
        unit="of that loss",
        above=True,
        rule=(
            "Four rises in a row, each larger than the one before, that end more than "
            f"{rule.total_rise:.0%} above every earlier loss."
        ),
        read=read,
    )


def _monotone(rule: Diverging) -> Gauge:
    def read(state: Any, view: View) -> Reading | None:
        track = view.memory.loss
        if not view.review or not 6 <= track.n <= 64:
            return None
        count = max(6, track.n // 2)
        s, p = kendall_test(track.recent[-count:])
        return Reading(p if s > 0 else 1.0 - p, MONOTONE_P, step_back(track, count))

    return Gauge(
        place=detector(Diverging)[0],
        statistic="chance that losses without a trend rise as orderly (Kendall's test)",
        unit="probability",
        above=False,
        rule=(
            f"Over the second half (at least 6 points) Kendall's test sees a rise at p < {MONOTONE_P:g}, by more than "
            f"{rule.total_rise:.0%} of the lowest loss, and it ends above everything before."
        ),
        read=read,
    )


def _ladder(rule: Diverging) -> Gauge:
    def read(state: Any, view: View) -> Reading | None:
        track = view.memory.loss
        if track.n % BLOCK or track.n < 6 * BLOCK:
            return None
        best: Reading | None = None
        for level, count in enumerate(track.ladder_counts):
            if (track.n // BLOCK) % (1 << level) or count < 6:
                break
            blocks = track.ladder_log[level] if track.lowest > 0 else track.ladder[level]
            if any(map(math.isnan, blocks)):
                continue
            lowest = min(sum(blocks[i : i + 3]) / 3 for i in range(len(blocks) - 3))
            scale = max(difference_scale(blocks[:-3]), 1e-9 * abs(lowest), 1e-12)
            excess = (sum(blocks[-3:]) / 3 - lowest) / scale
            sds = rule.ladder_sds if level >= 2 else rule.fine_ladder_sds
            if best is None or excess / sds > best.statistic / (best.threshold or 1.0):
                best = Reading(excess, sds, step_back(track, len(blocks) * BLOCK << level))
        return best

    return Gauge(
        place=detector(Diverging)[0],
        statistic="level of the last three blocks above the lowest three",
        unit="standard deviations of such blocks",
        above=True,
        rule=(
            f"The mean of the last 3 blocks lies more than {rule.ladder_sds:g} robust standard deviations of such "
            f"blocks ({rule.fine_ladder_sds:g} for blocks of 8 and 16 points) above the lowest earlier one, still "
            f"rises, and more than {rule.lost_progress:.0%} of the progress is lost."
        ),
        read=read,
    )


def _lost(rule: Diverging) -> Gauge:
    def read(state: Any, view: View) -> Reading | None:
        track = view.memory.loss
        if not view.review or track.n < 6 * BLOCK or view.shape.first <= 0:
            return None
        quarter = view.shape.means[-max(2, len(view.shape.means) // 4) :]
        return Reading(float(quarter.min()) / view.shape.first, 1.0, step_back(track, track.n // 4))

    return Gauge(
        place=detector(Diverging)[0],
        statistic="lowest level of the last quarter of the run",
        unit="of the first level",
        above=True,
        rule="The loss had fallen well below its first level, and has been above it for the last quarter of the run.",
        read=read,
    )


def _loss_spike(finding: Finding) -> Gauge:
    place, rule = detector(LossSpike)

    def read(state: Any, view: View) -> Reading | None:
        track, loss = view.memory.loss, view.point.loss
        if loss is None or not math.isfinite(loss) or track.n < 2:
            return None
        first = step_back(track, 1 + min(WINDOW, track.n - 1))
        if state.onset >= 0 and state.onset != view.point.step:
            return Reading(loss, state.threshold.recovery, first)
        limit = state.threshold.limit
        if state.onset < 0 and track.n <= rule.warmup:
            limit = _early_limit(rule, view)
        return Reading(loss, limit if math.isfinite(limit) else None, first)

    return Gauge(
        place=place,
        statistic="loss",
        unit="loss",
        above=True,
        rule=(
            f"A loss above the trend of the last {WINDOW} by {rule.sds:g} robust standard deviations and "
            f"{rule.excess:g} times the largest recent excess (up to {rule.warmup} points: above twice all that came "
            f"before, and {rule.sds:g} times its noise); while the jump lasts, the threshold is the level it must "
            "come back under."
        ),
        read=read,
    )


def _early_limit(rule: LossSpike, view: View) -> float:
    track = view.memory.loss
    before = track.recent[:-1]
    stride = (track.last_step - track.head_steps[0]) / len(before)
    if len(before) < rule.early_points or (view.context.step_unit != "epoch" and stride < rule.early_stride):
        return math.inf
    centre = median(before[-8:])
    return max(2 * max(before), 0.0, centre + rule.sds * max(difference_scale(before), 1e-3 * abs(centre)))


def _exploding_gradient(finding: Finding) -> Gauge:
    place, rule = detector(ExplodingGradient)
    if finding.evidence.get("start"):
        return _exploded_from_the_start(finding, place, rule)

    def read(state: Any, view: View) -> Reading | None:
        track = view.memory.grad_norm
        norm = view.point.grad_norm
        if norm is None or not math.isfinite(norm) or track.n < rule.warmup or track.n % 4 or state.base <= 0:
            return None
        return Reading(
            median(track.recent[-8:]) / state.base, rule.warning_ratio, step_back(track, len(track.recent_steps))
        )

    return Gauge(
        place=place,
        statistic="median of the last 8 gradient norms",
        unit="times the running median",
        above=True,
        rule=(
            f"The median of the last 8 gradient norms is {rule.warning_ratio:g} times the median of the earlier ones "
            f"or more; from {rule.critical_ratio:g} times on it is critical."
        ),
        read=read,
    )


def _exploded_from_the_start(finding: Finding, place: int, rule: ExplodingGradient) -> Gauge:
    over_chance = finding.evidence.get("loss_over_chance")
    chance: list[float] = []

    def read(state: Any, view: View) -> Reading | None:
        losses, norms = view.memory.loss, view.memory.grad_norm
        if view.point.loss is None or not math.isfinite(view.point.loss) or losses.n > len(losses.head):
            return None
        if over_chance is None:
            sizes = [g / (2 * math.sqrt(v)) for g, v in zip(norms.head, losses.head, strict=False) if v > 0]
            return Reading(median(sizes), rule.large_inputs, losses.head_steps[0]) if sizes else None
        if losses.n == START_POINTS:
            chance.append(median(losses.head) / over_chance)
        return Reading(median(losses.head) / chance[0], rule.above_chance, losses.head_steps[0]) if chance else None

    inputs = over_chance is None
    return Gauge(
        place=place,
        statistic="size that the inputs must have by the median gradient" if inputs else "median of the first losses",
        unit="root mean square norm" if inputs else "times the loss of guessing",
        above=True,
        rule=(
            f"Over the first {START_POINTS} points the median of gradient norm / (2 sqrt(loss)), a lower bound on the "
            f"norm of a layer's inputs, is above {rule.large_inputs:g}."
            if inputs
            else f"The median of the first {START_POINTS} losses is {rule.above_chance:g} times the loss of guessing "
            "or more."
        ),
        read=read,
    )


GAUGES: dict[Condition, Callable[[Finding], Gauge]] = {
    Condition.NON_FINITE: _non_finite,
    Condition.DIVERGING: _diverging,
    Condition.LOSS_SPIKE: _loss_spike,
    Condition.EXPLODING_GRADIENT: _exploding_gradient,
}
