"""What to do: cause and context turned into actions with values, and sentences that a beginner understands."""

from __future__ import annotations

from dataclasses import replace

from losswatch_server.monitor.advice.actions import ACTIONS, REFERENCES
from losswatch_server.monitor.advice.remedies import REMEDIES
from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition

MOST = 4
LEAST_PROBABILITY = 0.05
"""Causes below this are named but not acted upon; the first always is. Where four causes of a flat loss look alike,
the injected one often has 0.05 to 0.1, and its remedy is then worth a place behind the others."""

__all__ = ["ACTIONS", "REFERENCES", "REMEDIES", "advise"]


def advise(finding: Finding, causes: tuple[Cause, ...], measured: Measured, context: Context) -> tuple[Advice, ...]:
    """What to do about a finding, most promising first, at most four pieces, each action once.

    The chief remedy of each cause worth acting upon comes in the order of the causes; what else belongs to the first
    cause follows.
    """
    if finding.condition is Condition.CONVERGED:
        return (_nothing(),)
    likely = [c for i, c in enumerate(causes) if i == 0 or c.probability >= LEAST_PROBABILITY]
    chief: list[Advice] = []
    further: list[Advice] = []
    for cause in likely:
        found = [replace(a, cause=cause.cause) for a in REMEDIES[cause.cause](finding, measured, context)]
        chief += found[:1]
        further += found[1:]
    told: dict[str, Advice] = {}
    for advice in chief + further:
        told.setdefault(advice.action, replace(advice, reference=REFERENCES.get(advice.action)))
    return tuple(told.values())[:MOST]


def _nothing() -> Advice:
    return Advice(
        action="none",
        summary="Nothing has to be done; to get a lower floor, try a tenth of the learning rate or a larger model.",
    )
