"""Grace: how long a run may say nothing before it counts as silent. Pure.

The points say nothing of this: a run that crashed sends none. So the answer follows the times of its requests.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

SHORTEST_S = 60.0
UNANNOUNCED_S = 300.0
"""A run that has not said how often it reports may pause for so long: its first evaluation is no alarm. With 60 s, each
run of a simulated day that evaluates for 4 minutes was taken for silent once, and that was all that the day's messages
said of healthy runs."""
GIVEN_UP_S = 86_400.0
REPLACED_S = 3_600.0
"""So long a silent run is waited for: a day, or an hour where its group has gone on with new runs since."""
REQUESTS_NEEDED = 5
MEDIANS = 5.0
LONGEST = 2.0
"""A run may pause five times its usual gap or twice the longest of its last ones, whichever is longer: a loop that
validates every few hundred steps is not silent while it does so for the second time. A pause that came twice counts
however long ago: measured with an evaluation of 4 minutes every 40 or 500 requests, 2 alarms in 90 evaluations instead
of 80."""


def grace_s(requests: int, gaps: Sequence[float], expected_gap_s: float | None, habit: float = 0.0) -> float | None:
    """Seconds that may pass after the last request; None: any number.

    ``requests`` counts separate live ones, ``gaps`` are the last pauses between them (s), ``habit`` is the longest that
    came twice. Without a given gap there is no rhythm before five requests, and so none for an import.
    """
    if expected_gap_s is not None:
        return max(SHORTEST_S, 2.0 * expected_gap_s)
    if requests < REQUESTS_NEEDED or not gaps:
        return None
    return max(UNANNOUNCED_S, MEDIANS * statistics.median(gaps), LONGEST * max(gaps), LONGEST * habit)


def silent_at(
    last_seen_at: float, grace: float | None, paused_until: float | None, listening_since: float
) -> float | None:
    """When the run counts as silent if nothing comes (unix seconds); None: never.

    A declared pause and the time before ``listening_since``, when this service could hear nobody, do not count.
    """
    if grace is None:
        return None
    return max(last_seen_at, paused_until or 0.0, listening_since) + grace


def is_given_up(silent_since: float, replaced: bool, now: float) -> bool:
    """Whether nobody waits for a silent run any more; ``replaced``: its group has gone on with new runs since."""
    return now - silent_since >= (REPLACED_S if replaced else GIVEN_UP_S)
