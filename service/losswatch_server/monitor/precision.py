"""How often each rule was right: the confidence of a finding whose rule has no finer measure of its own.

Counted on the develop half of the trained zoo (``make bench-detection``), where two of five runs are faulty: the alarms
of a rule, and those of them in which the run was at fault in that way. Few counts are drawn towards the precision of
the condition's rules together, and those towards a prior. With the family that is judged left out, the numbers of
version 5 were off by about 0.03 on average (0.06 drawn with a weight of 4, 0.05 those that were typed by hand before).
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
        "constant": (18, 18),
        "exactly at chance": (0, 0),
        "blown up": (106, 146),
        "ignores its gradients": (22, 28),
        "at chance": (403, 440),
        "not moved": (109, 135),
        "answers stay wrong": (0, 0),
        "not moved, and the client says why": (12, 12),
        "validation is one number": (56, 58),
        "validation not moved": (28, 30),
    },
    C.PLATEAU: {
        "fell back": (79, 84),
        "stopped": (30, 43),
        "settles": (0, 1),
        "stopped, and the client says why": (29, 29),
        "validation became one number": (23, 24),
    },
    C.SLOW_CONVERGENCE: {
        "clipped": (10, 10),
        "held back": (12, 12),
        "too slow": (63, 69),
        "not done, and the client says why": (18, 18),
    },
    C.OSCILLATION: {"period": (26, 38), "alternation": (0, 0), "swings": (12, 45)},
    C.OVERFITTING: {"few": (6, 10), "unbroken": (7, 8), "from the first": (3, 3), "by far": (18, 18), "apart": (0, 1)},
    C.VANISHING_GRADIENT: {"zero": (10, 16), "dead layers": (42, 55), "early layers": (14, 23), "total": (0, 1)},
    C.EXPLODING_GRADIENT: {"start": (43, 49)},
}
"""Alarms that were right, and all, by rule; where the client says why a loss rests or is slow, with all facts sent."""


def precision(condition: Condition, rule: str) -> float:
    """The share of a rule's alarms that were right, two digits."""
    counts = COUNTS[condition]
    together = sum(right for right, _ in counts.values()), sum(alarms for _, alarms in counts.values())
    return round(_drawn(*counts[rule], towards=_drawn(*together, towards=PRIOR)), 2)


def _drawn(right: int, alarms: int, *, towards: float) -> float:
    return (right + WEIGHT * towards) / (alarms + WEIGHT)
