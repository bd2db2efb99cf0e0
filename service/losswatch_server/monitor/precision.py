"""How often each rule was right: the confidence of a finding whose rule has no finer measure of its own.

Counted on the develop half of the trained zoo (``make bench-detection``), where two of five runs are faulty: the alarms
of a rule, and those of them in which the run was at fault in that way. Few counts are drawn towards the precision of
the condition's rules together, and those towards a prior. With the family that is judged left out, the numbers are off
by about 0.03 on average (0.06 drawn with a weight of 4, 0.05 those that were typed by hand before).
"""

from __future__ import annotations

from collections.abc import Mapping

from losswatch_server.monitor.vocabulary import Condition

PRIOR = 0.85
WEIGHT = 30.0
"""Alarms that the precision drawn towards counts for."""

C = Condition
COUNTS: Mapping[Condition, Mapping[str, tuple[int, int]]] = {
    C.NOT_LEARNING: {
        "constant": (2, 2),
        "blown up": (18, 19),
        "ignores its gradients": (12, 18),
        "at chance": (122, 129),
        "not moved": (40, 49),
        "not moved, and the client says why": (1, 1),
    },
    C.PLATEAU: {
        "fell back": (13, 14),
        "stopped": (11, 13),
        "settles": (0, 0),
        "stopped, and the client says why": (24, 24),
    },
    C.SLOW_CONVERGENCE: {"too slow": (29, 41), "not done, and the client says why": (21, 21)},
    C.OSCILLATION: {"period": (6, 8), "alternation": (0, 0), "swings": (3, 10)},
    C.OVERFITTING: {"few": (4, 4), "unbroken": (5, 5), "from the first": (0, 0), "apart": (0, 0)},
    C.VANISHING_GRADIENT: {"zero": (4, 4), "dead layers": (0, 0), "early layers": (14, 18), "total": (0, 0)},
    C.EXPLODING_GRADIENT: {"start": (10, 11)},
}
"""Alarms that were right, and all, by rule; where the client says why a loss rests or is slow, with all facts sent."""


def precision(condition: Condition, rule: str) -> float:
    """The share of a rule's alarms that were right, two digits."""
    counts = COUNTS[condition]
    together = sum(right for right, _ in counts.values()), sum(alarms for _, alarms in counts.values())
    return round(_drawn(*counts[rule], towards=_drawn(*together, towards=PRIOR)), 2)


def _drawn(right: int, alarms: int, *, towards: float) -> float:
    return (right + WEIGHT * towards) / (alarms + WEIGHT)
