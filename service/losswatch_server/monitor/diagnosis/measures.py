"""The named numbers that tell causes apart, taken from a run's bounded memory when a report is made.

Every number is None where it cannot be had; nothing here decides anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from losswatch_server.monitor.diagnosis.jump_measures import JumpMeasures, jump_measures
from losswatch_server.monitor.diagnosis.optimizers import is_adaptive, usual
from losswatch_server.monitor.diagnosis.quality_measures import QualityMeasures, quality_measures
from losswatch_server.monitor.diagnosis.series_measures import (
    GradientMeasures,
    LayerMeasures,
    LossMeasures,
    gradient_measures,
    layer_measures,
    loss_measures,
    window,
)
from losswatch_server.monitor.diagnosis.validation_measures import ValidationMeasures, validation_measures
from losswatch_server.monitor.known import Need, Needed, Noise, RunAsItStands, begins_at_start, had
from losswatch_server.monitor.loss_kind import NO_KIND, Family, LossKind, classes_at_chance, loss_kind
from losswatch_server.monitor.loss_summary import reduced_alike
from losswatch_server.monitor.memory.memory import Memory, Rates
from losswatch_server.monitor.memory.track import COUNT, FIRST_STEP, LAST_STEP, M2, MEAN, Track
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.stats.trend import median

GONE = 0.005
"""Share of the first gradient norms below which a gradient is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything that separates causes."""

    had: frozenset[Need] = frozenset()
    """What a row of evidence may need, and the run has."""
    loss: LossMeasures | None = None
    gradient: GradientMeasures | None = None
    layers: LayerMeasures | None = None
    validation: ValidationMeasures | None = None
    adaptive: bool | None = None
    """Whether the optimiser scales its own steps (Adam and kin); None when it is not known."""
    learning_rate: float | None = None
    first_learning_rate: float | None = None
    rate_decades: float | None = None
    """log10 of the peak learning rate over what is usual for the optimiser; 0 within the usual range."""
    rate_lowered: float | None = None
    """How many times the rate was lowered at one stroke since the finding began; None where it was not."""
    rate_jump: float | None = None
    """Largest increase of the rate (a factor) within the last twentieth before the finding began."""
    rate_before_rise: float | None = None
    """The rate before it was raised at one stroke, in mid-run, to three times all that was before; None if never."""
    rate_share: float | None = None
    """Rate now over its peak."""
    chance: float | None = None
    """Chance level: ln K, ln 2."""
    chance_inferred: bool = False
    """True when K was guessed from the first loss."""
    now_over_chance: float | None = None
    first_over_chance: float | None = None
    above_chance: float | None = None
    """Mean of the last half minus chance, in standard errors."""
    from_start: bool = True
    """False for a log that begins in the middle: nothing is known of its start."""
    starts_untrained: bool = True
    """False for logs whose first value is a mean over an epoch, or that begin in the middle."""
    blew_up: bool = False
    """The loss was not finite, or rose far above its start, or began where no scaled data begin."""
    loss_nonfinite: int = 0
    kind: LossKind = NO_KIND
    quality: QualityMeasures | None = None
    predicted_fall: float | None = None
    """Sum of learning rate x norm**2 over the optimiser steps: what the gradients promise to first order (SGD)."""
    predicted_in_errors: float | None = None
    """The same in standard errors of the loss."""
    actual_to_predicted: float | None = None
    """D: the actual fall over the predicted one."""
    ascent: float | None = None
    """0 when rises of the loss come from overshooting, 1 when the steps go up the gradient (plain SGD only)."""
    clipped_share: float | None = None
    """Share of the history in which the mean norm lay above the clip value."""
    clip: float | None = None
    clip_inferred: bool = False
    gradient_with_loss: float | None = None
    """Rank correlation of loss and gradient norm over the first points, where the norm at least doubled meanwhile."""
    grad_nonfinite: int = 0
    grad_zero: int = 0
    first_break: str = ""
    """Loss and gradient norm of the first point where one was not finite, as ``Memory`` keeps them."""
    jump: JumpMeasures | None = None
    """The loss around the begin of the finding in question."""

    def has(self, need: Needed) -> bool:
        """Whether what a row of evidence needs is there."""
        if not isinstance(need, Noise):
            return need in self.had
        series = {"loss": self.loss, "gradient norm": self.gradient, "validation loss": self.validation}[need.of]
        return series is not None and series.points >= need.points

    @property
    def stationary(self) -> bool:
        """The gradient is gone: longer steps lead nowhere."""
        gradient = self.gradient
        return gradient is not None and gradient.points >= 5 and gradient.now < GONE * gradient.first

    @property
    def risen(self) -> bool:
        """The loss is above its start by more than a tenth, and by more than it scatters."""
        loss = self.loss
        return loss is not None and loss.fall < -RISEN and loss.now - loss.first > 2 * loss.noise

    @property
    def cross_entropy(self) -> bool | None:
        """Whether the loss is a cross entropy; None where its kind is not known."""
        return None if self.kind.family is Family.UNKNOWN else self.kind.classifies


def with_onset(facts: Measured, memory: Memory, since_step: int) -> Measured:
    """The facts of a run for another finding: only what came shortly before its begin is taken anew."""
    with np.errstate(all="ignore"):
        jump = jump_measures(memory.loss, since_step)
    return replace(
        facts, rate_jump=_rate_jump(memory, since_step), rate_lowered=_rate_lowered(memory, since_step), jump=jump
    )


def gather(memory: Memory, context: Context, *, since_step: int | None = None) -> Measured:
    """The facts of a run as they stand; ``since_step``: where the finding in question began."""
    with np.errstate(all="ignore"):
        return _gather(memory, context, since_step)


def _gather(memory: Memory, context: Context, since_step: int | None) -> Measured:
    loss = loss_measures(memory.loss)
    gradient = gradient_measures(memory.grad_norm)
    adaptive = is_adaptive(context.optimizer)
    rate = memory.rates.current if memory.rates.current is not None else context.learning_rate
    first_rate = memory.rates.values[0] if memory.rates.values else context.learning_rate
    clip, inferred = _clip(gradient, context)
    kind = loss_kind(context)
    chance, guessed = _chance(memory.loss, loss, kind, context)
    from_start = loss is None or begins_at_start(memory)
    predicted = _predicted_fall(memory, context, adaptive, clip)
    errors, ratio = _against_noise(memory.loss, loss, predicted)
    quality = quality_measures(memory.quality)
    return Measured(
        had=had(RunAsItStands(memory, context, kind, chance, quality is not None)),
        loss=loss,
        gradient=gradient,
        layers=layer_measures(memory.layers, context),
        validation=validation_measures(memory.validation),
        adaptive=adaptive,
        learning_rate=rate,
        first_learning_rate=first_rate,
        rate_decades=rate_decades(memory.rates, context),
        rate_jump=_rate_jump(memory, since_step),
        rate_lowered=_rate_lowered(memory, since_step),
        rate_before_rise=_rate_before_rise(memory, context),
        rate_share=rate / memory.rates.peak if rate is not None and memory.rates.peak > 0 else None,
        chance=chance,
        chance_inferred=guessed,
        now_over_chance=loss.now / chance if loss and chance else None,
        first_over_chance=loss.first / chance if loss and chance else None,
        above_chance=_above(memory.loss, loss, chance),
        from_start=from_start,
        starts_untrained=loss is None or (context.step_unit != "epoch" and from_start),
        blew_up=_blew_up(memory, loss),
        loss_nonfinite=memory.loss_nonfinite,
        kind=kind,
        quality=quality,
        predicted_fall=predicted,
        predicted_in_errors=errors,
        actual_to_predicted=ratio,
        ascent=_ascent(memory, context, adaptive),
        clipped_share=gradient.equal_maxima if inferred and gradient else _clipped_share(memory.grad_norm, clip),
        clip=clip,
        clip_inferred=inferred,
        gradient_with_loss=_gradient_with_loss(memory),
        grad_nonfinite=memory.grad_nonfinite,
        grad_zero=memory.grad_zero,
        first_break=memory.first_break,
        jump=None if since_step is None else jump_measures(memory.loss, since_step),
    )


PAIRS = 16
"""Points with loss and gradient norm that make a rank correlation."""
RISEN = 0.1
"""Of the first loss."""
RUNS_AWAY = 4.0
"""A loss that rose to four times its start has blown up: healthy starts rise by up to half."""
NO_SCALED_DATA = 1e4
"""Scaled inputs and targets begin with a loss of a few units; from here on a higher rate is never the answer."""


def _blew_up(memory: Memory, loss: LossMeasures | None) -> bool:
    if memory.loss_nonfinite or loss is None:
        return memory.loss_nonfinite > 0
    return loss.first > NO_SCALED_DATA or (loss.first > 0 and loss.peak > RUNS_AWAY * loss.first)


def _stride(track: Track) -> int:
    return track.head_steps[1] - track.head_steps[0] if len(track.head_steps) > 1 else 0


def rate_decades(rates: Rates, context: Context) -> float | None:
    """Peak rate against what is usual for the optimiser, in tenfolds; 0 inside of the usual range."""
    rate = rates.peak if rates.peak > 0 else context.learning_rate
    if rate is None or rate <= 0:
        return None
    known = usual(context)
    if known is None:
        # one of the two usual ranges, 1e-3 to 0.1: only what lies outside both says anything
        return min(math.log10(rate / 1e-3), 0.0) + max(math.log10(rate / 0.1), 0.0)
    return known.decades(rate)


def _rate_lowered(memory: Memory, since_step: int | None) -> float | None:
    """How many times the rate was lowered, at one stroke, after the finding began; None where it was not.

    A fall to less than a third within one change: schedules come down in smaller steps, or long before.
    """
    rates = memory.rates
    if since_step is None:
        return None
    cuts = [
        before / after
        for step, before, after in zip(rates.steps[1:], rates.values, rates.values[1:], strict=False)
        if step > since_step and 0 < after < before / 3
    ]
    return max(cuts, default=None)


def _rate_jump(memory: Memory, since_step: int | None) -> float | None:
    """Largest factor by which the rate rose shortly before the finding began; None when no rate was sent."""
    rates = memory.rates
    if not rates.values or since_step is None or memory.loss.n == 0:
        return None
    first = memory.loss.head_steps[0]
    reach = max(5, round(0.05 * (memory.loss.last_step - first)))
    before = rates.at(since_step - reach)
    if before is None or before <= 0:
        return None
    since = [v for s, v in zip(rates.steps, rates.values, strict=True) if since_step - reach < s <= since_step + reach]
    return max(since, default=before) / before


def _rate_before_rise(memory: Memory, context: Context) -> float | None:
    """A rise within the warm-up, or back to a former rate, is a schedule and no fault."""
    rates = memory.rates
    start = (memory.loss.head_steps[0] if memory.loss.head_steps else 0) + (context.warmup_steps or 0)
    for i in range(len(rates.values) - 1, 0, -1):
        highest = max(rates.values[:i])
        if rates.values[i] > 3 * highest > 0 and rates.steps[i] > start + 8:
            return rates.values[i - 1]
    return None


def _chance(track: Track, loss: LossMeasures | None, kind: LossKind, context: Context) -> tuple[float | None, bool]:
    """The kind's chance level where it is known; else guessed when the first loss, or this one, is near a usual ln K.

    Only for a cross entropy, or a loss of unknown kind.
    """
    if loss is None:
        return None, False
    if kind.chance is not None:
        return reduced_alike(kind, loss.first, track.head, context.batch_size), False
    if not kind.classifies and kind.family is not Family.UNKNOWN:
        return None, False
    for level in (loss.first, loss.now):
        classes = classes_at_chance(level, 0.05 if kind.classifies else 0.01, context.num_classes)
        if classes is not None:
            return math.log(classes), True
    return None, False


def _above(track: Track, loss: LossMeasures | None, chance: float | None) -> float | None:
    """Mean of the last half minus chance, in standard errors."""
    if loss is None or chance is None or track.n < 12:
        return None
    mean, noise, count = window(track, 0.5, 1.0)
    error = max(noise, loss.quantum / 2) / math.sqrt(count)
    if error <= 0:
        return None
    return (mean - chance) / error


def _clip(gradient: GradientMeasures | None, context: Context) -> tuple[float | None, bool]:
    if context.grad_clip and context.grad_clip > 0:
        return context.grad_clip, False
    if gradient and gradient.equal_maxima >= 0.3 and gradient.lowest < 0.95 * gradient.peak:
        return gradient.peak, True
    return None, False


def _clipped_share(track: Track, clip: float | None) -> float | None:
    if clip is None or track.n < 5:
        return None
    values = track.recent if track.complete() else None
    if values is not None:
        return sum(g >= 0.999 * clip for g in values) / len(values)
    table = track.bucket_table()
    return float((table[:, COUNT] * (table[:, MEAN] >= 0.999 * clip)).sum() / table[:, COUNT].sum())


def _predicted_fall(memory: Memory, context: Context, adaptive: bool | None, clip: float | None) -> float | None:
    """Sum over optimiser steps of rate x norm x clipped norm / (1 - momentum)."""
    track = memory.grad_norm
    rate = context.learning_rate
    if adaptive is not False or track.n < 5 or (rate is None and not memory.rates.values):
        return None
    momentum = min(max(context.momentum or 0.0, 0.0), 0.999)
    table = track.bucket_table()
    if len(table) == 0:
        return None
    mean, count = table[:, MEAN], table[:, COUNT]
    square = mean * mean + table[:, M2] / count
    if clip is not None:
        square = np.where(mean > clip, clip * mean, square)
    steps = (table[:, LAST_STEP] - table[:, FIRST_STEP]) * (count / np.maximum(count - 1, 1))
    steps = steps * steps_per_unit(context)
    middle = 0.5 * (table[:, FIRST_STEP] + table[:, LAST_STEP])
    rates = np.array([_rate_at(memory.rates, int(step), rate) for step in middle])
    total = float((rates * square * steps).sum()) / (1 - momentum)
    return total if math.isfinite(total) else None


def _rate_at(rates: Rates, step: int, fallback: float | None) -> float:
    at = rates.at(step)
    if at is None:
        at = rates.values[0] if rates.values else fallback
    return at or 0.0


def steps_per_unit(context: Context) -> float:
    """Optimiser steps per unit of ``step``: more than 1 for runs logged by epoch."""
    if context.step_unit == "epoch" and context.steps_per_epoch:
        return float(context.steps_per_epoch)
    return 1.0


def _ascent(memory: Memory, context: Context, adaptive: bool | None) -> float | None:
    """Whether early rises of the loss go up the gradient.

    By the trapezoid rule a step of plain SGD changes the loss by -rate g (g + g') / 2, with g' the next gradient.
    Overshooting turns the gradient round (g' = -rho g), a wrong sign keeps it (g' = rho g, and the step is +rate g);
    so (L' - L) / (rate g**2) - (rho - 1) / 2 is 0 for the one and 1 for the other. Exact on quadratics.
    """
    if adaptive is not False or context.momentum or (context.steps_per_point or 1) > 1 or steps_per_unit(context) > 1:
        return None
    losses, norms = memory.loss, memory.grad_norm
    found = []
    for i in range(min(len(losses.head), len(norms.head), 16) - 1):
        promise = _rate_at(memory.rates, losses.head_steps[i], context.learning_rate) * norms.head[i] ** 2
        rise, growth = losses.head[i + 1] - losses.head[i], norms.head[i + 1] - norms.head[i]
        if losses.head_steps[i] == norms.head_steps[i] and rise > 0 and promise > 0 and growth > 0:
            found.append(rise / promise - growth / norms.head[i] / 2)
    return median(found) if len(found) >= 3 and all(math.isfinite(v) for v in found) else None


def _gradient_with_loss(memory: Memory) -> float | None:
    """A gradient is large where the loss is high. A sum over all steps so far (gradients that are never set to zero)
    is largest where the loss is lowest: the parameters swing through the minimum like a pendulum without friction."""
    losses, track = dict(zip(memory.loss.head_steps, memory.loss.head, strict=True)), memory.grad_norm
    pairs = [(losses[step], norm) for step, norm in zip(track.head_steps, track.head, strict=True) if step in losses]
    if len(pairs) < PAIRS or not begins_at_start(memory):
        return None
    loss, norm = (np.argsort(np.argsort(column)).astype(float) for column in np.array(pairs).T)
    grown = max(g for _, g in pairs) >= 2 * median([g for _, g in pairs[:3]])
    return float(np.corrcoef(loss, norm)[0, 1]) if grown else None


def _against_noise(
    track: Track, loss: LossMeasures | None, predicted: float | None
) -> tuple[float | None, float | None]:
    """The predicted fall in standard errors of the loss, and the actual fall over the predicted one."""
    if loss is None or predicted is None or predicted <= 0 or track.n < 12:
        return None, None
    before, noise, count = window(track, 0.0, 0.1)
    after, late_noise, late_count = window(track, 0.75, 1.0)
    noise = max(noise, late_noise, loss.quantum / 2)
    # the mean of the first tenth misses a fall that is over within it
    start = loss.first if loss.first - before > 4 * loss.noise_first / math.sqrt(5) else before
    actual = start - after
    error = noise * math.sqrt(1 / count + 1 / late_count)
    if not math.isfinite(actual):
        return None, None
    return (predicted / error if error > 0 else math.inf), actual / predicted
