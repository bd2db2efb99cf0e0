"""The conditions, one row each, in the order in which their rules are asked.

What every other part of the service knows of a condition stands here: its rules, its sentence, what keeps it from
opening, and how messages call it. A new one is a name in ``vocabulary``, a row here, its rules in ``rules``, its
sentence in ``sentences``, the schema of its evidence, its page in the catalogue and its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from losswatch_server.monitor import sentences
from losswatch_server.monitor.findings import Finding
from losswatch_server.monitor.rules.base import Detector
from losswatch_server.monitor.rules.diverging import Diverging
from losswatch_server.monitor.rules.exploding_gradient import ExplodingGradient
from losswatch_server.monitor.rules.flat import Converged, NotLearning, Plateau, SlowConvergence
from losswatch_server.monitor.rules.loss_spike import LossSpike
from losswatch_server.monitor.rules.non_finite import NonFiniteGradient, NonFiniteLoss, NonFiniteValidation
from losswatch_server.monitor.rules.oscillation import Oscillation
from losswatch_server.monitor.rules.overfitting import Overfitting
from losswatch_server.monitor.rules.overfitting_metric import OverfittingMetric
from losswatch_server.monitor.rules.vanishing_gradient import VanishingGradient
from losswatch_server.monitor.vocabulary import Condition

C = Condition
Sentence = Callable[[Finding, Mapping[str, Any]], str]

INSTABILITY = "instability"
STAGNATION = "stagnation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a condition is to the rest of the service."""

    rules: tuple[Detector, ...]
    """None where no point says it and the clock decides."""
    sentence: Sentence
    headline: Sentence | None = None
    """Where the headline says more than the sentence."""
    absorbed_by: frozenset[Condition] = field(default=frozenset())
    """Which open conditions (warning or above) keep this one from opening."""
    phrase: str
    """In the title of a message, while it is open."""
    ending: str | None = None
    """How a run ended that died of it, where it can."""
    incident_class: str | None = None
    """Conditions that are stages of one class (a divergence explodes, then overflows) share a group of notifications,
    so that one failing sweep is one message and not one per stage. None: a class of its own."""


_FLAT = frozenset({C.NOT_LEARNING, C.PLATEAU, C.SLOW_CONVERGENCE, C.OSCILLATION, C.VANISHING_GRADIENT})
_BROKEN = frozenset({C.NON_FINITE, C.DIVERGING, C.LOSS_SPIKE, C.EXPLODING_GRADIENT})

CONDITIONS: Mapping[Condition, Traits] = {
    C.NON_FINITE: Traits(
        rules=(NonFiniteLoss(), NonFiniteGradient(), NonFiniteValidation()),
        sentence=sentences.non_finite,
        phrase="loss is not finite",
        ending="loss became NaN or infinite",
        incident_class=INSTABILITY,
    ),
    C.DIVERGING: Traits(
        rules=(Diverging(),),
        sentence=sentences.diverging,
        headline=sentences.diverging_headline,
        absorbed_by=frozenset({C.NON_FINITE}),
        phrase="diverging",
        ending="diverged",
        incident_class=INSTABILITY,
    ),
    C.LOSS_SPIKE: Traits(  # a loss that diverges is not also spiking
        rules=(LossSpike(),),
        sentence=sentences.loss_spike,
        absorbed_by=frozenset({C.NON_FINITE, C.DIVERGING, C.OSCILLATION}),
        phrase="loss spike",
        ending="loss spike",
        incident_class=INSTABILITY,
    ),
    C.EXPLODING_GRADIENT: Traits(
        rules=(ExplodingGradient(),),
        sentence=sentences.exploding_gradient,
        absorbed_by=frozenset({C.NON_FINITE, C.DIVERGING, C.LOSS_SPIKE}),
        phrase="exploding gradient",
        ending="gradient exploded",
        incident_class=INSTABILITY,
    ),
    C.VANISHING_GRADIENT: Traits(  # it may join a flat loss: it says why
        rules=(VanishingGradient(),),
        sentence=sentences.vanishing_gradient,
        absorbed_by=_BROKEN,
        phrase="vanishing gradient",
        incident_class=STAGNATION,
    ),
    C.NOT_LEARNING: Traits(  # a loss that is flat for one reason is not flat for a second one
        rules=(NotLearning(),),
        sentence=sentences.not_learning,
        absorbed_by=_BROKEN | _FLAT,
        phrase="not learning",
        incident_class=STAGNATION,
    ),
    C.PLATEAU: Traits(
        rules=(Plateau(),),
        sentence=sentences.plateau,
        absorbed_by=_BROKEN | _FLAT | {C.OVERFITTING},
        phrase="plateau",
        incident_class=STAGNATION,
    ),
    C.SLOW_CONVERGENCE: Traits(
        rules=(SlowConvergence(),),
        sentence=sentences.slow_convergence,
        absorbed_by=_BROKEN | _FLAT | {C.OVERFITTING},
        phrase="converging slowly",
        incident_class=STAGNATION,
    ),
    C.OSCILLATION: Traits(
        rules=(Oscillation(),),
        sentence=sentences.oscillation,
        absorbed_by=_BROKEN | _FLAT,
        phrase="oscillating",
        ending="oscillated",
        incident_class=INSTABILITY,
    ),
    C.OVERFITTING: Traits(
        rules=(Overfitting(), OverfittingMetric()),
        sentence=sentences.overfitting,
        absorbed_by=_BROKEN | _FLAT,
        phrase="overfitting",
    ),
    C.CONVERGED: Traits(
        rules=(Converged(),),
        sentence=sentences.converged,
        absorbed_by=_BROKEN | _FLAT | {C.OVERFITTING},
        phrase="converged",
    ),
    C.SILENT: Traits(rules=(), sentence=sentences.silent, phrase="stopped reporting"),
}

DETECTORS: tuple[Detector, ...] = tuple(rule for traits in CONDITIONS.values() for rule in traits.rules)
"""Every rule, in the order in which they are asked."""


def summary(finding: Finding) -> str:
    """One sentence that a person can check against the evidence."""
    return CONDITIONS[finding.condition].sentence(finding, finding.evidence)


def headline(finding: Finding) -> str:
    """The report's one thing to say, for the worst open finding."""
    traits = CONDITIONS[finding.condition]
    return (traits.headline or traits.sentence)(finding, finding.evidence)


def incident_class(kind: str) -> str:
    """What ``kind`` is grouped by in notifications: its class, or itself where it has none or is no condition."""
    return next((traits.incident_class or kind for name, traits in CONDITIONS.items() if name == kind), kind)
