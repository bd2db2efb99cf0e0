"""vanishing_gradient: the gradient, or that of the early layers, collapses towards 0 while the loss is still bad.

The total norm does not reveal a vanished early layer (saturated sigmoids: first layer 4e-9, total 0.4), so layers
are used where they are sent. A healthy network's layers lie within a factor of 0.002 of each other; AutoTrainer
(Zhang et al., ICSE 2021) calls a first-to-last ratio below 1e-3 vanishing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from losswatch_server.monitor.rules.base import QUIET, Alarm, Verdict, View, Waiting
from losswatch_server.monitor.rules.minimum_runtime import patience_over
from losswatch_server.monitor.rules.not_learning import falling
from losswatch_server.monitor.stats.trend import median
from losswatch_server.monitor.vocabulary import Condition, Severity

DEAD = math.log(1e-12)


@dataclass(frozen=True, slots=True, kw_only=True)
class VanishingGradient:
    """First-to-last ratio of the layers below 1e-3, dead layers, or a total norm below 1e-4 of its start."""

    condition: ClassVar[Condition] = Condition.VANISHING_GRADIENT
    series: ClassVar[str] = "grad_norm"
    every_point: ClassVar[bool] = False
    least_points: int = 16
    least_share: float = 0.05
    layer_ratio: float = 1e-3
    total_ratio: float = 1e-4
    patience: float = 0.03

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        learnt = shape.share > 0.3 and (shape.chance is None or shape.now < 0.9 * shape.chance)
        good = shape.chance is not None and shape.now < 0.7 * shape.chance
        if learnt or good or (falling(shape) and shape.share > self.least_share):
            return QUIET
        evidence = self._layers(view) or self._total(view)
        if evidence is None or not patience_over(
            view, self.patience, rising_share=2 * self.patience, least=self.least_points
        ):
            return QUIET
        return Alarm(
            onset_step=view.memory.loss.head_steps[0],
            confidence=0.9 if evidence.get("layers_dead") else 0.8,
            severity=Severity.WARNING,
            evidence=evidence | {"level": shape.now, "first_level": shape.first, "chance_level": shape.chance},
        )

    def _layers(self, view: View) -> dict[str, Any] | None:
        layers = view.memory.layers
        order = view.context.layer_order
        now = dict(zip(layers.names, layers.now, strict=True))
        first = dict(zip(layers.names, layers.first, strict=True))
        names = [n for n in (order or layers.names) if n in now and not math.isnan(now[n])]
        if len(names) < 2:
            return None
        values = [now[n] for n in names]
        dead = [n for n in names if now[n] < DEAD]
        ratio = math.exp(min(values[0] - max(values), 700.0))
        if not dead and ratio >= self.layer_ratio:
            return None
        return {
            "ratio": ratio,
            "first_layer": math.exp(values[0]) if values[0] > -100 else 0.0,
            "last_layer": math.exp(values[-1]) if values[-1] > -100 else 0.0,
            "layers_dead": len(dead),
            "layers": len(names),
            "dead_from_start": sum(1 for n in dead if first[n] < DEAD),
        }

    def _total(self, view: View) -> dict[str, Any] | None:
        track = view.memory.grad_norm
        if track.n < self.least_points:
            return None
        early, late = median(track.head[:32]), median(track.recent[-16:])
        if early <= 0 or late > self.total_ratio * early:
            return None
        return {"ratio": late / early, "median_before": early, "median_now": late, "layers_dead": 0}
