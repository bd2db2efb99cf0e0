"""The writers of a run that train, and which of them were forked from which.

A process that is forked from a training one reports under a name of its own that begins with its parent's. What it
logs fills gaps and goes on where its parent has not come, but what its parent logs is the run: it never begins an
attempt, and its parent's points never give way to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

FORKED = "~"
"""In the name of a writer, between that of the process that its own was forked from and the rest."""


class TrainingWriter(NamedTuple):
    """A writer that posts losses or gradient norms. ``attempt`` is the one in which it began to, ``ordinal`` counts
    such writers of the run from 0, ``concurrent_with`` names a later one that began before this one had ended (None:
    none was seen)."""

    attempt: int
    ordinal: int
    concurrent_with: str | None = None


def parent_of(training: Mapping[str, TrainingWriter], writer: str | None) -> TrainingWriter | None:
    """The writer of the process that this one's was forked from, where that one trains."""
    if writer is None or FORKED not in writer:
        return None
    return training.get(writer.partition(FORKED)[0])


def newest_of(training: Mapping[str, TrainingWriter]) -> str | None:
    """The training writer that began last, but for those whose parent trains itself."""
    own = [name for name in training if parent_of(training, name) is None]
    return max(own, key=lambda name: training[name].ordinal, default=None)
