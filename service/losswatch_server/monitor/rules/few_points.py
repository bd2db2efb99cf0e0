"""What few points say of a loss that rises: exact small-sample tests that share one error rate.

The null model: logarithms of losses that are independent and normal, of any level and spread; one that falls besides
alarms less. ``ERROR_RATE`` of such logs may be said to diverge within their first 64 points, all rules and all looks
together. Each rule has its share, spent over doublings as in ``stats.looks`` (1 / (j (j + 1)) of it in the j-th, for
three looks that are as good as independent), and a chance that is exact is held against what a look may take:

- *Doubling* (4 to 16 means of many steps): the latest rises, three or more, lead to five times all before, and
  their logarithms are a line: Student's exact test.
- *Monotone* (7 to 64 points by the epoch or of every tenth step, 12 to 64 of every step): Kendall's exact test upwards
  over the second half (at least 8 points, as far as there are), by more than half of the lowest value, ending above
  everything before.
- *Risen* (6 to 64 means of many steps): half of the points, the latest ones, and at least four, are all above twice
  everything before them, and lie apart by Student's exact test, at the best of all places.
- *Growth* (``diverging``; from 5 points on): its four convex rises have a chance of at most 1 / (24 n) at the n-th
  point by their order alone; from the 9th on, what the losses scattered by before must be exceeded too.
- *Jump* (2 to 40): by a factor of 1000 between neighbours, to a record, and the next point has not come back. One that
  came back is a spike (``loss_spike``). *Multiplying* (3 to 40): rises by large factors in a row, to a record; or
  with a fall between them that stays far above all before, to 1000 times that. These have no spread to go by: their
  share holds for noise of up to a factor of e from point to point.
- *Both rise* (6 to 64): training and validation loss have risen from the first point on, each in order beyond chance,
  and both by more than a few per cent: 1e-8 at a look, where their noise is independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from losswatch_server.monitor.memory.track import Track
from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.rules.minimum_runtime import warmup_end
from losswatch_server.monitor.stats.looks import LOOKS_A_DOUBLING
from losswatch_server.monitor.stats.student import line_test, next_test, step_test
from losswatch_server.monitor.stats.trend import difference_scale, kendall_test

ERROR_RATE = 0.02
"""Of logs of noise, whatever its spread, that a rule of few points may call a divergence at any time."""
FEW = 64
"""Points within which these rules are asked."""
DOUBLING_FROM, MONOTONE_FROM, RISEN_FROM = 4, 7, 6
"""Points of means of many steps."""


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
    above_scatter: float = 2.0
    """Standard deviations of the logarithms before a growth, which it rises by."""
    doubling_share: float = 0.003
    """Of the error rate, as the next two."""
    doubling_total: float = 5.0
    doubling_points: int = 16
    monotone_share: float = 0.008
    risen_share: float = 0.003
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


def at_a_look(share: float, n: int, first: int) -> float:
    """What of a rule's share a look at ``n`` points may take, where ``first`` is the least count it looks at."""
    j = 1 + math.floor(math.log2(max(n, first) / first))
    return share / (j * (j + 1) * LOOKS_A_DOUBLING)


def rises_by_chance(values: list[float]) -> float:
    """Chance that independent values of any spread, those after a minimum, rise in such an order (Kendall's exact test)
    or, where they are normal or the exponentials of such, as straight (Student's): twice the smaller of the two. Where
    the minimum was says nothing of the order after it, so that no place has to be paid for."""
    if len(values) < 3:
        return 1.0
    s, chance = kendall_test(values)
    straight = line_test([math.log(v) for v in values] if min(values) > 0 else values)
    return min(1.0, 2 * min(chance if s > 0 else 1.0, straight))


