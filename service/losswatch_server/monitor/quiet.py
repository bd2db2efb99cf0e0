"""What is said of a run in which nothing is wrong: how far the loss came, and what cannot be said yet.

Single points of a noisy loss tell nothing of how far it came, so levels are compared where the noise is as large as the
way from the first point to the last. A loss that has not fallen yet is not called one that went anywhere; the sentence
says from which step on that is judged.
"""

from __future__ import annotations

import math

from losswatch_server.monitor.known import begins_at_start
from losswatch_server.monitor.memory.memory import Memory
from losswatch_server.monitor.points import Context
from losswatch_server.monitor.rules.flat_parameters import FlatParameters
from losswatch_server.monitor.rules.minimum_runtime import EPOCHS, UNKNOWN_LENGTH_STEPS, warmup_end
from losswatch_server.monitor.sentences import counted, number
from losswatch_server.monitor.stats.trend import difference_scale, median

LEVELS_FROM = 8
"""Points below which the first and the last one are named as they are."""
PLAIN = 4.0
"""Standard deviations of single points that lie between the first and the last one where both are named."""
MOVED = 3.0
"""Standard errors of the difference of two levels, and the share of the first one, that a fall must exceed."""
MOVED_SHARE = 0.01
BACK = 3
"""Latest points that say whether a loss is back."""
PATIENCE = FlatParameters().patience
_BUT = "Nothing is wrong beyond doubt, but the loss"


def nothing_found(memory: Memory, context: Context) -> str:
    """How far the loss came, for a run with one that is minimised. Levels are medians of up to eight points."""
    track = memory.loss
    first, last = track.head[0], track.recent[-1]
    few = track.n < LEVELS_FROM
    count = 1 if few else min(8, track.n // 4)
    start, now = median(track.head[:count]), median(track.recent[-count:])
    noise = 0.0 if few else difference_scale(track.recent[-64:])
    least = max(MOVED * noise * math.sqrt(2 / count), MOVED_SHARE * abs(start))
    plain = few or (abs(first - last) > PLAIN * noise and (first > last) == (start > now))
    points = counted(track.n, "point")
    if now - start > least and not few and start - median(track.recent[-BACK:]) >= least:
        now = median(track.recent[-BACK:])  # a spike that is just over holds most of the latest points
    if now - start > least:
        return f"{_BUT} {_way(first, last) if plain else _way(start, now, about=True)} in {points}: it has risen"
    if begins_at_start(memory) and start - now < least and start - track.lowest < least + PLAIN * noise:
        level = number(now, 4) if number(start) == number(now) else f"{number(start)} at first, {number(now)} now"
        way = (
            "has not fallen" if abs(now - start) <= MOVED_SHARE * abs(start) else "has moved by no more than its noise"
        )
        return f"{_BUT} {way} in {points}: {level}{_judged_from(memory, context)}"
    if not few and abs(start - now) < least:
        return f"Healthy: the loss has stayed near {number(now)} in {points}"
    return f"Healthy: the loss {_way(first, last) if plain else _way(start, now, about=True)} in {points}"


def _way(first: float, last: float, *, about: bool = False) -> str:
    told, now = number(first), number(last)
    if told == now:
        return f"has stayed near {number(last, 4)}"
    return f"went from about {told} to about {now}" if about else f"went from {told} to {now}"


def _judged_from(memory: Memory, context: Context) -> str:
    """From which step on a loss that does not fall is judged; nothing once it is."""
    track = memory.loss
    total = context.total_steps
    if total and track.last_step + 1 <= 1.05 * total:
        begin, why = math.ceil(PATIENCE * total) - 1, "half of the plan"
    else:
        length = EPOCHS if context.step_unit == "epoch" else UNKNOWN_LENGTH_STEPS
        begin, why = track.head_steps[0] + length, ""
    begin = max(begin, math.ceil(2 * warmup_end(context)))
    if begin <= track.last_step:
        return ""
    return f" (judged from step {begin:,} on{f', {why}' if why else ''})"
