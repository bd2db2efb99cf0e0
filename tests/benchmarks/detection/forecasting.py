"""How often a forecast's interval holds what then came: healthy runs at a constant rate, forecast early, trained on."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.detection.programs.boosting import Boosting
from benchmarks.detection.programs.program import recipe_of
from benchmarks.detection.programs.training import train
from benchmarks.detection.score import share
from losswatch_server.monitor.points import Context, Point
from losswatch_server.monitor.report import diagnose

LONG = 6
"""How many times the base's steps the run goes on for."""
ASKED_AT = (0.5, 1.0, 2.0)
"""When a forecast is asked for, in lengths of the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasted:
    """A forecast and what the loss then rested at: the median of the last tenth of the long run."""

    id: str
    asked_at: int
    floor: float | None
    interval: tuple[float, float] | None
    came: float
    level: float
    """The loss when the forecast was asked for."""

    @property
    def held(self) -> bool | None:
        """The interval held what came; None where no forecast was given."""
        return None if self.interval is None else self.interval[0] <= self.came <= self.interval[1]


def forecasts(half: str, seeds: range) -> Iterator[Forecasted]:
    """Every program of a half, trained long at a constant rate, forecast from three of its beginnings."""
    programs = importlib.import_module(f"benchmarks.detection.{half}_half").PROGRAMS
    for seed in seeds:
        for program in programs:
            if issubclass(program, Boosting):
                continue
            base = replace(recipe_of(program, 900 + seed), schedule="constant")
            trace = train(program, replace(base, steps=LONG * base.steps))
            came = float(np.median(trace.loss[-len(trace.loss) // 10 :]))
            points = [
                Point(step=i, loss=float(loss), grad_norm=float(norm))
                for i, (loss, norm) in enumerate(zip(trace.loss, trace.grad_norm, strict=True))
            ]
            context = Context(optimizer=base.optimizer, learning_rate=base.learning_rate)
            for lengths in ASKED_AT:
                at = round(lengths * base.steps)
                told = diagnose(points[:at], context).forecast
                yield Forecasted(
                    id=f"{base.task}-{seed}",
                    asked_at=at,
                    floor=told.floor,
                    interval=told.interval,
                    came=came,
                    level=float(np.median(trace.loss[max(0, at - 25) : at])),
                )


def summarize(of: list[Forecasted]) -> dict[str, Any]:
    """How many forecasts were given, how many held, how wide they were (as a share of the level)."""
    widths = [(f.interval[1] - f.interval[0]) / f.level for f in of if f.interval is not None and f.level > 0]
    return {
        "forecasts": share((f.interval is not None for f in of), (f.id.rpartition("-")[0] for f in of)).json(),
        "forecast_coverage": share((f.held for f in of), (f.id.rpartition("-")[0] for f in of)).json(),
        "forecast_width": round(statistics.median(widths), 4) if widths else None,
    }
