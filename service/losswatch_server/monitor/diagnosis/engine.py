"""Why a condition may be there: causes ranked by grouped, capped log-odds, with what speaks for and against each.

An additive model over soft evidence (naive Bayes whose dependent signs share a cap), "none of these" among the
answers, so that the probabilities of the named causes sum to less than 1. What the data cannot reveal stays near its
prior: a cause is never ranked first with confidence for want of evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from losswatch_server.monitor.diagnosis.checks import separating_check
from losswatch_server.monitor.diagnosis.evidence import from_context, from_gradient, from_loss
from losswatch_server.monitor.diagnosis.evidence.signs import Sign
from losswatch_server.monitor.diagnosis.facts import Facts
from losswatch_server.monitor.diagnosis.priors import NONE, PRIORS, RARE
from losswatch_server.monitor.diagnosis.weights import CAP, GROUPS
from losswatch_server.monitor.findings import Cause, Finding
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName

MOST = 5
LEAST_PROBABILITY = 0.02
PLAIN = 0.5
"""Strength from which on a sign is told of."""
_NOTABLE = 0.3
"""Log-odds from which on a sign is worth a sentence."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A cause's log-odds and the signs behind it, strongest first: (contribution, sentence)."""

    cause: CauseName
    score: float
    contributions: tuple[tuple[float, str], ...]


def rank(finding: Finding, facts: Facts, context: Context) -> tuple[Cause, ...]:
    """The causes of a finding, best first; none for conditions that have no cause (``converged``, ``silent``)."""
    if finding.condition not in PRIORS:
        return ()
    scored = score(finding, facts, context)
    top = max(scored[0].score, NONE)
    weights = [math.exp(s.score - top) for s in scored]
    total = sum(weights) + math.exp(NONE - top)
    kept = [
        (s, w / total) for s, w in zip(scored, weights, strict=True) if w / total >= LEAST_PROBABILITY or s is scored[0]
    ][:MOST]
    names = [s.cause for s, _ in kept]
    return tuple(
        Cause(
            cause=s.cause,
            probability=probability,
            because=_told(s.contributions, 3),
            against=_told([(-weight, text) for weight, text in reversed(s.contributions)], 2),
            check=separating_check(s.cause, next((n for n in names if n is not s.cause), None)),
        )
        for s, probability in kept
    )


def _told(contributions: Iterable[tuple[float, str]], most: int) -> tuple[str, ...]:
    """The sentences that weigh enough, strongest first, each once."""
    return tuple(dict.fromkeys(text for weight, text in contributions if weight >= _NOTABLE))[:most]


def score(finding: Finding, facts: Facts, context: Context) -> list[Scored]:
    """Every cause with its log-odds, best first."""
    found = {sign.name: sign for sign in collect(finding, facts, context)}
    prior = PRIORS[finding.condition]
    scored = [_score(cause, prior.get(cause, RARE), found) for cause in CauseName]
    return sorted(scored, key=lambda s: (-s.score, s.cause))


def collect(finding: Finding, facts: Facts, context: Context) -> Iterable[Sign]:
    """Every sign of a finding."""
    yield from from_loss.signs(facts, finding)
    yield from from_gradient.signs(facts, finding)
    yield from from_context.signs(facts, context)


def _score(cause: CauseName, prior: float, found: dict[str, Sign]) -> Scored:
    total, contributions = prior, []
    for group in GROUPS.values():
        inside = 0.0
        for name, weights in group.items():
            weight, sign = weights.get(cause), found.get(name)
            if weight and sign:
                inside += weight * sign.strength
                if sign.strength >= PLAIN:
                    contributions.append((weight * sign.strength, sign.sentence))
        total += min(max(inside, -CAP), CAP)
    contributions.sort(key=lambda c: -c[0])
    return Scored(cause, total, tuple(contributions))
