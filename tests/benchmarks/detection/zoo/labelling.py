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

REGRESSION_TASKS = ("friedman", "chirp", "teacher")
LEVEL = ("not_learning", "plateau", "slow_convergence")
STARTS_HUGE = ("poor_initialization", "inputs_not_scaled", "saturated_activations")
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
    without_swing: Outcome | None = None
    """What it is where the log does not show the swing."""


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


def swing(values: NDArray[np.float64]) -> float:
    """Standard deviation about the running median of 31."""
    with np.errstate(invalid="ignore"):
        return float(np.std(values - smooth(values, 31)))


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
        half = self.steps // 2
        self.end_spread = swing(trace.loss[half:])
        self.twin_spread = swing(twin.loss[half:])

    def fall_done(self, part: float = 0.9) -> int:
        """The first step at which that part of the eventual fall was done."""
        clean = self.trace.evaluated
        top, bottom = float(clean[0]), float(np.min(clean))
        return int(self.trace.evaluated_at[int(np.argmax(clean <= top - part * (top - bottom)))])

    def starts_huge(self) -> bool:
        """Loss and gradient norm are out of range from the first step."""
        return self.start > 5 * self.chance and self.trace.grad_norm[0] > 20 * self.twin.grad_norm[0]

    def swings(self) -> bool:
        """Far wider about its level than the twin about its own (batch noise grows with the level), and wide at all."""
        level, twin_level = (abs(float(np.median(t.loss[self.steps // 2 :]))) for t in (self.trace, self.twin))
        relative = self.end_spread / max(level, 1e-12)
        return relative > 0.2 and relative > 2.5 * self.twin_spread / max(twin_level, 1e-12)

    def unknowable(self) -> bool:
        """A regression that fell by more than half: nobody without its twin can say that it ends too high."""
        regression = self.trace.chance < 1.2 and self.trace.recipe.task in REGRESSION_TASKS
        return regression and self.final < 0.5 * self.start

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
    if fault.at == 0 and fault.cause in STARTS_HUGE and seen.starts_huge():
        healthy = (HEALTHY,) if seen.share > 0.7 else ()
        return Outcome(condition="exploding_gradient", also_ok=(*LEVEL, "loss_spike", "diverging", *healthy))
    if seen.share < GOOD:
        return stuck(seen, fault)
    if seen.early_peak > 8 * max(seen.chance, float(np.max(seen.twin.loss[:5]))) and fault.at == 0:
        return Outcome(condition="exploding_gradient", also_ok=("healthy", "loss_spike", "diverging"))
    if seen.swings() and seen.end_spread > 0.2 * seen.gain:
        return Outcome(condition="oscillation", also_ok=("healthy", "loss_spike", "plateau"), onset=fault.at)
    faint = fault.cause in ("data_not_shuffled", "batch_too_small", "learning_rate_too_high", "momentum_too_high")
    return Outcome(condition=HEALTHY, also_ok=("oscillation",) if faint else ())


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
    blown = float(np.max(seen.trace.loss)) > 3 * max(seen.chance, seen.start)
    early = ("diverging", "loss_spike", "exploding_gradient") if blown else ()
    if fault.at:
        return Outcome(condition="plateau", also_ok=("slow_convergence", "not_learning", "oscillation"), onset=fault.at)
    flat = level_of(seen, fault, vanished, early)
    if seen.swings():
        also = (*LEVEL, "diverging", "exploding_gradient", "loss_spike")
        return Outcome(condition="oscillation", also_ok=also, without_swing=flat)
    return flat


def level_of(seen: Observed, fault: Fault, vanished: tuple[str, ...], early: tuple[str, ...]) -> Outcome:
    """Which of not learning, slow, plateau."""
    low = ("not_learning",) if seen.share < 0.35 else ()
    if seen.late_gain > 0.06:
        beyond = ("exploding_gradient", "healthy") if seen.start > 3 * seen.chance else ()
        near = ("healthy",) if seen.share > 0.7 or seen.unknowable() else ()
        also = tuple(dict.fromkeys(("plateau", *low, *beyond, *near, *vanished, *early)))
        return Outcome(condition="slow_convergence", also_ok=also)
    moved = (seen.start - seen.final) / seen.gain
    if seen.share < NOTHING and moved < 0.4:
        structural = fault.cause in ("saturated_activations", "dead_activations", "poor_initialization")
        if vanished and structural:
            return Outcome(condition="vanishing_gradient", also_ok=LEVEL[:2])
        return Outcome(condition="not_learning", also_ok=("plateau", "slow_convergence", *vanished, *early))
    near = ("healthy",) if seen.share > 0.75 or seen.unknowable() else ()
    also = ("slow_convergence", *low, *vanished, *early, *near)
    # where it is fair to say that it never learned, it is fair to say so from the start
    return Outcome(condition="plateau", also_ok=also, onset=0 if low else seen.fall_done())


def label_of(fault: Fault, trace: Trace, twin: Trace, *, swing_seen: bool) -> Label:
    """The label of a faulty run, in optimiser steps."""
    found = own_scale(trace, fault) if fault.recipe.loss != "default" else outcome(Observed(trace, twin), fault)
    if found.condition == "oscillation" and not swing_seen:
        found = found.without_swing or Outcome(condition=HEALTHY, also_ok=("oscillation", *found.also_ok))
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
    late = float(trace.evaluated[len(trace.evaluated) // 2]) - seen.final
    if late > 0.15 * fall:
        return Outcome(condition="slow_convergence", also_ok=("not_learning", "plateau"))
    return Outcome(condition="plateau", also_ok=("not_learning", "slow_convergence"))
