"""Where in a stretch of losses a divergence may begin: what most points are passed over by.

Both look for less than the rule asks for, so that no divergence is passed over; whatever they find is judged by it.
"""

from __future__ import annotations

from losswatch_server.monitor.known import begins_at_start
from losswatch_server.monitor.memory.coming import Coming
from losswatch_server.monitor.memory.track import BLOCK, LADDER_BLOCKS
from losswatch_server.monitor.rules.base import View
from losswatch_server.monitor.stats.trend import median


def first_convex(losses: Coming, first: int, past: int) -> int:
    """The first value of a stretch that ends four rises, each larger than the one before."""
    values = losses.array[losses.known + first - 4 : losses.known + past]
    rises = values[1:] - values[:-1]
    steeper = rises[1:] > rises[:-1]
    convex = (rises[:-3] > 0) & steeper[:-2] & steeper[1:-1] & steeper[2:]
    found = int(convex.argmax())
    return first + found if convex[found] else past


def first_climb(view: View, losses: Coming, past: int, *, rise: float, lost: float) -> int:
    """The first value of a stretch that may complete a climb of the ladder: it is where the last two levels rose, by
    the share ``rise`` of the lowest or above the start, and the share ``lost`` of all progress was lost."""
    track = view.memory.loss
    blocks, begun = track.n // BLOCK, losses.begun // BLOCK
    start = median(track.head[:4])
    begins = begins_at_start(view.memory)
    found = past
    for level, (means, logs) in enumerate(losses.levels):
        known = blocks >> level
        skip = known - (begun >> level)
        fresh = means[skip:]
        if not fresh:
            break
        raw = track.ladder[level] + fresh if level < len(track.ladder) else fresh
        lowest, highest = min(raw), max(fresh)
        if highest < 1.5 * start and lowest > 0 and highest - lowest < rise * lowest:
            continue  # nor is any rise of it large enough
        judged = raw
        if track.lowest > 0:
            judged = track.ladder_log[level] + logs[skip:] if level < len(track.ladder) else logs[skip:]
        kept = len(raw) - len(fresh)
        for at in range(max(kept, 2), len(raw)):
            if not judged[at] > judged[at - 1] > judged[at - 2]:
                continue
            index = (known + at - kept + 1 << level) * BLOCK - losses.begun - 1
            if index >= found:
                break
            lowest = min(raw[max(0, at - LADDER_BLOCKS + 1) : at])
            height = raw[at] - lowest
            progress = max(start - lowest, 0.0) if begins else 0.0
            if height >= lost * progress and (height >= rise * abs(lowest) or raw[at] >= 1.5 * start):
                found = index
                break
    return found
