"""Gauges of the rules that are asked at reviews, and of overfitting: what they say takes many points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from losswatch_server.monitor.explain.gauge import Gauge, Reading, detector, step_back
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.loss_kind import Family
from losswatch_server.monitor.loss_summary import Shape
from losswatch_server.monitor.rules.base import Alarm, View
from losswatch_server.monitor.rules.not_learning import NotLearning
from losswatch_server.monitor.rules.oscillation import Oscillation
from losswatch_server.monitor.rules.overfitting import Overfitting
from losswatch_server.monitor.rules.plateau import Converged, Plateau
from losswatch_server.monitor.rules.slow_convergence import SlowConvergence
from losswatch_server.monitor.rules.vanishing_gradient import DEAD, VanishingGradient
from losswatch_server.monitor.stats.trend import difference_scale, median, quantum
from losswatch_server.monitor.vocabulary import Condition


def _of_shape(least: int, of: Callable[[Shape], tuple[float, float] | None]) -> Callable[[Any, View], Reading | None]:
    """Reads (statistic, threshold) from the shape of a loss of at least so many points."""

    def read(state: Any, view: View) -> Reading | None:
        if view.shape.n < least:
            return None
        numbers = of(view.shape)
        return None if numbers is None else Reading(*numbers, view.memory.loss.head_steps[0])

    return read


def _over_chance(place: int, least: int, share: float, rule: str) -> Gauge:
    def of(shape: Shape) -> tuple[float, float] | None:
        return None if not shape.chance else (shape.now / shape.chance, share)

    return Gauge(
        place=place,
        statistic="level of the loss",
        unit="of the loss of guessing",
        above=True,
        rule=rule,
        read=_of_shape(least, of),
    )


def _not_learning(finding: Finding) -> Gauge:
    place, rule = detector(NotLearning)
    chance, level = finding.evidence.get("chance_level"), finding.evidence.get("level")
    if chance and level is not None and level > (1 - rule.chance_margin) * chance:
        return _over_chance(
            place,
            rule.least_points,
            1 - rule.chance_margin,
            f"The loss is within {rule.chance_margin:.0%} of the loss of guessing (or above it) after the run was "
            f"given {rule.patience:.0%} of its planned length, {rule.rising_patience:.0%} while the gradient grows.",
        )
    if finding.evidence.get("blown_up"):
        return _blown_up(place, rule)
    return Gauge(
        place=place,
        statistic="progress of the loss",
        unit="of the first level",
        above=False,
        rule=(
            f"Less than {rule.least_share:.0%} of the first level was gained, without a significant fall, after the "
            f"run was given {rule.patience:.0%} of its planned length, {rule.rising_patience:.0%} while the gradient "
            "grows; a loss that is exactly constant, or far above its start, needs no patience."
        ),
        read=_of_shape(rule.least_points, lambda shape: (shape.share, rule.least_share)),
    )


def _blown_up(place: int, rule: NotLearning) -> Gauge:
    def read(state: Any, view: View) -> Reading | None:
        if view.shape.n < rule.least_points:
            return None
        track = view.memory.loss
        return Reading(view.shape.now, (1 - rule.least_share) * track.head[0], track.head_steps[0])

    return Gauge(
        place=place,
        statistic="level of the loss",
        unit="loss",
        above=True,
        rule=(
            f"The loss went to more than {rule.blow_up:g} times its first value, and has not come back to "
            f"{1 - rule.least_share:.0%} of it: no saddle does that, so no patience is needed."
        ),
        read=read,
    )


STOPPED = 0.03
"""The share of all progress under which ``stopped`` calls the second half's fall none."""
NEARLY_STOPPED = 0.35
"""The same for a smooth curve whose floor can be foretold."""


def _stopped(place: int, least: int, share: float, rule: str) -> Gauge:
    def of(shape: Shape) -> tuple[float, float]:
        return shape.gain_half, max(share * max(shape.progress, 0.0), shape.quantum)

    return Gauge(
        place=place,
        statistic="fall of the loss over the second half of the run",
        unit="loss",
        above=False,
        rule=rule,
        read=_of_shape(least, of),
    )


def _plateau(finding: Finding) -> Gauge:
    place, rule = detector(Plateau)
    if finding.evidence.get("expected_floor") is not None:
        return _stopped(
            place,
            rule.least_points,
            NEARLY_STOPPED,
            f"The second half brought less than {NEARLY_STOPPED:.0%} of all progress, the curve is smooth, and what "
            f"it still has to go to its expected floor, a bad one, is under {rule.nearly:.0%} of the progress.",
        )
    return _stopped(
        place,
        rule.least_points,
        STOPPED,
        f"The second half brought less than {STOPPED:.0%} of all progress and no significant fall, at a floor that is "
        f"still bad: above {rule.share_of_chance:.0%} of the loss of guessing or, where that is not known, with less "
        f"than {rule.gained:.0%} of the first level gained ({rule.full_batch_gained:.0%} without noise).",
    )


