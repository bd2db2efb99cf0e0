"""What the client itself says is wrong: faults that stand in its facts and settings, whatever the curve does.

A softmax that is applied twice slows a training down and leaves it a curve like any other: the curve does not say that
the level is bad, and the client states why it must be. So a rule for flat losses asks less of the curve where a fault
is stated, and whoever asks of a run that is well by its curve is told of it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from losswatch_server.monitor.diagnosis.evidence import ROWS, Evidence
from losswatch_server.monitor.diagnosis.evidence.row import Grade, Seen
from losswatch_server.monitor.diagnosis.measures import Measured, rate_decades
from losswatch_server.monitor.diagnosis.optimizers import is_adaptive
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.diagnosis.suspicions import Suspicion, as_finding
from losswatch_server.monitor.memory.memory import Rates
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName, Condition

STATED = 0.6
"""Of the trainings of ``make bench-programs`` in which such a fact stands and no rule fires, all have the fault; but a
model may be meant to be as it is: frozen, linear, fed with what is large."""
_PLAINLY = 0.5
_CONDITIONS = (Condition.PLATEAU, Condition.NOT_LEARNING, Condition.NON_FINITE)
"""What a fault shows itself as: the first of these that it can be the cause of."""
_FAULTS = tuple(row for row in ROWS if row.group == "facts" and Grade.FACT in row.for_.values())
_SETTINGS = tuple(row for row in ROWS if row.name in ("rate_low", "rate_very_high", "decay_strong", "momentum_high"))
"""Settings so far out of the ordinary that few trainings that are well have them. Of 928 healthy trainings of the zoo's
develop half 16 have a rate that low and 10 one that high, most of them for a loss of hundred thousands or of a
millionth; none decays or averages that strongly. Of 45 trainings with a rate that was lowered on purpose 30, of 78 with
one that was raised 29, of 29 with a stronger decay 25, of 13 with a higher momentum all."""
ORDINARY_LOSS = 0.01, 100.0
"""First losses for which the usual rates of SGD are usual: the stable rate goes with the inverse of the scale."""
_UNMOVED = "weights_do_not_move"
_STAGNANT = PRIORS[Condition.PLATEAU].keys()


def stated_causes(context: Context, rates: Rates, first_loss: float, *, at_rest: bool) -> frozenset[CauseName]:
    """The causes of a loss that gets no lower which the client's facts and settings are enough to name.

    ``at_rest``: the gradient is gone, so that weights which do not move are no fault of the optimiser.
    """
    adaptive = is_adaptive(context.optimizer)
    # whose rate it is must be known: 2e-5 is usual for fine-tuning with Adam, and far too low for plain SGD
    judged = context.optimizer is not None and (adaptive or ORDINARY_LOSS[0] < abs(first_loss) < ORDINARY_LOSS[1])
    measured = Measured(
        learning_rate=rates.current if rates.current is not None else context.learning_rate,
        rate_decades=rate_decades(rates, context) if judged else None,
        adaptive=adaptive,
    )
    seen = Seen(as_finding(_NO_SUSPICION, measured, 0), measured, context)
    rows = (*_FAULTS, *_SETTINGS) if context.facts is not None else _SETTINGS
    told = (row for row in rows if row.strength(seen) >= _PLAINLY and not (at_rest and row.name == _UNMOVED))
    return frozenset(_causes_of(told))


def _causes_of(rows: Iterable[Evidence]) -> Iterator[CauseName]:
    for row in rows:
        strongest = max(row.for_.values(), key=lambda grade: grade.log_odds)
        yield from (cause for cause, grade in row.for_.items() if grade is strongest and cause in _STAGNANT)


_NO_SUSPICION = Suspicion(condition=Condition.PLATEAU, probability=STATED, summary="")


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
