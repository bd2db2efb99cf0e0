"""A data directory with one long run in it, told by the use cases themselves: its snapshots and findings are real."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from house import House
from losswatch_server.monitor.points import Point

RUN = "run"
_AT_ONCE = 50_000


def points(first: int, count: int) -> list[Point]:
    """A loss with noise that falls, and the norm of its gradient; always the same at the same step."""
    found: list[Point] = []
    for start in range(first - first % _AT_ONCE, first + count, _AT_ONCE):
        draw = np.random.default_rng(start)
        loss = (0.3 + 2 * np.exp(-np.arange(start, start + _AT_ONCE) / 300_000)) * np.exp(
            0.05 * draw.standard_normal(_AT_ONCE)
        )
        norm = np.exp(0.3 * draw.standard_normal(_AT_ONCE))
        chosen = range(max(first, start), min(first + count, start + _AT_ONCE))
        found += [Point(n, loss=float(loss[n - start]), grad_norm=float(norm[n - start])) for n in chosen]
    return found


def build(folder: Path, total: int) -> Iterator[int]:
    """Tell the run; how far it has come, after each request."""
    house = House(folder)
    try:
        for start in range(0, total, _AT_ONCE):
            house.record(points(start, min(_AT_ONCE, total - start)), writer="first", name=RUN)
            yield start + _AT_ONCE
    finally:
        house.close()


if __name__ == "__main__":
    for done in build(Path(sys.argv[1]), int(sys.argv[2])):
        print(done, flush=True)
    assert math.isfinite(done)
