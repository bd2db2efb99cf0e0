"""What few points say of a loss that rises: exact small-sample tests, and rises that no noise makes.

- *Jump* (points 2 to 40): by a factor of 1000 between neighbours, to a record, and the next point has not come back.
  One that came back is a spike (``loss_spike``).
- *Multiplying* (points 3 to 40): rises by large factors in a row, to a record; or with a fall between them that stays
  far above all before, to 1000 times that.
- *Monotone* (6 to 64 points by the epoch or of every tenth step, 12 to 64 of every step): Kendall's exact test
  upwards over the second half (at least 6 points) at p < 0.0015, by more than half of the lowest value, ending above
  everything before.
- *Risen* (6 to 64 means of many steps): half of the points, the latest ones, and at least four, are all above twice
  everything before them.
- *Both rise* (the same): training and validation loss have risen from the first point on, each in order beyond chance,
  and both by more than a few per cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.stats.trend import kendall_test


@dataclass(frozen=True, slots=True, kw_only=True)
class FewParameters:
    """The parameters of these rules."""

    few_points: int = 40
    """Up to which a jump is told by its factor alone: later the run's own noise says more (loss_spike)."""
    jump: float = 1000.0
    jump_stays: float = 100.0
    """Times the loss before a jump, which the point after it keeps."""
    unspoken_points: int = 4
    """Up to which a jump is said at once: loss_spike speaks from the next one on."""
    two_rises: float = 5.0
    two_rises_total: float = 50.0
    """Single steps of small batches scatter by factors: two rises by 5 in a row, to 50 times all before, do not."""
    total_rise: float = 0.5
    significance: float = 0.0015
    risen: float = 2.0
    risen_points: int = 4
    rise_of_both: float = 0.05
    significance_of_both: float = 1e-4
    """Of each: 8 points in order are 1 in 40,000."""


def jump_place(p: FewParameters, track: Track) -> int:
    """The place in ``recent`` before the jump in question: that to the last point while it is early, else to the one
    before it."""
    return len(track.recent) - (2 if track.n <= p.unspoken_points else 3)


def jumped(p: FewParameters, track: Track, at: int) -> Iterator[Test]:
    """Whether the loss jumped after place ``at`` of ``recent``, and stayed."""
    before, after = track.recent[at], track.recent[at + 1]
    factor = after / before if before > 0 else 0.0
    yield Test("loss over the one before", factor, p.jump, True, "times", track.recent_steps[at])
    yield Test("loss over the first one", after, 2 * track.head[0])
    yield Test("loss over every earlier one", after, max(track.recent[: at + 1]))
    now = track.recent[-1] / before if before > 0 else 0.0
    yield Test("loss now over the one before the jump", now, p.jump_stays, True, "times")


def rises_place(p: FewParameters, track: Track) -> int:
    """The place in ``recent`` before two large rises: two before the last, or further back where the loss stayed far
    above all before meanwhile, fell back between, and is ``jump`` times that now. Of at most ``few_points`` points."""
    recent = track.recent
    last, between = recent[-1], recent[-2]
    for place in range(len(recent) - 4, 0, -1):
        between = min(between, recent[place + 1])
        before = max(recent[: place + 1])
        if 0 < p.two_rises * before <= between <= last / p.two_rises and last >= p.jump * before:
            return place
    return len(recent) - 3


def multiplies(p: FewParameters, track: Track, at: int) -> Iterator[Test]:
    """Two rises by large factors in a row after place ``at`` of ``recent``."""
    a, b, c = track.recent[at], min(track.recent[at + 1 : -1]), track.recent[-1]
    smaller = min(b / a, c / b) if a > 0 and b > 0 else 0.0
    yield Test("smaller of the last two rises", smaller, p.two_rises, True, "times", track.recent_steps[at])
    before = max(track.recent[: at + 1])
    yield Test("loss over the highest before them", c / before if before > 0 else 0.0, p.two_rises_total, True, "times")


def monotone(p: FewParameters, track: Track) -> Iterator[Test]:
    """An orderly rise over the second half."""
    count = max(6, track.n // 2)
    values = track.recent[-count:]
    from_step = track.recent_steps[-count]
    s, chance = kendall_test(values)
    yield Test(
        "chance that losses without a trend rise as orderly (Kendall's test)",
        chance if s > 0 else 1.0 - chance,
        p.significance,
        False,
        "probability",
        from_step,
    )
    yield Test("loss over every earlier one", values[-1], track.highest)
    yield Test("loss over the first ones", values[-1], max(track.head[:3]))
    lowest = min(values)
    yield Test("rise from the lowest loss", values[-1] - lowest, p.total_rise * abs(lowest), True, "", from_step)


def rise_place(p: FewParameters, track: Track) -> tuple[int, float]:
    """How many of the latest losses, half of all or more, are furthest above all before them, and by what factor."""
    values = track.recent
    least = max(p.risen_points, len(values) // 2)
    places = [
        (min(values[-count:]) / highest, count)
        for count in range(least, len(values) - 1)
        if (highest := max(values[:-count])) > 0
    ]
    factor, count = max(places, default=(0.0, least))
    return count, factor


def risen(p: FewParameters, track: Track) -> Iterator[Test]:
    """Half of the run, the latest one, lies above all that came before."""
    count, factor = rise_place(p, track)
    yield Test(
        "lowest of the latest losses over the highest before them",
        factor,
        p.risen,
        True,
        "times",
        track.recent_steps[-count],
    )


def both_rise(p: FewParameters, view: View) -> Iterator[Test]:
    """Training and validation loss rise alike from the first point on: no overfitting, and no noise."""
    for name, track in (("loss", view.memory.loss), ("validation loss", view.memory.validation)):
        values = track.recent
        s, chance = kendall_test(values) if track.complete() and 3 <= track.n <= 64 else (0, 1.0)
        yield Test(
            f"chance that a {name} without a trend rises as orderly (Kendall's test)",
            chance if s > 0 else 1.0,
            p.significance_of_both,
            False,
            "probability",
        )
        rise = values[-1] - min(values) if values else 0.0
        yield Test(f"rise of the {name}", rise, p.rise_of_both * abs(values[0]) if values else 1.0)
        yield Test(f"{name} over every earlier one", values[-1] if values else 0.0, track.highest)