def _converged(finding: Finding) -> Gauge:
    place, rule = detector(Converged)
    return _stopped(
        place,
        rule.least_points,
        STOPPED,
        f"The second half brought less than {STOPPED:.0%} of all progress and no significant fall, at a good floor: "
        f"below half of the loss of guessing or, where that is not known, with {rule.gained:.0%} of the first level "
        "gained or more.",
    )


def _slow_convergence(finding: Finding) -> Gauge:
    place, rule = detector(SlowConvergence)
    return Gauge(
        place=place,
        statistic="loss at the end of the plan, by the line through the second half",
        unit="loss",
        above=True,
        rule=(
            "The loss falls, but the line through its second half ends (at the end of the plan or, where that is not "
            f"known, at twice the present length) above {rule.share_of_chance:.0%} of the loss of guessing or, where "
            f"that is not known, with less than {rule.gained_at_end:.0%} of the first level gained "
            f"({rule.gained_at_end_language:.0%} for the cross-entropy of a language model)."
        ),
        read=lambda state, view: _at_end(rule, view),
    )


def _at_end(rule: SlowConvergence, view: View) -> Reading | None:
    shape = view.shape
    if shape.n < rule.least_points:
        return None
    fraction = shape.fraction if shape.fraction and shape.fraction <= 1.05 else 0.5
    level = shape.now + shape.slope_half * max(0.0, shape.n * (1 / fraction - 1))
    if shape.chance:
        limit = rule.share_of_chance * shape.chance
    else:
        language = view.kind.family is Family.CROSS_ENTROPY
        base = shape.first - shape.progress / shape.share if shape.share > 0 else 0.0
        limit = shape.first - (rule.gained_at_end_language if language else rule.gained_at_end) * abs(
            shape.first - base
        )
    return Reading(level, limit, view.memory.loss.head_steps[0])


def _vanishing_gradient(finding: Finding) -> Gauge:
    place, rule = detector(VanishingGradient)
    evidence = finding.evidence
    if evidence.get("layers_dead"):
        return Gauge(
            place=place,
            statistic="smallest gradient norm of a layer",
            unit="gradient norm",
            above=False,
            rule=f"A layer's gradient norm stays under {math.exp(DEAD):.0e} while the loss is still high.",
            read=lambda state, view: _of_layers(view, lambda norms: (math.exp(min(norms)), math.exp(DEAD))),
        )
    if "first_layer" in evidence:
        return Gauge(
            place=place,
            statistic="gradient norm of the first layer",
            unit="of the largest layer's",
            above=False,
            rule=(
                f"The first layer's gradient norm is below {rule.layer_ratio:g} of the largest layer's while the loss "
                "is still high."
            ),
            read=lambda state, view: _of_layers(
                view, lambda norms: (math.exp(min(norms[0] - max(norms), 700.0)), rule.layer_ratio)
            ),
        )

    def read(state: Any, view: View) -> Reading | None:
        track = view.memory.grad_norm
        early = median(track.head[:32]) if track.n >= rule.least_points else 0.0
        if early <= 0:
            return None
        return Reading(median(track.recent[-16:]) / early, rule.total_ratio, track.head_steps[0])

    return Gauge(
        place=place,
        statistic="median of the last 16 gradient norms",
        unit="of the median of the first 32",
        above=False,
        rule=(
            f"The median of the last 16 gradient norms is below {rule.total_ratio:g} of that of the first 32 while "
            "the loss is still high."
        ),
        read=read,
    )


def _of_layers(view: View, of: Callable[[list[float]], tuple[float, float]]) -> Reading | None:
    layers = view.memory.layers
    now = dict(zip(layers.names, layers.now, strict=True))
    order = view.context.layer_order or tuple(layers.names)
    norms = [now[name] for name in order if name in now and not math.isnan(now[name])]
    return Reading(*of(norms), view.memory.loss.head_steps[0]) if len(norms) > 1 and view.memory.loss.n else None


