"""Labels by hindsight: what a fault visibly did compared with the twin, the same program without the fault.

A fault that did no harm is unaffected and left out, as is one whose harm is a matter of taste: both are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from benchmarks.detection.labels import HEALTHY, Label
from benchmarks.detection.programs.oddities import Healthy
from benchmarks.detection.programs.program import Program
from benchmarks.detection.zoo.faults import Fault
from benchmarks.detection.zoo.labelling import (
    GOOD,
    LEVEL,
    STARTS_HUGE,
    Observed,
    Outcome,
    growth_start,
    non_finite,
    overfitting,
    own_scale,
    smooth,
    spike,
    spread,
    stuck,
)
from benchmarks.detection.zoo.training import Trace

UNAFFECTED, DEBATABLE, NO_TWIN = "unaffected", "debatable", "twin does not learn"
MOVED = 0.05
"""A run whose loss changed by less than this share of the twin's gain has not moved."""
STRUCTURAL = ("saturated_activations", "dead_activations", "poor_initialization")
LEAST_GAIN = 0.02
"""A twin that gains less than this share of the spread of its own losses is no measure of anything."""


def shifted(trace: Trace, by: float) -> Trace:
    """The trace with its losses moved, so that rules of thumb in shares of a level hold for losses around 0 too."""
    validation: Mapping[int, float] = {step: value + by for step, value in trace.validation.items()}
    return replace(
        trace,
        loss=trace.loss + by,
        evaluated=trace.evaluated + by,
        validation=dict(validation),
        chance=trace.chance + by,
        result=trace.result + by,
    )


def on_its_feet(trace: Trace, twin: Trace) -> tuple[Trace, Trace]:
    """Both shifted up where the twin's loss becomes negative; a loss that stays positive stays as it is."""
    lowest = float(np.median(twin.evaluated[-4:]))
    if lowest > 0 and twin.chance > 0:
        return trace, twin
    by = 0.3 * max(twin.chance - lowest, 1e-9) - lowest
    return shifted(trace, by), shifted(twin, by)


