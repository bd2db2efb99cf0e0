"""How much one point may carry, and what is kept of a point that has more: the point itself is never lost. Pure."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Tuple

FIRST_LAYERS = 256
FIRST_METRICS = 64
"""What the first services took; later ones take more."""


class Limits:
    """Entries that the service takes. A service that refuses them is an older one: then its smaller limits hold."""

    def __init__(self, layers: int = 1024, metrics: int = 256) -> None:
        self.layers = layers
        self.metrics = metrics

    def lower(self, field: str) -> bool:
        """Goes down to what the first services took of ``field``; False when that was reached already."""
        least = {"layers": FIRST_LAYERS, "metrics": FIRST_METRICS}.get(field)
        if least is None or getattr(self, field) <= least:
            return False
        setattr(self, field, least)
        return True


def cut_layers(norms: Mapping[str, float], limit: int) -> Tuple[Dict[str, float], Dict[str, float]]:
    """At most ``limit`` of the layers, in their order, and a summary over all as metrics (empty when none was cut).

    Kept are those that are not finite and the largest and smallest (an eighth of the limit each kind), then the
    first and the last of the model.
    """
    if len(norms) <= limit:
        return dict(norms), {}
    names = list(norms)
    some = max(limit // 16, 1)
    finite = sorted((name for name in names if math.isfinite(norms[name])), key=lambda name: abs(norms[name]))
    chosen = set([name for name in names if not math.isfinite(norms[name])][: 2 * some])
    chosen.update(finite[-some:], finite[:some])
    ends = (names[place // 2] if place % 2 == 0 else names[-1 - place // 2] for place in range(len(names)))
    for name in ends:
        if len(chosen) >= limit:
            break
        chosen.add(name)
    sizes = [abs(norms[name]) for name in finite]
    summary = {"layers.count": float(len(names)), "layers.not_finite": float(len(names) - len(finite))}
    if sizes:
        summary.update(
            {
                "layers.smallest": sizes[0],
                "layers.median": (sizes[(len(sizes) - 1) // 2] + sizes[len(sizes) // 2]) / 2,
                "layers.largest": sizes[-1],
            }
        )
    return {name: norms[name] for name in names if name in chosen}, summary


def cut_metrics(metrics: Mapping[str, float], limit: int) -> Dict[str, float]:
    """The first ``limit`` metrics."""
    return dict(list(metrics.items())[:limit])


def cut_point(point: Dict[str, Any], limits: Limits) -> List[str]:
    """Cuts an encoded point in place; the names of the fields that had more than the limits."""
    cut = []
    summary: Dict[str, float] = {}
    layers, metrics = point.get("layers", {}), point.get("metrics", {})
    if len(layers) > limits.layers:
        cut.append("layers")
        kept, summary = cut_layers({name: float(value) for name, value in layers.items()}, limits.layers)
        point["layers"] = {name: layers[name] for name in kept}
    if len(metrics) + len(summary) > limits.metrics:
        cut.append("metrics")
    if cut:
        metrics = {**cut_metrics(metrics, limits.metrics - len(summary)), **summary}
        if metrics:
            point["metrics"] = metrics
    return cut