def _oscillation(finding: Finding) -> Gauge:
    place, rule = detector(Oscillation)
    if "period_correlation" in finding.evidence:
        return Gauge(
            place=place,
            statistic="correlation of the loss with itself one period before",
            unit="",
            above=True,
            rule=(
                "The loss without its trend repeats itself every 4 points or more: a correlation above "
                f"{rule.period_correlation:g} at that distance, and a large one at twice the distance."
            ),
            read=_without_threshold(
                replace(rule, period_correlation=0.0), "period_correlation", rule.period_correlation
            ),
        )
    if "lag1" in finding.evidence:
        return Gauge(
            place=place,
            statistic="correlation of the loss with the point before",
            unit="",
            above=False,
            rule=(
                "Over the latest 64 points without their trend, the correlation of neighbours is below "
                f"{rule.lag1:g}, and the swing a twentieth of the level or more."
            ),
            read=lambda state, view: _alternation(rule, view),
        )
    return Gauge(
        place=place,
        statistic="spread of the levels over the second half",
        unit="times what the noise allows",
        above=True,
        rule=(
            f"The levels over the second half spread more than {rule.wider_than_noise:g} times wider than the noise "
            f"of single points allows, by more than {rule.amplitude:.0%} of the level, and cross their mean again and "
            "again."
        ),
        read=_without_threshold(
            replace(rule, period_correlation=2.0, lag1=-2.0, wider_than_noise=0.0, amplitude=0.0),
            "wider_than_noise",
            rule.wider_than_noise,
        ),
    )


def _without_threshold(open_rule: Oscillation, name: str, threshold: float) -> Callable[[Any, View], Reading | None]:
    """The rule with its threshold taken away says in its evidence what its statistic is."""

    def read(state: Any, view: View) -> Reading | None:
        verdict = open_rule.step(None, view)
        if not isinstance(verdict, Alarm) or name not in verdict.evidence:
            return None
        return Reading(verdict.evidence[name], threshold, verdict.onset_step)

    return read


def _alternation(rule: Oscillation, view: View) -> Reading | None:
    values = np.array(view.memory.loss.recent[-64:])
    n = len(values)
    if n < rule.least_points:
        return None
    x = np.arange(n) - (n - 1) / 2
    detrended = values - values.mean() - x * (x @ values) / (x @ x)
    power = float(detrended @ detrended)
    if power <= 0:
        return None
    correlation = float(detrended[1:] @ detrended[:-1]) / power
    return Reading(correlation, min(rule.lag1, -(2.33 / math.sqrt(n) + 1 / n)), step_back(view.memory.loss, n))


def _overfitting(finding: Finding) -> Gauge:
    place, rule = detector(Overfitting)
    return Gauge(
        place=place,
        statistic="mean of the latest validation losses",
        unit="validation loss",
        above=True,
        rule=(
            f"The mean of the latest validation losses is above their minimum by {rule.z_warning:g} standard errors "
            f"and {rule.material:.0%} of it (below {rule.few_points} validations: an unbroken rise by "
            f"{rule.few_rise:.0%}), while the training loss kept falling."
        ),
        read=lambda state, view: _validation(rule, view),
    )


def _validation(rule: Overfitting, view: View) -> Reading | None:
    """The level that the latest validation losses would have to exceed, in their own unit."""
    track = view.memory.validation
    if view.point.validation_loss is None or track.n < rule.least_points:
        return None
    values = track.recent
    smooth = [median(values[max(0, i - 1) : i + 2]) for i in range(len(values))]
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    after = values[lowest + 1 :]
    if not after:
        return None
    k = min(len(after), max(3, len(after) // 2))
    around = values[max(0, lowest - 1) : lowest + 2]
    minimum = sum(around) / len(around)
    scale = max(difference_scale(values), 0.5 * quantum(values), 1e-9 * abs(values[lowest]))
    few = len(values) < rule.few_points and view.memory.loss.n <= 2 * len(values)
    margin = rule.few_rise * abs(minimum)
    if not few:
        margin = 0.6 * scale + rule.z_warning * 1.3 * scale * math.sqrt(1 / k + 1 / 3)
        margin = max(margin, rule.material * abs(minimum), 2 * rule.material * max(values[0] - minimum, 0.0))
    return Reading(sum(after[-k:]) / k, minimum + margin, track.recent_steps[lowest])


GAUGES: dict[Condition, Callable[[Finding], Gauge]] = {
    Condition.NOT_LEARNING: _not_learning,
    Condition.PLATEAU: _plateau,
    Condition.CONVERGED: _converged,
    Condition.SLOW_CONVERGENCE: _slow_convergence,
    Condition.VANISHING_GRADIENT: _vanishing_gradient,
    Condition.OSCILLATION: _oscillation,
    Condition.OVERFITTING: _overfitting,
}
