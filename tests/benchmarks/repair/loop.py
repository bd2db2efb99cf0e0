"""Three rounds of: diagnose, do the first piece of advice that changes anything, train again, keep what is better.

The report is that of somebody who asks: who is not content with a run of which nothing is wrong beyond doubt is told
what may be wrong, and what to do about it. Such advice is counted as asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from benchmarks.detection.labels import HEALTHY
from benchmarks.detection.zoo import trained, validating
from benchmarks.detection.zoo.faults import Fault
from benchmarks.detection.zoo.labelling import GOOD, label_of
from benchmarks.detection.zoo.recipe import Recipe
from benchmarks.detection.zoo.training import Trace
from benchmarks.detection.zoo.views import View, context_seen, points_seen
from benchmarks.repair.applying import applied
from losswatch_server.monitor.findings import Advice
from losswatch_server.monitor.report import diagnose, worst_first

ROUNDS = 3
AS_WELL = GOOD
"""A repaired run is as good as its twin from this share of the twin's gain over chance, on held-out data."""
NOTABLE = 0.05
"""Of the twin's gain: a run is worse from so much less on."""
LEAST_GAIN = 0.1
"""A twin that gains less than this share of the chance level on held-out data is no measure of anything."""
VIEW = View(validation=True)
"""What the loop's runs log: every step's loss, gradient norm and learning rate, 30 validations, the whole context."""
BEYOND_RECIPES = ("dead_activations-later",)
"""Kinds whose fault is an event in the weights, which no change of a recipe undoes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One piece of advice, done."""

    advice: str
    finding: str
    share: float
    """What the run then reached, as a share of its twin's gain."""
    suspected: bool = False
    """The advice is about a suspicion: no rule was sure of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What became of one faulty run. ``before`` is the share it reached untreated."""

    id: str
    cause: str
    condition: str
    before: float
    rounds: tuple[Round, ...]

    @property
    def harmed(self) -> bool:
        """The first piece of advice left the run worse than it was, by more than two seeds differ."""
        return bool(self.rounds) and self.rounds[0].share < self.before - NOTABLE

    @property
    def repaired(self) -> bool:
        """Some round trained as well as the twin."""
        return any(r.share >= AS_WELL for r in self.rounds)


def proper_twin(fault: Fault) -> Recipe:
    """The twin; where data is short nobody can advise more of it into being, so it is the same run's best moment."""
    if fault.cause == "overfit_small_data":
        return replace(fault.recipe, stop_at_best=True)
    return fault.twin


def share_of(trace: Trace, twin: Trace) -> float:
    """The gain over chance on held-out data, as a share of the twin's."""
    share = (twin.chance - trace.result) / max(twin.chance - twin.result, 1e-9)
    return share if math.isfinite(share) else -math.inf


@dataclass(frozen=True, slots=True)
class Told:
    """One piece of advice, and the finding or suspicion that it is about."""

    condition: str
    advice: Advice
    suspected: bool


def advice_for(recipe: Recipe) -> list[Told]:
    """What the report of the recipe's run advises, worst finding first; without one, the likeliest suspicion first."""
    trace = trained(validating(recipe))
    report = diagnose(points_seen(trace, VIEW), context_seen(recipe, VIEW), asked=True)
    alarming = [f for f in worst_first(report.findings) if f.severity.rank > 0]
    said = [Told(f.condition, advice, False) for f in alarming for advice in f.advice]
    return said or [Told(s.condition, advice, True) for s in report.suspicions for advice in s.advice]


def repair(fault: Fault) -> Repair | None:
    """Try to repair a faulty run.

    None where the fault has no effect that anyone could see, is beyond any recipe, or has no twin to compare with.
    """
    if fault.id.startswith(BEYOND_RECIPES):
        return None
    recipe = fault.recipe
    trace, twin = trained(validating(recipe)), trained(validating(proper_twin(fault)))
    label = label_of(fault, trace, trained(validating(fault.twin)), swing_seen=True)
    before = best = share_of(trace, twin)
    measurable = twin.result < (1 - LEAST_GAIN) * twin.chance
    if label.healthy or HEALTHY in label.also_ok or before >= AS_WELL or not measurable:
        return None
    tried = {recipe}
    rounds: list[Round] = []
    while len(rounds) < ROUNDS and best < AS_WELL:
        advised = ((told, applied(recipe, told.advice.action, told.advice.value)) for told in advice_for(recipe))
        found = next((entry for entry in advised if entry[1] not in tried), None)
        if found is None:
            break
        told, candidate = found
        tried.add(candidate)
        share = share_of(trained(validating(candidate)), twin)
        said = f"{told.advice.action} {told.advice.value}"
        rounds.append(Round(advice=said, finding=told.condition, share=share, suspected=told.suspected))
        if share > best:
            recipe, best = candidate, share
    return Repair(id=fault.id, cause=fault.cause, condition=label.condition, before=before, rounds=tuple(rounds))
