"""What the client's facts alone say is wrong, for whoever asks, whatever the curve does.

A softmax that is applied twice slows a training down and leaves it a curve like any other: no rule finds it, and the
client states it.
"""

from __future__ import annotations

from dataclasses import replace

from losswatch_server.monitor.diagnosis.evidence import ROWS
from losswatch_server.monitor.diagnosis.evidence.row import Grade, Seen
from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.diagnosis.suspicions import Suspicion, as_finding
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import Condition

STATED = 0.6
"""Of the trainings of ``make bench-programs`` in which such a fact stands and no rule fires, all have the fault; but a
model may be meant to be as it is: frozen, linear, fed with what is large."""
_PLAINLY = 0.5
_CONDITIONS = (Condition.PLATEAU, Condition.NOT_LEARNING, Condition.NON_FINITE)
"""What a fault shows itself as: the first of these that it can be the cause of."""
_FAULTS = tuple(row for row in ROWS if row.group == "facts" and Grade.FACT in row.for_.values())


def stated(measured: Measured, context: Context, step: int) -> Suspicion | None:
    """The first fault that is a fact, as a suspicion; None without one."""
    if context.facts is None:
        return None
    for row in _FAULTS:
        causes = {cause for cause, grade in row.for_.items() if grade is Grade.FACT}
        condition = next((c for c in _CONDITIONS if causes & PRIORS[c].keys()), None)
        if condition is None:
            continue
        suspicion = Suspicion(condition=condition, probability=STATED, summary="")
        seen = Seen(as_finding(suspicion, measured, step), measured, context)
        if row.strength(seen) >= _PLAINLY:
            sentence = row.says(seen)
            return replace(suspicion, summary=f"{sentence[0].upper()}{sentence[1:]}.")
    return None
