"""Where a floor begins, on curves that are known to reach it there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from losswatch_server.monitor.loss_kind import loss_kind
from losswatch_server.monitor.loss_summary import shape_of
from losswatch_server.monitor.monitor import Monitor
from losswatch_server.monitor.points import Point
from losswatch_server.monitor.stats.onset import onset_of_floor

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""What is left of a fall of 1, over the share of the run that is done."""

CURVES: dict[str, Curve] = {
    "geometric": lambda t: np.exp(-12 * t),
    "slowly geometric": lambda t: np.exp(-8 * t),
    "straight": lambda t: np.maximum(0, 1 - t / 0.4),
    "at once": lambda t: np.where(t < 0.3, 1.0, 0.0),
    "cosine": lambda t: np.where(t < 0.5, 0.5 + 0.5 * np.cos(2 * np.pi * t), 0),
    "power law": lambda t: np.maximum(0, 1 / (1 + 50 * t) - 0.04),
}
SEEN = 0.005
"""As much of a fall as a plot of the whole shows."""


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("points", [250, 2000])
@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_a_floor_begins_where_the_rest_of_the_fall_is_within_the_noise(curve: Curve, points: int, noise: float) -> None:
    left = curve(np.arange(points) / points)
    known = int(np.argmax(left <= max(noise, SEEN)))
    losses = 1 + 2 * left + 2 * noise * np.random.default_rng(1).standard_normal(points)
    monitor = Monitor("onset")
    monitor.see_all([Point(step=step, loss=float(loss)) for step, loss in enumerate(losses)])
    shape = shape_of(monitor.memory, monitor.context, loss_kind(monitor.context))
    found = onset_of_floor(monitor.memory.loss, shape.first, shape.progress, shape.noise)
    assert found == pytest.approx(known, abs=0.06 * points)
