"""What to do: cause and context turned into actions with values, and sentences that a beginner understands."""

from __future__ import annotations

from dataclasses import replace

from losswatch_server.monitor.advice.actions import ACTIONS, REFERENCES
from losswatch_server.monitor.advice.remedies import REMEDIES
from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.findings import Advice, Cause, Finding
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition

MOST = 5
LEAST_PROBABILITY = 0.05
OF_THE_FIRST = 0.1
"""Causes below this, or below that share of the first cause's probability where it is less, are named but not acted
upon; the first always is. Where four causes of a flat loss look alike, the injected one often has 0.03 to 0.1, and its
remedy is then worth a place behind the others. It is the share among the causes that there is a remedy for: where a
rate is what is usual already, no higher one is advised, and what a low rate would have explained is left to the
others."""
AS_LIKELY = 0.95
"""Share of another cause's probability from which on two causes are as likely: what can do no harm is tried first."""
HARMLESS = frozenset({"scale_inputs", "check_data", "check_labels", "check_output", "update_parameters"})
"""Actions after which a run that was well trains as before, or is only looked at. A lower rate is not among them: a run
whose rate was right learns less in its budget."""

__all__ = ["ACTIONS", "REFERENCES", "REMEDIES", "advise"]


def advise(finding: Finding, causes: tuple[Cause, ...], measured: Measured, context: Context) -> tuple[Advice, ...]:
    """What to do about a finding, most promising first, at most five pieces, each action once.

    The chief remedy of each cause worth acting upon comes in the order of the causes, of two that are as likely the
    harmless one first; what else belongs to the first cause follows.
    """
    if finding.condition is Condition.CONVERGED:
        return (_nothing(),)
    remedies = [(c, _remedies(c, finding, measured, context)) for c in causes]
    remedied = 1 - sum(c.probability for c, found in remedies if not found)
    least = min(LEAST_PROBABILITY, OF_THE_FIRST * causes[0].probability) * remedied if causes else 0.0
    likely = [entry for i, entry in enumerate(remedies) if i == 0 or entry[0].probability >= least]
    chief: list[tuple[float, Advice]] = []
    further: list[Advice] = []
    for cause, found in likely:
        # a look is no remedy yet: what it is to spare follows
        count = 2 if found and found[0].action in HARMLESS else 1
        chief += [(cause.probability, advice) for advice in found[:count]]
        further += found[count:]
    told: dict[str, Advice] = {}
    for advice in _harmless_first(chief) + further:
        told.setdefault(advice.action, replace(advice, reference=REFERENCES.get(advice.action)))
    return tuple(told.values())[:MOST]


def _remedies(cause: Cause, finding: Finding, measured: Measured, context: Context) -> list[Advice]:
    return [
        advice if advice.cause else replace(advice, cause=cause.cause)
        for advice in REMEDIES[cause.cause](finding, measured, context)
    ]


def _harmless_first(chief: list[tuple[float, Advice]]) -> list[Advice]:
    """The same order, where what is harmless passes what is not if its cause is as likely."""
    ordered: list[tuple[float, Advice]] = []
    for likely, advice in chief:
        place = len(ordered)
        while advice.action in HARMLESS and place and _is_passed(ordered[place - 1], likely):
            place -= 1
        ordered.insert(place, (likely, advice))
    return [advice for _, advice in ordered]


def _is_passed(other: tuple[float, Advice], likely: float) -> bool:
    return other[1].action not in HARMLESS and likely >= AS_LIKELY * other[0]


def _nothing() -> Advice:
    return Advice(
        action="none",
        summary="Nothing has to be done; to get a lower floor, try a tenth of the learning rate or a larger model.",
    )
