"""The first metric on held-out data that a run sends, as a series of which less is better: what shows overfitting where
no validation loss is sent.

Of several at one point the first of ``MOST_TELLING`` stands, and keeps its place for the rest of the run. What is
better the higher it is changes its sign; a perplexity is the exponential of a loss, and its logarithm is kept. At most
192 latest values are kept, with their steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from losswatch_server.monitor.memory.quality import HIGHER, quality_of

KEPT, TRIMMED = 128, 192
MOST_TELLING = (
    "perplexity", "ppl", "accuracy", "acc", "top1", "f1", "auc", "map", "miou", "iou", "error", "err", "wer", "cer",
    "r2", "bleu", "precision", "recall",
)  # fmt: skip
LOGARITHMS = frozenset({"perplexity", "ppl"})
_OF_HELD_OUT = re.compile(
    r"(?:^|[_/. -])(?:val|valid|validation|eval|evaluation|test|dev|holdout|held_out)(?=[_/. -]|$)"
)


@lru_cache(maxsize=4096)
def rank_of(name: str) -> int | None:
    """The place in ``MOST_TELLING`` of a metric that was measured on held-out data; None for any other name."""
    if _OF_HELD_OUT.search(name.strip().lower()) is None:
        return None
    bare = quality_of(name)
    return MOST_TELLING.index(bare) if bare in MOST_TELLING else None


@dataclass(slots=True)
class HeldOut:
    """Its finite values; ``head`` has the first one alone."""

    name: str = ""
    """As it was sent; empty while none was."""
    n: int = 0
    last_step: int = -1
    head: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    recent_steps: list[int] = field(default_factory=list)

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take a point's metrics; those of a step that is not past the last one come too late."""
        if not self.name:
            ranked = [(rank, name) for name in metrics if (rank := rank_of(name)) is not None]
            if not ranked:
                return
            self.name = min(ranked)[1]
        value = self.value_of(metrics)
        if value is None or step <= self.last_step:
            return
        self.n += 1
        self.last_step = step
        if self.n == 1:
            self.head.append(value)
        self.recent.append(value)
        self.recent_steps.append(step)
        if len(self.recent) >= TRIMMED:
            del self.recent[:-KEPT]
            del self.recent_steps[:-KEPT]

    def value_of(self, metrics: Mapping[str, float]) -> float | None:
        """The metric among a point's, as it is kept; None where it is not there, or no number."""
        value = metrics.get(self.name)
        if value is None or not math.isfinite(value):
            return None
        bare = quality_of(self.name)
        if bare in LOGARITHMS:
            return math.log(value) if value > 0 else None
        return 0.0 - value if bare in HIGHER else float(value)

    @property
    def is_of_a_loss(self) -> bool:
        """Whether the kept values are losses."""
        return quality_of(self.name) in LOGARITHMS

    def as_sent(self, value: float) -> float:
        """A kept value in the metric's own unit."""
        bare = quality_of(self.name)
        if bare in LOGARITHMS:
            return math.exp(min(value, 700.0))
        return 0.0 - value if bare in HIGHER else value
