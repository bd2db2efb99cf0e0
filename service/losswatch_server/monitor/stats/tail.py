"""The tail of a run's own residuals, and what it lets expect in the doublings of the run to come."""

from __future__ import annotations

import math
from collections.abc import Sequence

PRIOR_COUNT, PRIOR_INDEX = 8, 3.0
"""Hill's estimate is shrunk to an index of 3 with the weight of 8 values: without it, it explodes on few of them."""
LEAST_INDEX, LARGEST_INDEX = 1.2, 12.0
EXCEEDANCES = 20.0
"""One over the exceedances expected over the whole run: 5 %, spent over its doublings as 1 / (j (j + 1))."""
FIRST_DOUBLING = 64


def doublings(n: int, first: int = FIRST_DOUBLING) -> float:
    """How often ``n`` doubles ``first``, at least 1."""
    return max(1.0, math.log2(n / first))


def tail_limit(largest: Sequence[float], n: int, *, least: float, kept: int) -> float:
    """The height that about 1 in 20 j (j + 1) doublings of noise with this tail exceeds.

    ``largest`` are the ``kept`` largest residuals of ``n`` points in standard deviations, ascending, or all above
    ``least`` where there were fewer. Hill 1975 for the index, Weissman 1978 for the quantile.
    """
    threshold = max(least, largest[0]) if len(largest) >= kept else least
    logs = [math.log(z / threshold) for z in largest if z > threshold]
    count = len(logs)
    index = (count + PRIOR_COUNT) / (sum(logs) + PRIOR_COUNT / PRIOR_INDEX)
    index = min(max(index, LEAST_INDEX), LARGEST_INDEX)
    j = doublings(n)
    height: float = threshold * ((count + 1) * EXCEEDANCES * j * (j + 1)) ** (1 / index)
    return height