def follows_by_chance(before: list[float], loss: float) -> float:
    """Chance that the next of independent losses, normal in their logarithms and of any spread, at least four, lies as
    far above their line, or that of the latter half of them: twice the smaller of the two (Student's exact test)."""
    if min(before) <= 0 or loss <= 0:
        values, new = before, loss
    else:
        values, new = [math.log(v) for v in before], math.log(loss)
    later = values[-max(4, len(values) // 2) :]
    return min(1.0, 2 * min(next_test(values, new), next_test(later, new)))


def at_each(share: float, n: int, first: int) -> float:
    """What of a rule's share a look may take where every point has one of its own, as good as independent."""
    j = math.floor(math.log2(max(n, first) / first))
    return share / ((j + 1) * (j + 2) * (first << j))


def doubling_count(track: Track) -> int:
    """How many of the latest losses rise, each above the one before."""
    values, count = track.recent, 1
    while count < len(values) and 0 < values[-count - 1] < values[-count]:
        count += 1
    return count


def doubles(p: FewParameters, view: View) -> Iterator[Test]:
    """Doubling again and again: too straight a line of logarithms for noise, however wide."""
    track = view.memory.loss
    count = doubling_count(track)
    values = track.recent[-count:]
    from_step = track.recent_steps[-count]
    yield Test("losses in a row that rise", float(count), DOUBLING_FROM, True, "points", from_step)
    yield Test("points past the warm-up", view.point.step - 2 * warmup_end(view.context), 0.0)
    before = max(track.recent[: 1 - count] + track.head[:1]) if count > 1 else math.inf
    yield Test(
        "loss over everything before", values[-1] / before if before > 0 else 0.0, p.doubling_total, True, "times"
    )
    chance = line_test([math.log(v) for v in values]) if count >= DOUBLING_FROM and min(values) > 0 else 1.0
    yield Test(
        "chance that noise of any spread rises as straight (Student's test)",
        chance,
        at_a_look(p.doubling_share, track.n, DOUBLING_FROM),
        False,
        "probability",
        from_step,
    )


def over_scatter(p: FewParameters, track: Track) -> Iterator[Test]:
    """A growth is more than the losses before it scattered by, as far as there are enough of them to tell."""
    before = track.recent[:-4]
    if track.n <= FEW and len(before) >= 5 and min(before) > 0 and track.recent[-1] > 0:
        scale = difference_scale([math.log(v) for v in before])
        rise = math.log(track.recent[-1] / max(before))
        yield Test("rise of the logarithm over the highest before", rise, p.above_scatter * scale)


def monotone(p: FewParameters, track: Track) -> Iterator[Test]:
    """An orderly rise over the second half."""
    count = max(min(MONOTONE_FROM + 1, track.n), track.n // 2)
    values = track.recent[-count:]
    from_step = track.recent_steps[-count]
    s, chance = kendall_test(values)
    yield Test(
        "chance that losses without a trend rise as orderly (Kendall's test)",
        chance if s > 0 else 1.0,
        at_a_look(p.monotone_share, track.n, MONOTONE_FROM),
        False,
        "probability",
        from_step,
    )
    yield Test("loss over every earlier one", values[-1], track.highest)
    yield Test("loss over the first ones", values[-1], max(track.head[:3]))
    lowest = min(values)
    yield Test("rise from the lowest loss", values[-1] - lowest, p.total_rise * abs(lowest), True, "", from_step)


def _least_risen(p: FewParameters, track: Track) -> int:
    return max(p.risen_points, len(track.recent) // 2)


def rise_place(p: FewParameters, track: Track) -> tuple[int, float]:
    """How many of the latest losses, half of all or more, are furthest above all before them, and by what factor."""
    values = track.recent
    least = _least_risen(p, track)
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
    places = max(1, len(track.recent) - 1 - _least_risen(p, track))
    positive = min(track.recent) > 0
    yield Test(
        "chance that noise of any spread lies as far apart (Student's test)",
        places * step_test([math.log(v) for v in track.recent], count) if positive else 0.0,
        at_a_look(p.risen_share, track.n, RISEN_FROM),
        False,
        "probability",
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
