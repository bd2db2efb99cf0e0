"""What the client itself says is wrong: faults that stand in its facts, whatever the curve does.

A softmax that is applied twice slows a training down and leaves it a curve like any other: the curve does not say that
the level is bad, and the client states why it must be. So a rule for flat losses asks less of the curve where a fault
is stated, and whoever asks of a run that is well by its curve is told of it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from losswatch_server.monitor.diagnosis.evidence import ROWS, Evidence
from losswatch_server.monitor.diagnosis.evidence.row import Grade, Seen
from losswatch_server.monitor.diagnosis.measures import Measured
from losswatch_server.monitor.diagnosis.optimizers import is_adaptive
from losswatch_server.monitor.diagnosis.priors import PRIORS
from losswatch_server.monitor.diagnosis.suspicions import Suspicion, as_finding
from losswatch_server.monitor.known import Need
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.vocabulary import CauseName, Condition

STATED = 0.9
"""All of the develop half's 20 logs in which such a fact stands and no finding is open have the fault, and so have all
trainings of ``make bench-programs``; but a model may be meant to be as it is: frozen, linear, fed with what is
large."""
COUPLED = 0.025
"""Weight decay of plain descent: usual are 5e-4 and 1e-4, and 0.01 is strong."""
DECOUPLED = 1.5
"""That of Adam and its kin: 0.01 to 0.1 for language models, 0.3 for vision transformers, 1 in studies of grokking."""
_PLAINLY = 0.5
_CONDITIONS = (Condition.PLATEAU, Condition.NOT_LEARNING, Condition.NON_FINITE)
"""What a fault shows itself as: the first of these that it can be the cause of."""
_FAULTS = tuple(
    row
    for row in ROWS
    if (row.group == "facts" and Grade.FACT in row.for_.values()) or row.name == "dead_units_yet_weights_move"
)
_UNMOVED = "weights_do_not_move"
_STAGNANT = PRIORS[Condition.PLATEAU].keys()


def stated_causes(context: Context, *, at_rest: bool) -> frozenset[CauseName]:
    """The causes of a loss that gets no lower which the client's facts are enough to name.

    A setting out of the ordinary is not: of 928 healthy trainings of the zoo's develop half 26 have a learning rate a
    tenth of what is usual or a hundred times that, and a weight decay of 0.3 is usual for some models. Alarms on the
    strength of settings found 0.7 % more of the faults, and 0.3 % more of the healthy trainings. A decay beyond every
    published recipe is: one that shrinks the weights faster than any gradient of an ordinary size builds them up.

    ``at_rest``: the gradient is gone, so that weights which do not move are no fault of the optimiser.
    """
    decays = frozenset({CauseName.WEIGHT_DECAY_TOO_STRONG}) if _decays_away(context) else frozenset()
    if context.facts is None:
        return decays
    measured = Measured(had=frozenset({Need.FACT}))
    seen = Seen(as_finding(_NO_SUSPICION, measured, 0), measured, context)
    told = (row for row in _FAULTS if row.strength(seen) >= _PLAINLY and not (at_rest and row.name == _UNMOVED))
    return decays.union(_causes_of(told))


def _decays_away(context: Context) -> bool:
    decay, adaptive = context.weight_decay or 0.0, is_adaptive(context.optimizer)
    return adaptive is not None and decay >= (DECOUPLED if adaptive else COUPLED)


def _causes_of(rows: Iterable[Evidence]) -> Iterator[CauseName]:
    for row in rows:
        yield from _strongest(row) & _STAGNANT


def _strongest(row: Evidence) -> frozenset[CauseName]:
    """What a row tells most of."""
    most = max(row.for_.values(), key=lambda grade: grade.log_odds)
    return frozenset(cause for cause, grade in row.for_.items() if grade is most)


_NO_SUSPICION = Suspicion(condition=Condition.PLATEAU, probability=STATED, summary="")


def stated(measured: Measured, context: Context, step: int) -> Suspicion | None:
    """The first fault that is a fact, as a suspicion; None without one."""
    if context.facts is None:
        return None
    for row in _FAULTS:
        causes = _strongest(row)
        condition = next((c for c in _CONDITIONS if causes & PRIORS[c].keys()), None)
        if condition is None:
            continue
        suspicion = Suspicion(condition=condition, probability=STATED, summary="")
        seen = Seen(as_finding(suspicion, measured, step), measured, context)
        if row.strength(seen) >= _PLAINLY:
            sentence = row.says(seen)
            return replace(suspicion, summary=f"{sentence[0].upper()}{sentence[1:]}.")
    return None
