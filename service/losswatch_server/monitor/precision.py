"""How often each rule was right: the confidence of a finding whose rule has no finer measure of its own.

Counted on the develop half of the trained zoo (``make bench-detection``), where two of five runs are faulty: the alarms
of a rule, and those of them in which the run was at fault in that way. Few counts are drawn towards the precision of
the condition's rules together, and those towards a prior. With the family that is judged left out, the numbers of
version 5 were off by about 0.03 on average (0.06 drawn with a weight of 4, 0.05 those that were typed by hand before).

Three rules are right of one kind of loss far more often than of another, and are counted apart (``OF_VALUES``,
``OF_CLASSES``): with the family that is judged left out, the mean squared error of all confidences falls from 0.125 to
0.119 by that. A cross entropy that has not moved, and of which nobody said how many classes there are, may have had
little to learn; a squared error's floor may be the noise of its targets.
"""

from __future__ import annotations

from collections.abc import Mapping

from losswatch_server.monitor.loss_kind import NO_KIND, LossKind
from losswatch_server.monitor.vocabulary import Condition

PRIOR = 0.85
WEIGHT = 30.0
"""Alarms that the precision drawn towards counts for."""

OF_VALUES, OF_CLASSES = ", of values", ", of classes"
"""What follows the name of a rule where its alarms on squared errors, or on cross entropies, are counted apart."""

C = Condition
COUNTS: Mapping[Condition, Mapping[str, tuple[int, int]]] = {
    C.NOT_LEARNING: {
        "constant": (18, 18),
        "exactly at chance": (0, 0),
        "blown up": (87, 101),
        "blown up" + OF_VALUES: (21, 47),
        "ignores its gradients": (17, 23),
        "at chance": (378, 415),
        "not moved": (57, 59),
        "not moved" + OF_CLASSES: (27, 50),
        "answers stay wrong": (3, 3),
        "not moved, and the client says why": (31, 38),
        "where it began, and the client says why": (15, 18),
        "validation is one number": (48, 50),
        "validation not moved": (33, 35),
    },
    C.PLATEAU: {
        "fell back": (122, 135),
        "stopped": (19, 21),
        "stopped" + OF_VALUES: (12, 24),
        "settles": (0, 1),
        "stopped, and the client says why": (135, 135),
        "no lower, and the client says why": (80, 81),
        "validation became one number": (35, 36),
    },
    C.SLOW_CONVERGENCE: {
        "clipped": (16, 16),
        "held back": (12, 12),
        "barely moves": (14, 14),
        "too slow": (56, 62),
        "not done, and the client says why": (94, 94),
    },
    C.OSCILLATION: {"period": (26, 38), "alternation": (0, 0), "swings": (9, 27)},
    C.OVERFITTING: {
        "few": (4, 4),
        "unbroken": (6, 7),
        "from the first": (3, 3),
        "by far": (20, 20),
        "apart": (0, 0),
        "fell": (0, 0),
    },
    C.VANISHING_GRADIENT: {"zero": (10, 16), "dead layers": (42, 55), "early layers": (14, 23), "total": (0, 1)},
    C.EXPLODING_GRADIENT: {"start": (50, 57)},
}
"""Alarms that were right, and all, by rule; where the client says why a loss rests or is slow, with all facts sent."""


def precision(condition: Condition, rule: str, kind: LossKind = NO_KIND) -> float:
    """The share of a rule's alarms on a kind of loss that were right, two digits."""
    counts = COUNTS[condition]
    together = sum(right for right, _ in counts.values()), sum(alarms for _, alarms in counts.values())
    apart = rule + (OF_VALUES if kind.squares else OF_CLASSES if kind.classifies else "")
    return round(_drawn(*counts[apart if apart in counts else rule], towards=_drawn(*together, towards=PRIOR)), 2)


def _drawn(right: int, alarms: int, *, towards: float) -> float:
    return (right + WEIGHT * towards) / (alarms + WEIGHT)
