"""What a good monitor should say of a run: the injected cause, and what it visibly did compared with the healthy twin.

A fault that does nothing visible is healthy. Levels are in shares of the twin's gain: 0 is chance (the loss of the best
constant), 1 is where the twin ended. The labeller reads clean evaluations that no logger sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.labels import HEALTHY, Label
from benchmarks.detection.zoo.faults import Fault
from benchmarks.detection.zoo.training import Trace

GOOD = 0.85
"""A run that reaches this share of its twin's gain trains well."""
NOTHING = 0.1
"""A run below this share has not learned."""

LEVEL = ("not_learning", "plateau", "slow_convergence")
CONFUSED: dict[str, tuple[str, ...]] = {
    "learning_rate_too_high": ("momentum_too_high", "no_warmup", "gradients_accumulating", "poor_initialization"),
    "learning_rate_too_low": ("gradient_clip_too_tight", "parameters_not_updated"),
    "inputs_not_scaled": ("learning_rate_too_high", "poor_initialization"),
    "missing_nonlinearity": ("insufficient_capacity",),
    "insufficient_capacity": ("missing_nonlinearity",),
    "wrong_loss_function": (),
    "dead_activations": ("poor_initialization", "saturated_activations"),
    "saturated_activations": ("poor_initialization", "dead_activations"),
    "poor_initialization": ("saturated_activations", "dead_activations", "inputs_not_scaled"),
    "parameters_not_updated": ("learning_rate_too_low",),
    "gradients_accumulating": ("learning_rate_too_high", "momentum_too_high"),
    "labels_uninformative": (),
    "bad_batch": (),
    "data_not_shuffled": (),
    "batch_too_small": ("learning_rate_too_high",),
    "weight_decay_too_strong": (),
    "no_warmup": ("learning_rate_too_high", "poor_initialization", "momentum_too_high"),
    "precision_overflow": (),
    "overfit_small_data": (),
    "gradient_clip_too_tight": ("learning_rate_too_low",),
    "momentum_too_high": ("learning_rate_too_high", "no_warmup"),
}
"""Causes that loss, gradient norm and context do not tell from the injected one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is visibly wrong: the condition, others that are fair, since when."""

    condition: str
    also_ok: tuple[str, ...] = ()
    onset: int = 0


def smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Running median of odd width, the ends repeated."""
    half = max(1, width // 2)
    padded = np.pad(values, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    out: NDArray[np.float64] = np.median(windows, axis=1)
    return out


def spread(values: NDArray[np.float64]) -> float:
    """Robust standard deviation of the steps from one value to the next."""
    return float(1.4826 * np.median(np.abs(np.diff(values))) / np.sqrt(2) + 1e-12)


class Observed:
    """The levels of a faulty run against its twin's."""

    def __init__(self, trace: Trace, twin: Trace) -> None:
        self.trace, self.twin = trace, twin
        self.steps = len(trace.loss)
        self.good = float(np.median(twin.evaluated[-4:]))
        self.chance = trace.chance
        self.gain = max(self.chance - self.good, 1e-9)
        self.start = float(trace.evaluated[0])
        self.final = float(np.median(trace.evaluated[-4:]))
        self.level = smooth(trace.loss, max(5, self.steps // 40))
        self.share = (self.chance - self.final) / self.gain
        middle = float(np.median(trace.evaluated[len(trace.evaluated) // 2 - 2 : len(trace.evaluated) // 2 + 2]))
        self.late_gain = (middle - self.final) / self.gain
        self.early_peak = float(np.max(trace.loss[: max(5, self.steps // 5)]))
        self.end_spread = float(np.std(trace.loss[self.steps // 2 :]))
        self.twin_spread = float(np.std(twin.loss[self.steps // 2 :]))

    def fall_done(self, part: float = 0.9) -> int:
        """The first step at which that part of the eventual fall was done."""
        top, bottom = float(self.level[0]), float(np.min(self.level))
        return int(np.argmax(self.level <= top - part * (top - bottom)))

    def gradient_vanished(self) -> bool:
        """The total norm, or the first layer's against the last's, is next to nothing while the loss is bad."""
        window = slice(self.steps // 4, self.steps)
        total = float(np.median(self.trace.grad_norm[window]))
        layers = np.median(self.trace.layers[window], axis=0)
        healthy = float(np.median(self.twin.grad_norm[: self.steps // 10]))
        return total < 1e-3 * healthy or bool(layers[0] < 1e-3 * layers[-1])


def outcome(seen: Observed, fault: Fault) -> Outcome:
    """What a person with hindsight and the twin's curve would call it."""
    trace = seen.trace
    if not np.isfinite(trace.loss).all():
        return non_finite(seen, fault)
    transient = spike(seen, fault)
    if transient is not None:
        return transient
    if seen.final > 1.5 * max(seen.chance, seen.start if fault.at == 0 else seen.chance):
        return Outcome(
            condition="diverging",
            also_ok=("exploding_gradient", "loss_spike", "oscillation", *LEVEL[:2]),
            onset=growth_start(seen, fault),
        )
    if fault.cause == "overfit_small_data":
        return overfitting(seen)
    if fault.cause == "data_not_shuffled" and seen.end_spread > 2 * seen.twin_spread:
        return Outcome(condition="oscillation", also_ok=("loss_spike", "diverging", *LEVEL), onset=fault.at)
    if seen.share < GOOD:
        return stuck(seen, fault)
    if seen.early_peak > 8 * max(seen.chance, float(np.max(seen.twin.loss[:5]))) and fault.at == 0:
        return Outcome(condition="exploding_gradient", also_ok=("healthy", "loss_spike", "diverging"))
    if seen.end_spread > 5 * seen.twin_spread and seen.end_spread > 0.2 * seen.gain:
        return Outcome(condition="oscillation", also_ok=("healthy", "loss_spike", "plateau"), onset=fault.at)
    return Outcome(condition=HEALTHY)


def non_finite(seen: Observed, fault: Fault) -> Outcome:
    """NaN or infinity in the loss; it may have grown before."""
    loss = seen.trace.loss
    first = int(np.argmax(~np.isfinite(loss)))
    begun = first
    if first > 3:
        typical = float(np.median(loss[max(0, fault.at - 40) : max(5, fault.at)]))
        grown = np.flatnonzero(loss[:first] > 2 * abs(typical))
        grown = grown[grown >= fault.at]
        begun = int(grown[0]) if len(grown) else first
    also = ("diverging", "exploding_gradient", "loss_spike") if begun < first else ("exploding_gradient",)
    return Outcome(condition="non_finite", also_ok=also, onset=max(fault.at, begun - 1))


def growth_start(seen: Observed, fault: Fault) -> int:
    """The last low point before the highest level."""
    if fault.at:
        return fault.at
    peak = int(np.argmax(seen.level))
    return int(np.argmin(seen.level[: peak + 1]))


def spike(seen: Observed, fault: Fault) -> Outcome | None:
    """A jump well outside the noise where a mid-run fault was injected; None where there is none."""
    if fault.at == 0:
        return None
    loss, at = seen.trace.loss, fault.at
    before = loss[max(0, at - 100) : at]
    after = loss[at : at + max(5, seen.steps // 20)]
    noise = max(float(np.std(before - smooth(before, 9))), spread(before))
    jump = float(np.max(after)) - float(np.median(before))
    if jump < 10 * noise or jump < 0.15 * abs(float(np.median(before))):
        return None
    if fault.cause == "data_not_shuffled":
        return Outcome(condition="oscillation", also_ok=("loss_spike", "diverging", "plateau"), onset=at)
    stays = float(np.median(loss[-seen.steps // 10 :])) > float(np.median(before)) + 0.5 * jump
    rises = fault.cause in ("learning_rate_too_high", "labels_uninformative")
    return Outcome(
        condition="diverging" if stays and rises and seen.share < -0.5 else "loss_spike",
        also_ok=(
            "exploding_gradient",
            *(("diverging", "loss_spike") if stays or rises else ()),
            *(("plateau", "oscillation", "vanishing_gradient", "not_learning") if seen.share < GOOD else ()),
        ),
        onset=at,
    )


def overfitting(seen: Observed) -> Outcome:
    """The validation loss turned up while the training loss fell on."""
    steps = np.array(sorted(seen.trace.validation))
    values = smooth(np.array([seen.trace.validation[s] for s in steps]), 3)
    turn = int(np.argmin(values))
    rise = float(np.mean(values[-3:])) - float(values[turn])
    if turn > len(values) - 4 or rise < max(0.05 * seen.gain, 3 * spread(values)):
        return Outcome(condition=HEALTHY, also_ok=("overfitting",))
    return Outcome(condition="overfitting", also_ok=("diverging",) if rise > seen.gain else (), onset=int(steps[turn]))


def stuck(seen: Observed, fault: Fault) -> Outcome:
    """The run ends short of its twin, without blowing up: which of the flat conditions it is."""
    vanished = ("vanishing_gradient",) if seen.gradient_vanished() else ()
    blown = seen.early_peak > 3 * max(seen.chance, seen.start)
    early = ("diverging", "loss_spike", "exploding_gradient") if blown else ()
    if fault.at:
        return Outcome(condition="plateau", also_ok=("slow_convergence", "not_learning", "oscillation"), onset=fault.at)
    swings = seen.end_spread > 4 * seen.twin_spread and seen.end_spread > 0.3 * abs(float(np.median(seen.level[-50:])))
    if swings:
        return Outcome(condition="oscillation", also_ok=(*LEVEL, "diverging", "exploding_gradient", "loss_spike"))
    if seen.late_gain > 0.06:
        also: tuple[str, ...] = ("plateau", *(("not_learning",) if seen.share < 0.35 else ()))
        if seen.start > 3 * seen.chance:
            also = (*also, "exploding_gradient", "healthy")
        if seen.share > 0.7:
            also = (*also, "healthy")
        return Outcome(condition="slow_convergence", also_ok=(*also, *vanished, *early))
    moved = (max(seen.start, float(seen.level[0])) - seen.final) / seen.gain
    if seen.share < NOTHING and moved < 0.25:
        structural = fault.cause in ("saturated_activations", "dead_activations", "poor_initialization")
        if vanished and structural:
            return Outcome(condition="vanishing_gradient", also_ok=LEVEL[:2])
        return Outcome(condition="not_learning", also_ok=("plateau", "slow_convergence", *vanished, *early))
    also = ("slow_convergence", *(("not_learning",) if seen.share < 0.35 else ()), *vanished, *early)
    if seen.share > 0.75:
        also = (*also, "healthy")
    return Outcome(condition="plateau", also_ok=also, onset=seen.fall_done())


def label_of(fault: Fault, trace: Trace, twin: Trace) -> Label:
    """The label of a faulty run, in optimiser steps."""
    found = own_scale(trace, fault) if fault.recipe.loss != "default" else outcome(Observed(trace, twin), fault)
    if found.condition == HEALTHY:
        return Label(condition=HEALTHY, also_ok=found.also_ok, why=f"{fault.cause} without a visible effect")
    return Label(
        condition=found.condition,
        also_ok=found.also_ok,
        onset_step=found.onset,
        cause=fault.cause,
        cause_also_ok=CONFUSED[fault.cause],
        why=f"{fault.id}: ends at {trace.evaluated[-1]:.4g}, the healthy twin at {twin.evaluated[-1]:.4g}",
    )


def own_scale(trace: Trace, fault: Fault) -> Outcome:
    """A run on another loss than its twin: judged by its own curve."""
    seen = Observed(trace, trace)
    if not np.isfinite(trace.loss).all():
        return non_finite(seen, fault)
    if seen.final > 1.3 * seen.start:
        return Outcome(condition="diverging", also_ok=("exploding_gradient", "not_learning", "plateau", "loss_spike"))
    fall = seen.start - float(np.min(trace.evaluated))
    if fall < 0.03 * abs(seen.start):
        return Outcome(condition="not_learning", also_ok=("plateau", "vanishing_gradient"))
    return Outcome(condition="plateau", also_ok=("not_learning", "slow_convergence"), onset=seen.fall_done())
