"""Why a condition may be there: causes ranked by grouped, capped log-odds, with what speaks for and against each.

An additive model over soft evidence (naive Bayes whose dependent rows share a cap), "none of these" among the
answers, so that the probabilities of the named causes sum to less than 1. What is not known is no evidence. What a
client states as a fact outweighs what curves suggest: facts have no cap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from losswatch_server.monitor.diagnosis.changes import changes
from losswatch_server.monitor.diagnosis.checks import separating_check
from losswatch_server.monitor.diagnosis.evidence import ROWS, Evidence
from losswatch_server.monitor.diagnosis.evidence.row import Grade, Seen
from losswatch_server.monitor.diagnosis.magnitudes import MAGNITUDES, Magnitudes
from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.diagnosis.priors import NONE, PRIORS
from losswatch_server.monitor.findings import Cause, Finding
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName

CAP = 3.5
"""Log-odds that the rows of one group add at most, to either side: one thing seen from three sides counts once."""
MOST = 5
LEAST_PROBABILITY = 0.02
PLAINLY = 0.5
"""Strength from which on a row is told of."""
_NOTABLE = 0.3
"""Log-odds from which on a row is worth a sentence."""
FOR, AGAINST = 3, 2
"""Sentences that are told for and against a cause."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A cause's log-odds and the rows behind it, strongest first: (contribution, row)."""

    cause: CauseName
    score: float
    contributions: tuple[tuple[float, Evidence], ...]


def rank(
    finding: Finding, measured: Measured, context: Context, magnitudes: Magnitudes = MAGNITUDES
) -> tuple[Cause, ...]:
    """The causes of a finding, best first; none for conditions that have no cause (``converged``, ``silent``)."""
    if finding.condition not in PRIORS:
        return ()
    seen = Seen(finding, measured, context)
    scored = score(seen, strengths(seen), magnitudes)
    temperature = magnitudes.temperature(finding.condition, context)
    top = max(scored[0].score, NONE)
    weights = [math.exp((s.score - top) / temperature) for s in scored]
    total = sum(weights) + math.exp((NONE - top) / temperature)
    kept = [
        (s, w / total) for s, w in zip(scored, weights, strict=True) if w / total >= LEAST_PROBABILITY or s is scored[0]
    ][:MOST]
    names = [s.cause for s, _ in kept]
    known = changes(measured, context)
    return tuple(
        Cause(
            cause=s.cause,
            probability=probability,
            because=_told(s.contributions, seen, FOR),
            against=_told([(-weight, row) for weight, row in reversed(s.contributions)], seen, AGAINST),
            check=separating_check(s.cause, next((n for n in names if n is not s.cause), None), known),
        )
        for s, probability in kept
    )


def _told(contributions: Iterable[tuple[float, Evidence]], seen: Seen, most: int) -> tuple[str, ...]:
    """The sentences that weigh enough, strongest first, each once."""
    told: dict[str, None] = {}
    for weight, row in contributions:
        if weight >= _NOTABLE and len(told) < most:
            told[row.says(seen)] = None
    return tuple(told)


def strengths(seen: Seen) -> dict[str, float]:
    """How plainly each row is there, by its name; rows that are not there, or not known, are left out."""
    found = {row.name: row.strength(seen) for row in ROWS}
    return {name: strength for name, strength in found.items() if strength > LEAST_STRENGTH}


LEAST_STRENGTH = 0.01


def score(seen: Seen, found: Mapping[str, float], magnitudes: Magnitudes = MAGNITUDES) -> list[Scored]:
    """Every cause with its log-odds, best first. A cause that the condition does not have is out of the question."""
    condition = seen.finding.condition
    possible = PRIORS[condition].keys()
    scored = [
        _score(cause, magnitudes.base_rate(condition, cause), found, magnitudes, cause in possible)
        for cause in CauseName
    ]
    return sorted(scored, key=lambda s: (-s.score, s.cause))


def _score(
    cause: CauseName, prior: float, found: Mapping[str, float], magnitudes: Magnitudes, possible: bool
) -> Scored:
    groups: dict[str, float] = {}
    contributions = []
    total = prior
    for row, sign, grade in ABOUT[cause]:
        strength = found.get(row.name)
        if strength is None:
            continue
        weight = sign * magnitudes.of(row.name, cause, grade) * strength
        if grade is Grade.FACT:
            total += weight if possible or weight < 0 else 0.0
        else:
            groups[row.group] = groups.get(row.group, 0.0) + weight
        if strength >= PLAINLY:
            contributions.append((weight, row))
    total += sum(min(max(inside, -CAP), CAP) for inside in groups.values())
    contributions.sort(key=lambda c: -c[0])
    return Scored(cause, total, tuple(contributions))


def about_each_cause() -> dict[CauseName, tuple[tuple[Evidence, int, Grade], ...]]:
    """The rows that tell something of each cause, with sign and grade."""
    return {cause: tuple((row, *row.grades[cause]) for row in ROWS if cause in row.grades) for cause in CauseName}


ABOUT = about_each_cause()
"""Put together once: ranking goes through it for every cause."""
