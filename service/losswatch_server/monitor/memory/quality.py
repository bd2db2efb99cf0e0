"""What is remembered of the metrics that say how good a model is: accuracy and its like.

Of each at most eight early, eight middle and eight latest values. *Middle* is what was latest when the count was the
power of two before the last one: between a half and three quarters of the way back, whatever the run's length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

KEPT = 8
METRICS = 4
"""Metrics of a run that are remembered: the first that are sent."""

HIGHER = frozenset(
    {"accuracy", "acc", "top1", "f1", "auc", "precision", "recall", "map", "bleu", "r2", "iou", "miou", "reward"}
)
SHARES = frozenset({"accuracy", "acc", "top1"})
LOWER = frozenset({"error", "err", "perplexity", "ppl", "wer", "cer"})
_AFFIXES = re.compile(
    r"^(?:val(?:id(?:ation)?)?|eval|train(?:ing)?|test|batch|epoch|sparse|categorical|binary|mean|avg|average|overall|balanced"
    r"|sequence|seq|sentence|pixel|node|graph|dev)[_/ ]"
    r"|[_/ ](?:val|valid|validation|eval|train|test|score|step|epoch)$"
)


_FIRST_OF_ALL = re.compile(r"(?:acc|accuracy|prec|precision|top)_?1(?:_?acc(?:uracy)?)?(?![0-9])|exact_match")
"""The first answer is the right one: "acc@1", "prec@1", "top-1 accuracy"."""


@lru_cache(maxsize=4096)
def quality_of(name: str) -> str | None:
    """The metric's bare name ("val_acc" is "acc"), None for one that does not say how good a model is."""
    bare = re.sub(r"[^a-z0-9/]+", "_", name.strip().lower()).rsplit("/", 1)[-1]
    bare = _FIRST_OF_ALL.sub(r"top1", bare)
    while (cut := _AFFIXES.sub("", bare)) != bare:
        bare = cut
    bare = bare.replace("_", "")
    return bare if bare in HIGHER or bare in LOWER else None


@dataclass(slots=True)
class Quality:
    """At most ``METRICS`` metrics by name, as they were sent; a row of values for each."""

    names: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    early: list[list[float]] = field(default_factory=list)
    middle: list[list[float]] = field(default_factory=list)
    pending: list[list[float]] = field(default_factory=list)
    """What becomes *middle* at the next power of two."""
    latest: list[list[float]] = field(default_factory=list)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Take a point's metrics."""
        for name, value in metrics.items():
            if quality_of(name) is None or value is None or not math.isfinite(value):
                continue
            if name not in self.names:
                if len(self.names) >= METRICS:
                    continue
                self.names.append(name)
                self.counts.append(0)
                for rows in (self.early, self.middle, self.pending, self.latest):
                    rows.append([])
            self._take(self.names.index(name), float(value))

    def _take(self, place: int, value: float) -> None:
        count = self.counts[place] = self.counts[place] + 1
        if len(self.early[place]) < KEPT:
            self.early[place].append(value)
        latest = self.latest[place]
        latest.append(value)
        del latest[:-KEPT]
        if count & (count - 1) == 0:
            self.middle[place] = self.pending[place]
            self.pending[place] = list(latest)
