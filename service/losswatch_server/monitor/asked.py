"""Which rules are asked at which points."""

from __future__ import annotations

from typing import Any

from losswatch_server.monitor.conditions import DETECTORS
from losswatch_server.monitor.known import Need
from losswatch_server.monitor.lifecycle import key_of
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.rules.base import Detector, View

Asked = tuple[int, Detector, str]
"""The place of a detector's state, the detector, and the name of what it finds."""
EVERYTHING: tuple[Asked, ...] = tuple((i, d, key_of(d)) for i, d in enumerate(DETECTORS))
EVERY_POINT = tuple(asked for asked in EVERYTHING if asked[1].every_point)
OF_VALIDATION = frozenset({"validation_loss", "validation_metric"})
WITHOUT_VALIDATION = tuple(asked for asked in EVERY_POINT if asked[1].series not in OF_VALIDATION)
"""Of those, the ones to ask at a point without a validation loss or metrics: the others are unsure there."""


def _asked_always(state: Any, view: View, point: Point) -> bool:
    return False


CALM = tuple((*asked, getattr(asked[1], "calm", _asked_always)) for asked in WITHOUT_VALIDATION)
"""The same, and how to tell that one need not be asked."""
FINITE_ONLY = tuple(
    asked for asked in EVERYTHING if not any(Need.MINIMISED in needs for needs in asked[1].needs.values())
)
