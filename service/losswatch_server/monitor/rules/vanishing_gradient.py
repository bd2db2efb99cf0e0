"""vanishing_gradient: the gradient, or that of the early layers, collapses towards 0 while the loss is still bad.

Four rules. *Zero*: the norm of the whole gradient is exactly 0, point for point: nothing can be learned any more,
whatever the loss (unless it is 0 itself). *Dead layers*: a layer's norm is 0 for float32. *Early layers*: the first
layer's norm is far below the largest layer's. The total norm does not reveal a vanished early layer (saturated
sigmoids: first layer 4e-9, total 0.4). A healthy network's layers lie within a factor of 0.002 of each other;
AutoTrainer (Zhang et al., ICSE 2021) calls a ratio below 1e-3 vanishing. *Total*: the whole norm fell to a small
share of its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from losswatch_server.monitor.known import Need, Needs, Noise
from losswatch_server.monitor.memory.track import LAST_STEP, MAX
from losswatch_server.monitor.precision import precision
from losswatch_server.monitor.rules.base import QUIET, Alarm, Test, Verdict, View, Waiting
from losswatch_server.monitor.rules.minimum_runtime import patience_over
from losswatch_server.monitor.stats.layers import DEAD, LayerNorms, layer_norms
from losswatch_server.monitor.stats.trend import median
from losswatch_server.monitor.vocabulary import Condition, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class VanishingGradient:
    """The first layer below 1e-3 of the largest, dead layers, a norm of 0, or one below 1e-4 of its start."""

    condition: ClassVar[Condition] = Condition.VANISHING_GRADIENT
    series: ClassVar[str] = "grad_norm"
    every_point: ClassVar[bool] = False
    needs: ClassVar[Mapping[str, Needs]] = {
        "zero": (Need.MINIMISED, Need.GRADIENTS, Noise("gradient norm", 16)),
        "dead layers": (Need.MINIMISED, Need.LAYERS, Noise("loss", 16)),
        "early layers": (Need.MINIMISED, Need.LAYERS, Noise("loss", 16)),
        "total": (Need.MINIMISED, Need.GRADIENTS, Noise("gradient norm", 16), Need.START),
    }
    least_points: int = 16
    least_share: float = 0.05
    learned: float = 0.98
    """Of chance level, below which a loss that falls has learned something."""
    layer_ratio: float = 1e-3
    total_ratio: float = 1e-4
    excluded: float = 0.25
    """A fall of this share of the first level over the second half is excluded: the loss has not moved."""
    patience: float = 0.3

    def start(self) -> None:
        return None

    def step(self, state: None, view: View) -> Verdict:
        shape = view.shape
        if shape.n < self.least_points:
            return Waiting(self.least_points - shape.n)
        found: list[tuple[str, dict[str, Any]]] = []
        track = view.memory.grad_norm
        if track.n >= self.least_points and view.holds("zero", self._zero(view), self.needs["zero"]):
            found.append(
                ("zero", {"ratio": 0.0, "median_before": median(track.head[:32]), "median_now": 0.0, "layers_dead": 0})
            )
        layers = layer_norms(view.memory.layers, view.context.layer_order)
        if layers is not None:
            evidence = _layer_evidence(layers)
            if view.holds("dead layers", self._dead(view, layers), self.needs["dead layers"]):
                found.append(("dead layers", evidence))
            if view.holds("early layers", self._early(view, layers), self.needs["early layers"]):
                found.append(("early layers", evidence))
        if track.n >= self.least_points and view.holds("total", self._total(view), self.needs["total"]):
            early, late = median(track.head[:32]), median(track.recent[-16:])
            found.append(
                ("total", {"ratio": late / early, "median_before": early, "median_now": late, "layers_dead": 0})
            )
        if not found:
            return QUIET
        rule, evidence = found[0]
        return Alarm(
            onset_step=_onset(rule, view, layers, self.total_ratio, self.layer_ratio),
            confidence=precision(self.condition, rule),
            severity=Severity.WARNING,
            evidence=evidence | {"level": shape.now, "first_level": shape.first, "chance_level": shape.chance},
        )

    def _zero(self, view: View) -> Iterator[Test]:
        track = view.memory.grad_norm
        latest = track.recent[-self.least_points :]
        yield Test(
            f"gradient norms of exactly 0 among the last {self.least_points}",
            float(latest.count(0.0)),
            float(self.least_points),
            True,
            "",
            track.recent_steps[-len(latest)],
        )
        # of the same points: a hinge at rest has no gradient where it has no loss
        size = abs(median(view.memory.loss.recent[-self.least_points :]))
        yield Test("size of the loss", size, max(1e-6 * abs(view.shape.first), 1e-300))

    def _still_bad(self, view: View) -> Iterator[Test]:
        """The loss shows nothing of what a network learns that gets its gradients."""
        shape = view.shape
        if shape.chance is not None:
            yield Test("level of the loss", shape.now / shape.chance, 0.9, True, "of chance level")
        elif view.known.begins_at_start:
            yield Test("share of the first level that was gained", shape.share, 0.3, False)
        learned = shape.share > self.least_share or (
            shape.chance is not None and shape.now < self.learned * shape.chance
        )
        falls = shape.falling and learned
        yield Test("significant fall of the loss", float(falls), 0.5, False)
        yield Test(
            "largest fall over the second half that the noise allows",
            shape.gain_half + 3 * shape.gain_error,
            self.excluded * abs(shape.first),
            False,
        )
        over = patience_over(view, self.patience, rising_share=2 * self.patience, least=self.least_points)
        yield Test("waited long enough", float(over), 0.5)

    def _dead(self, view: View, layers: LayerNorms) -> Iterator[Test]:
        yield Test(
            "smallest gradient norm of a layer",
            math.exp(min(layers.now)),
            math.exp(DEAD),
            False,
            "",
            view.memory.loss.head_steps[0],
        )
        yield from self._still_bad(view)

    def _early(self, view: View, layers: LayerNorms) -> Iterator[Test]:
        yield Test(
            "gradient norm of the first layer",
            layers.first_over_largest,
            self.layer_ratio,
            False,
            "of the largest layer's",
            view.memory.loss.head_steps[0],
        )
        yield from self._still_bad(view)

    def _total(self, view: View) -> Iterator[Test]:
        track = view.memory.grad_norm
        early, late = median(track.head[:32]), median(track.recent[-16:])
        yield Test(
            "median of the last 16 gradient norms",
            late / early if early > 0 else 1.0,
            self.total_ratio,
            False,
            "of the median of the first 32",
            track.head_steps[0],
        )
        yield from self._still_bad(view)


def _onset(rule: str, view: View, layers: LayerNorms | None, total_ratio: float, layer_ratio: float) -> int:
    """The first step, but for a gradient that went since: then where it was lost, so far as is remembered."""
    memory = view.memory
    first, track = memory.loss.head_steps[0], memory.grad_norm
    if rule in ("zero", "total"):
        limit = total_ratio * median(track.head[:32]) if rule == "total" else 0.0
        gone = next((i for i, norm in enumerate(reversed(track.recent)) if norm > limit), len(track.recent))
        if 0 < gone < len(track.recent):
            return track.recent_steps[-gone]
        rows = track.bucket_table()
        moving = rows[rows[:, MAX] > limit]
        return int(moving[-1][LAST_STEP]) if gone and len(moving) else first
    ago = None
    if layers is not None and rule == "dead layers":
        ago = layers.died_ago
    elif layers is not None and layers.first_over_largest_at_start >= layer_ratio:
        ago = layers.first_died_ago
    steps = memory.loss.recent_steps
    return steps[-ago] if ago is not None and ago <= len(steps) else first


def _layer_evidence(layers: LayerNorms) -> dict[str, Any]:
    largest = max(layers.now)
    return {
        "ratio": layers.first_over_largest,
        "first_layer": math.exp(layers.now[0]) if layers.now[0] > -100 else 0.0,
        "largest_layer": math.exp(largest) if largest > -100 else 0.0,
        "layers_dead": layers.dead,
        "layers": len(layers.now),
        "dead_from_start": layers.dead_from_start,
    }
