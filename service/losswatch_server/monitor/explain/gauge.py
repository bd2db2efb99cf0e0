"""What each rule looks at, as one number at a time: the statistic of a finding's detector and what it is held against.

A gauge is read after a point was folded. It computes its number from the same building blocks as the detector, beside
it: reading changes nothing. Where a detector has several rules, the finding's evidence says which of them spoke.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from losswatch_server.monitor.memory.track import BLOCK, FIRST_STEP, Track
from losswatch_server.monitor.rules import DETECTORS
from losswatch_server.monitor.rules.base import View

D = TypeVar("D")


class Reading(NamedTuple):
    """The statistic at a point, what it is held against (None: nothing there), and the first step that it used."""

    statistic: float
    threshold: float | None
    from_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """How to read the statistic of one finding. ``above``: the rule speaks at or above the threshold, else below."""

    place: int
    """The detector's place in ``DETECTORS``."""
    statistic: str
    unit: str
    above: bool
    rule: str
    read: Callable[[Any, View], Reading | None]
    """Takes the detector's state and the view after the point; None where the rule does not judge."""


def step_back(track: Track, count: int) -> int:
    """The step of the ``count``-th last value, to the resolution of the track's memory."""
    if count >= track.n:
        return track.head_steps[0]
    if count <= len(track.recent_steps):
        return track.recent_steps[-max(1, count)]
    table = track.bucket_table()
    return int(table[min(len(table) - 1, (track.n - count) // (BLOCK * track.width)), FIRST_STEP])


def detector(kind: type[D]) -> tuple[int, D]:
    """The registered detector of a kind, and its place. LookupError where none is registered."""
    for place, registered in enumerate(DETECTORS):
        if isinstance(registered, kind):
            return place, registered
    raise LookupError(f"no detector of kind {kind.__name__}")
