"""What happened at the step where a finding began: whether the loss left its level in a single point, and stayed.

A learning rate beyond the limit raises the loss point by point; one bad batch, or data that changed, does it at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from losswatch_server.monitor.memory.track import COUNT, FIRST_STEP, LAST_STEP, M2, MAX, MEAN, Track
from losswatch_server.monitor.stats.trend import difference_scale, median

CALM = 8.0
"""Standard deviations above its level at which the loss has left it: 1 of 324 null runs of 300 points reaches 8."""
WIDEST = 32.0
"""Points around the begin that are looked at one by one; a rule sees a begin that far off at worst, and each costs
8 us."""
BEFORE, AFTER, LEAST = 16, 16, 8
"""Points that give the level and the noise before, the level after, and the least of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpMeasures:
    """The loss around a finding's begin."""

    before: float
    """Level of the loss before."""
    step: int | None = None
    """The first step outside the noise of the level before; None where the loss did not leave it near the begin."""
    value: float = math.nan
    among: int = 1
    """Points of which that first value is the highest: in what lies long back, they are no longer told apart."""
    height: float = 0.0
    """That first value above the level before, in standard deviations."""
    stays: float = 0.0
    """The level shortly after, as a share of the jump: 1 stays, 0 came back, above 1 went on rising."""


def jump_measures(track: Track, since_step: int) -> JumpMeasures | None:
    """The loss around a step; None where fewer than 8 points came before it."""
    if track.n < LEAST + 1 or since_step < track.head_steps[LEAST - 1 if len(track.head_steps) >= LEAST else -1]:
        return None
    reach = max(8.0 * _stride(track), 0.05 * (track.last_step - track.head_steps[0]))
    near = min(reach, WIDEST * _stride(track))
    if track.complete() or track.recent_steps[0] <= since_step - near - LEAST * _stride(track):
        return _among_values(track.recent_steps, track.recent, since_step, near)
    if since_step + near <= track.head_steps[-1]:
        return _among_values(track.head_steps, track.head, since_step, near)
    return _among_buckets(track, since_step, reach)


def _stride(track: Track) -> float:
    return (track.last_step - track.head_steps[0]) / max(1, track.n - 1)


def _among_values(steps: list[int], values: list[float], since_step: int, reach: float) -> JumpMeasures:
    found = JumpMeasures(before=values[0])
    for i, step in enumerate(steps):
        if i < LEAST or step < since_step - reach:
            continue
        if step > since_step + reach:
            break
        known = values[max(0, i - BEFORE) : i]
        before, noise = median(known), difference_scale(known)
        height = (values[i] - before) / noise if noise > 0 else 0.0
        found = JumpMeasures(before=before)
        calm = known[-1] - before <= CALM * noise
        if calm and height > CALM and values[i] > before + 0.1 * abs(before):
            after = median(values[i + 1 : i + 1 + AFTER]) if i + 1 < len(values) else values[i]
            stays = (after - before) / (values[i] - before)
            return JumpMeasures(before=before, step=step, value=values[i], height=height, stays=stays)
    return found


def _among_buckets(track: Track, since_step: int, reach: float) -> JumpMeasures | None:
    rows = track.bucket_table()
    found = None
    for i in range(1, len(rows) - 1):
        if rows[i][LAST_STEP] < since_step - reach:
            continue
        if rows[i][FIRST_STEP] > since_step + reach:
            break
        before = float(rows[i - 1][MEAN])
        noise = math.sqrt(max(0.0, float(rows[i - 1][M2] / rows[i - 1][COUNT])))
        found = JumpMeasures(before=before)
        top = float(rows[i][MAX])
        height = (top - before) / noise if noise > 0 else 0.0
        if height > CALM and top > before + 0.1 * abs(before):
            stays = (float(rows[i + 1][MEAN]) - before) / (top - before)
            first, last = int(rows[i][FIRST_STEP]), int(rows[i][LAST_STEP])
            step = since_step if first <= since_step <= last else first
            among = int(rows[i][COUNT])
            return JumpMeasures(before=before, step=step, value=top, among=among, height=height, stays=stays)
    return found
