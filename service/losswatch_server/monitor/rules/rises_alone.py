"""Whether anything gets better while the training loss rises: a metric, or the validation loss.

A cross-entropy also rises where a model grows surer of the answers that it still has wrong, and a loss under stronger
augmentation, label smoothing or a changed mixture of its terms rises without harm. What the run is trained for knows
better: where it gets better meanwhile, a gradual rise is no divergence. A blow-up is one all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from losswatch_server.monitor.rules.base import Test, View
from losswatch_server.monitor.rules.evaluations import Evaluations
from losswatch_server.monitor.rules.few_points import FewParameters
from losswatch_server.monitor.stats.trend import kendall_test

KEPT = 128
"""Latest values of a series on held-out data that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AloneParameters(FewParameters):
    """The parameters of the test, beside those of few points."""

    blow_up_anyway: float = 10.0
    """Times the lowest loss: from here on no metric excuses it."""
    orderly_gain: float = 0.01
    """Chance of so orderly a gain on held-out data without a trend: five values in order are 1 in 120."""
    material_gain: float = 0.05
    """Of its value: from the earlier half of those since the rise began to the later one."""


def rises_alone(p: AloneParameters, view: View) -> Iterator[Test]:
    """Nothing gets better meanwhile, or the rise is a blow-up: tenfold, or past the baseline."""
    yield Test("a metric or validation loss that gets better meanwhile", float(learns_meanwhile(p, view)), 0.5, False)


def learns_meanwhile(p: AloneParameters, view: View) -> bool:
    """Whether anything gets better meanwhile, and the rise is no blow-up."""
    if _blown_up(p, view):
        return False
    memory = view.memory
    if view.quality.rising and 2 * max(memory.quality.counts) >= memory.loss.n:
        return True
    return _falls(p, view, memory.held_out, view.quality.rising) or _falls(p, view, memory.validation)


def _blown_up(p: AloneParameters, view: View) -> bool:
    track = view.memory.loss
    now, lowest = track.recent[-1], track.lowest
    if lowest <= 0:  # no factor to tell by
        return now - lowest >= p.blow_up_anyway * max(map(abs, track.head[:8]))
    chance = view.shape.chance
    return bool(now >= p.blow_up_anyway * lowest or (chance is not None and lowest < chance <= now))


def _falls(p: AloneParameters, view: View, series: Evaluations, better: bool = False) -> bool:
    """Whether a series on held-out data, of which less is better, got better since the loss was lowest, and was
    measured late enough to tell; ``better`` where that is known but for the time."""
    since, last = view.memory.loss.lowest_step, view.point.step
    if series.n == 0 or series.last_step < (since + last) / 2:
        return False
    if better:
        return True
    values = [v for step, v in zip(series.recent_steps, series.recent, strict=True) if step >= since][-KEPT:]
    half = len(values) // 2
    if half < 2:
        return False
    s, chance = kendall_test(values)
    gain = (sum(values[:half]) - sum(values[-half:])) / half
    return s < 0 and chance <= p.orderly_gain and gain >= p.material_gain * abs(values[0])
