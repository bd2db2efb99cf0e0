"""``[640/60000 (1%)]``: how far an epoch has come, counted in samples or in batches, as the step."""

from __future__ import annotations

from collections import Counter
from typing import List, NamedTuple, Optional, Sequence, Tuple

COUNT = "samples"
"""The column of such a counter."""
_SAMPLES_APART = 128
"""Rows that count samples lie a batch times their interval apart, hence at least so far."""
_BATCH, _ROUND = 32, 100
"""They lie a multiple of the one apart, or the data are a multiple of the other; batches are printed at round intervals
of a total that is not round."""

Steps = Sequence[Optional[int]]


class Progress(NamedTuple):
    """A step for each row that has one, how they were found, and the optimizer's steps in an epoch where known."""

    steps: List[Optional[int]]
    sentence: str
    steps_per_epoch: Optional[int]


def as_steps(
    counts: Steps, epochs: Optional[Steps], driving: Sequence[bool], total: int, batch_size: Optional[int]
) -> Optional[Progress]:
    """The counter within each epoch made one that goes on; None where it does not count.

    Samples become steps by the batch size. Where the log does not say it, what lies between two rows is the unit.
    """
    driven = [count for count, drive in zip(counts, driving) if drive and count is not None]
    if not driven or max(driven) > total:
        return None
    apart = _apart(driven)
    of_batch = batch_size is not None and batch_size > 1 and apart % batch_size == 0
    if not of_batch and not _counts_samples(apart, total, max(driven)):
        unit, length, said = 1, total, "the counter in brackets as the step"
    elif of_batch and batch_size is not None:
        unit, length, said = batch_size, -(-total // batch_size), f"samples / {batch_size} (the batch size) as the step"
    else:
        unit, length = apart, -(-total // apart)
        said = f"samples / {apart} as the step: the log counts samples and does not say the batch size"
    base = 0 if epochs is None or 0 in epochs else 1
    places: List[Optional[Tuple[int, int]]] = []
    passes, last, within = 0, -1, -1
    for count, epoch, drive in zip(counts, epochs or [None] * len(counts), driving):
        if count is None or not drive or (epochs is not None and epoch is None):
            places.append(None)
            continue
        passes += epochs is None and count < last
        # The last batch is smaller than the others: its number times its size is no multiple.
        within = count // unit if count % unit == 0 else max(within + 1, length - 1)
        last = count
        places.append((passes if epoch is None else epoch - base, within))
    length = max([length] + [place[1] + 1 for place in places if place])
    told = f"(epoch - {base})" if base else "epoch" if epochs is not None else "passes"
    return Progress(
        [None if place is None else place[0] * length + place[1] for place in places],
        f"{told} x {length} + {said}",
        length if unit == 1 or of_batch else None,
    )


def _counts_samples(apart: int, total: int, most: int) -> bool:
    """Whether rows so far ``apart`` count samples; else batches, whose last is ``total - 1``."""
    return apart >= _SAMPLES_APART and most != total - 1 and (apart % _BATCH == 0 or total % _ROUND == 0)


def _apart(driven: Sequence[int]) -> int:
    """How far two rows lie apart, as most of them do; 1 where that does not divide three counts in five."""
    usual = Counter(after - before for before, after in zip(driven, driven[1:]) if after > before).most_common(1)
    if not usual:
        return 1
    apart = usual[0][0]
    return apart if sum(count % apart == 0 for count in driven) * 10 >= 6 * len(driven) else 1
