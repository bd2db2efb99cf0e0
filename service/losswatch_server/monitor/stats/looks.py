"""What repeated looks cost: the standard errors that a bound must keep, so that a run of a million points alarms no
more often than one of a hundred.

Alpha spending over doublings (Lan and DeMets 1983, with no planned end): 5 % a run, 1 / (j (j + 1)) of it in the j-th
doubling of 100 points, shared by the three looks of a doubling that are as good as independent.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

from losswatch_server.monitor.stats.tail import doublings

ALPHA = 0.05
FIRST_LOOKS = 100
LOOKS_A_DOUBLING = 3
DEGREES = 25
"""Degrees of freedom of a slope over 32 blocks with an autocorrelation that is estimated too."""


def standard_errors(n: int) -> float:
    """Of a one-sided bound at ``n`` points: 2.6 at 200, 3.4 at a thousand, 4.4 at a million."""
    return _quantile(round(doublings(n, FIRST_LOOKS), 2))


@lru_cache(maxsize=4096)
def _quantile(j: float) -> float:
    """Of Student's distribution, by the expansion of Cornish and Fisher about the normal one (Abramowitz and Stegun
    26.7.5): within 0.01 at 25 degrees of freedom. scipy has it exactly, and takes half a second to load."""
    z = NormalDist().inv_cdf(1 - ALPHA / (LOOKS_A_DOUBLING * j * (j + 1)))
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / DEGREES + second / DEGREES**2 + third / DEGREES**3
