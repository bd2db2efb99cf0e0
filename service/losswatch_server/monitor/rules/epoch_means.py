"""A loss that is a mean over the epoch so far, as progress bars show it: it begins anew with every epoch.

Its first values are single batches, and scatter as such; the later ones hardly move. By the scatter of an epoch's end
each beginning looks like a spike: of 30 healthy runs of the develop half with a spike 11 were such means, and none of
293 faulty ones.
"""

from __future__ import annotations

from losswatch_server.monitor.rules.base import View
from losswatch_server.monitor.stats.trend import difference_scale

FIRST = 8
"""Points at an epoch's start that show how single batches scatter."""
AVERAGED = 0.25
"""Of that scatter, by the second half of the epoch: the mean of n values moves by 1 / n of it."""
WITHIN = 5
"""Steps after an epoch's start within which a jump is that of the mean."""
USUAL = 20.0
"""Scatters above the highest of an epoch's first values that the next one's may reach."""


def begins_anew(view: View, onset: int, peak: float) -> bool:
    """Whether the loss is such a mean, and jumped at ``onset`` to ``peak`` because an epoch began."""
    length = view.context.steps_per_epoch
    if not length or view.context.step_unit == "epoch" or onset % length > WITHIN:
        return False
    track = view.memory.loss
    begin = onset // length * length
    steps = zip(track.recent_steps, track.recent, strict=True)
    before = [loss for step, loss in steps if begin - length <= step < begin - 1]
    if len(before) < 4 * FIRST:
        return False
    first, last = before[:FIRST], before[len(before) // 2 :]
    scatter = difference_scale(first)
    return difference_scale(last) < AVERAGED * scatter and peak <= max(first) + USUAL * scatter
