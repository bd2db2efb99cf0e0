"""The factor by which a loss scaler of mixed precision multiplies the loss, where a client says it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from losswatch_server.monitor.points import Context

_NAMES = frozenset({"lossscale", "gradscale", "ampscale", "scalerscale", "gradscaler", "lossscaler", "gradscalerscale"})


@lru_cache(maxsize=4096)
def is_loss_scale(metric: str) -> bool:
    """Whether a metric of this name is one: "loss_scale", "train/grad_scale", "amp/scale", "scaler.scale"."""
    parts = [re.sub(r"[^a-z0-9]", "", part) for part in re.split(r"[/.]", metric.lower())]
    return parts[-1] in _NAMES or "".join(parts[-2:]) in _NAMES


def scale_at(metrics: Mapping[str, float] | None, context: Context) -> float | None:
    """The scale at a point: a metric of it, else what the context states; None where neither is a positive number."""
    for name, value in (metrics or {}).items():
        if value is not None and is_loss_scale(name) and 0 < value < math.inf:
            return value
    stated = context.facts.loss_scale if context.facts is not None else None
    return stated if stated is not None and 0 < stated < math.inf else None