class Seen(Observed):
    """The levels of a faulty run against its twin's; of some families nobody knows the floor."""

    def __init__(self, trace: Trace, twin: Trace, program: type[Program]) -> None:
        super().__init__(trace, twin)
        self.floor_unknown = program.floor_unknown
        self.gain = max(twin.chance - self.good, 1e-9)
        self.chance = twin.chance
        self.share = (self.chance - self.final) / self.gain
        early = float(np.median(trace.evaluated[len(trace.evaluated) // 2 - 2 : len(trace.evaluated) // 2 + 2]))
        self.late_gain = (early - self.final) / self.gain

    def unknowable(self) -> bool:
        return self.floor_unknown and self.final < 0.5 * min(self.start, self.chance)

    def gradient_vanished(self) -> bool:
        return self.trace.has_gradients and super().gradient_vanished()


def outcome(fault: Fault, trace: Trace, twin: Trace, program: type[Program]) -> Outcome | str:
    """What is visibly wrong, or why nothing is said."""
    recipe = fault.recipe
    if recipe.broken_samples and recipe.broken_by == "nan validation":
        spoilt = [step for step, value in sorted(trace.validation.items()) if not np.isfinite(value)]
        return Outcome(condition="non_finite", onset=spoilt[0]) if spoilt else UNAFFECTED
    if recipe.loss not in ("default", "ascent"):
        return own_scale(trace, fault)
    trace, twin = on_its_feet(trace, twin)
    seen = Seen(trace, twin, program)
    if not twin.chance - seen.good > LEAST_GAIN * abs(twin.chance) or not np.isfinite(twin.loss).all():
        return NO_TWIN
    if not np.isfinite(trace.loss).all():
        return non_finite(seen, fault)
    transient = spike(seen, fault)
    if transient is not None:
        return transient
    return steady(fault, seen)


def steady(fault: Fault, seen: Seen) -> Outcome | str:
    """The outcome of a fault that leaves the loss finite and no spike."""
    top = max(seen.chance, seen.start if fault.at == 0 else seen.chance)
    if seen.final > top + 0.5 * (top - seen.good):
        also = ("exploding_gradient", "loss_spike", "oscillation", *LEVEL[:2])
        return Outcome(condition="diverging", also_ok=also, onset=growth_start(seen, fault))
    if fault.cause == "overfit_small_data":
        return overfitted(seen)
    if fault.cause == "data_not_shuffled" and seen.end_spread > 2 * seen.twin_spread and seen.swings():
        return Outcome(condition="oscillation", also_ok=("loss_spike", "diverging", *LEVEL), onset=fault.at)
    huge = fault.at == 0 and fault.cause in STARTS_HUGE and seen.trace.has_gradients and seen.starts_huge()
    if huge and seen.share <= 0.7:
        return Outcome(condition="exploding_gradient", also_ok=(*LEVEL, "loss_spike", "diverging"))
    if seen.share < GOOD and fault.at == 0 and abs(seen.start - seen.final) < MOVED * seen.gain:
        return unmoved(seen, fault)
    if seen.share < GOOD:
        return DEBATABLE if huge else stuck(seen, fault)
    if seen.swings() and seen.end_spread > 0.3 * seen.gain:
        return Outcome(condition="oscillation", also_ok=("loss_spike", "plateau", *LEVEL[:1]), onset=fault.at)
    early = seen.early_peak > 8 * max(seen.chance, float(np.max(seen.twin.loss[:5])))
    return DEBATABLE if early or huge or 0.85 < seen.share < 0.92 else UNAFFECTED


def unmoved(seen: Seen, fault: Fault) -> Outcome:
    """The run ends where it began, wherever that was."""
    vanished = ("vanishing_gradient",) if seen.gradient_vanished() else ()
    if vanished and fault.cause in STRUCTURAL:
        return Outcome(condition="vanishing_gradient", also_ok=LEVEL[:2])
    return Outcome(condition="not_learning", also_ok=("plateau", "slow_convergence", *vanished))


def overfitted(seen: Seen) -> Outcome | str:
    """The validation loss turned up while the training loss fell; from the first evaluation on, it may be."""
    values = np.array([seen.trace.validation[s] for s in sorted(seen.trace.validation)])
    if len(values) < 4:
        return UNAFFECTED
    found = overfitting(seen)
    if found.condition == HEALTHY:
        turn = int(np.argmin(values))
        rises = turn <= 1 and float(np.mean(values[-3:])) > values[turn] + max(0.1 * seen.gain, 4 * spread(values))
        if rises and float(np.mean(values[-3:])) > float(np.mean(values[turn + 1 : turn + 4])):
            return Outcome(condition="overfitting", onset=sorted(seen.trace.validation)[turn])
        return UNAFFECTED if float(np.mean(values[-3:])) < values.min() + 0.02 * seen.gain else DEBATABLE
    return found


def label_of(fault: Fault, trace: Trace, twin: Trace, program: type[Program], *, swing_seen: bool) -> Label | str:
    """The label of a faulty run in optimiser steps, or why it is left out."""
    found = outcome(fault, trace, twin, program)
    if isinstance(found, str):
        return found
    if found.condition == "oscillation" and not swing_seen:
        if found.without_swing is None:
            return DEBATABLE
        found = found.without_swing
    if found.condition == HEALTHY:
        return UNAFFECTED
    return Label(
        condition=found.condition,
        also_ok=tuple(c for c in dict.fromkeys(found.also_ok) if c != found.condition),
        onset_step=found.onset,
        cause=fault.cause,
        why=f"ends at {trace.evaluated[-1]:.4g}, the healthy twin at {twin.evaluated[-1]:.4g}, "
        f"the best constant at {twin.chance:.4g}",
    )


def doubt(run: Healthy, trace: Trace, base: Trace) -> str | None:
    """Why a run meant to be healthy is left out: it is not finite, learned too little, or overfits."""
    if not np.isfinite(trace.loss).all():
        return "not finite"
    trace, base = on_its_feet(trace, base)
    good, final = (float(np.median(of.evaluated[-4:])) for of in (base, trace))
    gain = base.chance - good
    if not gain > LEAST_GAIN * abs(base.chance):
        return NO_TWIN
    if base.chance - final < run.oddity.least * gain:
        return "learns too little"
    values = np.array([trace.validation[s] for s in sorted(trace.validation)])
    if len(values) < 4:
        return None
    smoothed = smooth(values, 3)
    turn = int(np.argmin(smoothed))
    rise = float(np.mean(values[-3:])) - float(smoothed[turn])
    return "overfits" if rise > max(0.04 * gain, 2.5 * spread(values)) and turn < len(values) - 3 else None
