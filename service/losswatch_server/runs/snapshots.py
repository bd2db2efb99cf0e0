"""When a monitor is frozen, and which frozen states are kept: few, and close together near the present."""

from __future__ import annotations

from collections.abc import Sequence

EVERY = 256
"""Items between snapshots, at most; so a restart folds at most this many again."""


def due(since: int, count: int) -> list[int]:
    """Before which of the next ``count`` points to freeze, as indices, ``since`` items after the last snapshot.

    Always before the last point, where fields may still be merged in; in a long request also at power-of-two
    distances before it, so that stepping back into it folds little.
    """
    if since + count < EVERY:
        return []
    places = [count - 1]
    distance = EVERY
    while distance < count - 1:
        places.append(count - 1 - distance)
        distance *= 2
    return places[::-1]


def superfluous(seqs: Sequence[int]) -> list[int]:
    """Which snapshots to drop: of those in the same power-of-two distance from the newest, all but the oldest."""
    if not seqs:
        return []
    newest = max(seqs)
    kept: dict[int, int] = {}
    for seq in sorted(seqs):
        kept.setdefault(((newest - seq) // EVERY).bit_length(), seq)
    return sorted(set(seqs) - set(kept.values()))
